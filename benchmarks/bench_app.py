"""The app that every benchmark runs: tasks that do as little as can be."""

from __future__ import annotations

import asyncio

from pynenc_core import Pynenc

app = Pynenc(app_id="bench")  # its store, its runner and their settings come from the environment


@app.task
def nothing(n: int) -> int:
    """Return what it was given."""
    return n


@app.task
def join(width: int) -> int:
    """Wait, inside the task, for `width` others."""
    return sum(nothing.parallelize([(n,) for n in range(width)]).ordered_results())


@app.task
async def async_nothing(n: int) -> int:
    """Return what it was given, from a coroutine."""
    return n


@app.task
async def async_join(width: int) -> int:
    """Wait, inside a coroutine, for `width` others."""
    return sum([result async for result in async_nothing.parallelize([(n,) for n in range(width)]).async_results()])


@app.task
async def rest(seconds: float) -> float:
    """Wait, as a coroutine that waits for a network."""
    await asyncio.sleep(seconds)
    return seconds
