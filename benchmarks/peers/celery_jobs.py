"""Celery, by default: a task is acknowledged when it is received, so a worker that dies loses it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import Any

from celery import Celery

DISTRIBUTIONS = ("celery", "kombu", "redis")
_WORKER = [sys.executable, "-m", "celery", "-A", "celery_jobs", "worker", "--loglevel", "WARNING"]
WORKERS = {
    "2 processes": [[*_WORKER, "--pool", "prefork", "--concurrency", "2"]],
    "2 x 8 threads": [[*_WORKER, "--pool", "threads", "--concurrency", "8", "--hostname", f"{name}@%h"] for name in ("one", "two")],
}

app = Celery("peers", broker=os.environ["PEERS_REDIS"], backend=os.environ["PEERS_REDIS"])


@app.task
def nothing(n: int) -> list[float]:
    """Return the number, the time and the process."""
    return [n, time.time(), os.getpid()]


def enqueue(numbers: Iterable[int]) -> list[Any]:
    """Send a task for each number."""
    return [nothing.delay(n) for n in numbers]


def fetch(sent: list[Any], look: float) -> list[list[float]]:
    """Wait for the results; they are announced."""
    del look
    return [each.get(timeout=120) for each in sent]
