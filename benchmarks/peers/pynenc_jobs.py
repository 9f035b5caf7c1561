"""Ours, as it comes: status, history and result of each task are kept, and a worker that dies loses none."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import Any

from pynenc_core import Pynenc

DISTRIBUTIONS = ("pynenc-core", "pynenc-backend-redis", "redis")
_START = [sys.executable, "-m", "pynenc_core.cli", "--app", "pynenc_jobs:app", "runner", "start", "--runner"]
_THREADS = ["PYNENC__RUNNER__MAX_PROCESSES=2", "PYNENC__RUNNER__MIN_THREADS=8", "PYNENC__RUNNER__MAX_THREADS=8"]
WORKERS = {
    "2 processes": [["env", "PYNENC__RUNNER__NUM_PROCESSES=2", *_START, "persistent-process"]],
    "2 x 8 threads": [["env", *_THREADS, *_START, "multi-thread"]],
    "a process for each task": [["env", "PYNENC__RUNNER__NUM_PROCESSES=2", *_START, "process"]],
}

app = Pynenc(os.environ["PEERS_REDIS"], app_id="peers")


@app.task
def nothing(n: int) -> list[float]:
    """Return the number, the time and the process."""
    return [n, time.time(), os.getpid()]


def enqueue(numbers: Iterable[int]) -> list[Any]:
    """Send a task for each number."""
    return [nothing(n) for n in numbers]


def fetch(sent: list[Any], look: float) -> list[list[float]]:
    """Wait for the results; they are announced."""
    del look
    return [each.get_result(120) for each in sent]
