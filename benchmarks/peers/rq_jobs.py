"""RQ: by default each task runs in a process that is forked for it; with its simple worker in the worker itself. It has no threads."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from redis import Redis
from rq import Queue

DISTRIBUTIONS = ("rq", "redis")
_POOL = [str(Path(sys.executable).with_name("rq")), "worker-pool", "--num-workers", "2", "--quiet", "--url", os.environ["PEERS_REDIS"]]
WORKERS = {"2 processes": [[*_POOL, "--worker-class", "rq.worker.SimpleWorker"]], "a process for each task": [_POOL]}

PATIENT = os.environ["PEERS_REDIS"] + "?socket_timeout=150"  # redis-py gives up a blocking call after 5 s, and with it the wait
queue = Queue(connection=Redis.from_url(PATIENT))


def nothing(n: int) -> list[float]:
    """Return the number, the time and the process."""
    return [n, time.time(), os.getpid()]


def enqueue(numbers: Iterable[int]) -> list[Any]:
    """Send a task for each number."""
    return [queue.enqueue(nothing, n) for n in numbers]


def fetch(sent: list[Any], look: float) -> list[list[float]]:
    """Wait for the results, each by a blocking call."""
    del look
    return [each.latest_result(timeout=120).return_value for each in sent]
