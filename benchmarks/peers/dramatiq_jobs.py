"""Dramatiq, by default, with results: they are waited for by blocking."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

DISTRIBUTIONS = ("dramatiq", "redis")
_WORKER = [sys.executable, "-m", "dramatiq", "dramatiq_jobs", "--processes", "2", "--threads"]
WORKERS = {"2 processes": [[*_WORKER, "1"]], "2 x 8 threads": [[*_WORKER, "8"]]}

PATIENT = os.environ["PEERS_REDIS"] + "?socket_timeout=150"  # redis-py gives up a blocking call after 5 s, and with it the wait
broker = RedisBroker(url=os.environ["PEERS_REDIS"])
broker.add_middleware(Results(backend=RedisBackend(url=PATIENT)))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def nothing(n: int) -> list[float]:
    """Return the number, the time and the process."""
    return [n, time.time(), os.getpid()]


def enqueue(numbers: Iterable[int]) -> list[Any]:
    """Send a task for each number."""
    return [nothing.send(n) for n in numbers]


def fetch(sent: list[Any], look: float) -> list[list[float]]:
    """Wait for the results, each by a blocking call."""
    del look
    return [each.get_result(block=True, timeout=120_000) for each in sent]
