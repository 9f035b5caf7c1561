"""Taskiq with its list broker. Its workers run an event loop; a task that is no coroutine runs in a thread beside it."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

DISTRIBUTIONS = ("taskiq", "taskiq-redis", "redis")
_WORKER = [str(Path(sys.executable).with_name("taskiq")), "worker", "taskiq_jobs:broker", "--log-level", "WARNING", "--workers", "2"]
WORKERS = {
    "2 processes": [[*_WORKER, "--max-async-tasks", "1", "--max-threadpool-threads", "1"]],
    "2 x 8 threads": [[*_WORKER, "--max-async-tasks", "8", "--max-threadpool-threads", "8"]],
}

PATIENT = os.environ["PEERS_REDIS"] + "?socket_timeout=150"  # redis-py gives up a blocking call after 5 s, and with it the worker
broker = ListQueueBroker(PATIENT).with_result_backend(RedisAsyncResultBackend(PATIENT))


@broker.task
def nothing(n: int) -> list[float]:
    """Return the number, the time and the process."""
    return [n, time.time(), os.getpid()]


@functools.cache
def loop() -> asyncio.AbstractEventLoop:
    """Return the client's event loop, with the broker ready."""
    made = asyncio.new_event_loop()
    made.run_until_complete(broker.startup())
    return made


def enqueue(numbers: Iterable[int]) -> list[Any]:
    """Send a task for each number."""

    async def send() -> list[Any]:
        return [await nothing.kiq(n) for n in numbers]

    return loop().run_until_complete(send())


def fetch(sent: list[Any], look: float) -> list[list[float]]:
    """Wait for the results, by looking for each."""

    async def wait() -> list[list[float]]:
        return [(await each.wait_result(check_interval=look, timeout=120)).return_value for each in sent]

    return loop().run_until_complete(wait())
