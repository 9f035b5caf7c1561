"""The app that every benchmark runs: tasks that do as little as can be."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pynenc_core import Pynenc

_CALLS = os.environ.get("BENCH_CALLS", "")
"""A file in which each process notes each call to the store, with its process id; empty: nobody counts."""
_NO_CALLS = frozenset({"wake", "close", "now", "prepare"})  # what asks a store for nothing


class CountedPynenc(Pynenc):
    """An app that notes what it asks its store for; what one call asks for in turn belongs to it."""

    def _start(self) -> Any:
        orchestrator = super()._start()
        inside = threading.local()
        for part in (orchestrator.engine.state, orchestrator.engine.dispatcher):
            for name in dir(part):
                if not name.startswith("_") and name not in _NO_CALLS and callable(verb := getattr(part, name)):
                    setattr(part, name, _noted(name, verb, inside))
        return orchestrator


def _noted(name: str, verb: Callable[..., Any], inside: threading.local) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        if getattr(inside, "a_call", False):
            return verb(*args, **options)
        with Path(_CALLS).open("a") as notes:
            notes.write(f"{os.getpid()} {name}\n")
        inside.a_call = True
        try:
            return verb(*args, **options)
        finally:
            inside.a_call = False

    return call


app = (CountedPynenc if _CALLS else Pynenc)(app_id="bench")  # its store, its runner and their settings come from the environment


@app.task
def nothing(n: int) -> int:
    """Return what it was given."""
    return n


@app.task
def touch(path: str) -> None:
    """Leave a file, for somebody who waits for it."""
    Path(path).touch()


@app.task(delay=3600.0)
def much_later() -> None:
    """Do nothing, in an hour."""


@app.task
def wait_for_ever() -> None:
    """Wait, inside the task, for what does not begin."""
    much_later().get_result()


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
