"""Huey, with results that are announced, which is an option: by default who waits looks with growing pauses."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from huey import RedisHuey

DISTRIBUTIONS = ("huey", "redis")
_WORKER = [sys.executable, str(Path(sys.executable).with_name("huey_consumer")), "huey_jobs.huey", "--quiet"]
WORKERS = {
    "2 processes": [[*_WORKER, "--worker-type", "process", "--workers", "2"]],
    "2 x 8 threads": [[*_WORKER, "--worker-type", "thread", "--workers", "8"]] * 2,
}

PATIENT = os.environ["PEERS_REDIS"] + "?socket_timeout=150"  # redis-py gives up a blocking call after 5 s, and with it the wait
huey = RedisHuey("peers", url=PATIENT, notify_result=True)


@huey.task()
def nothing(n: int) -> list[float]:
    """Return the number, the time and the process."""
    return [n, time.time(), os.getpid()]


def enqueue(numbers: Iterable[int]) -> list[Any]:
    """Send a task for each number."""
    return [nothing(n) for n in numbers]


def fetch(sent: list[Any], look: float) -> list[list[float]]:
    """Wait for the results; they are announced."""
    del look
    return [each.get(blocking=True, timeout=120) for each in sent]
