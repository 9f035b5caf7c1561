"""The app that every benchmark runs: tasks that do as little as can be."""

from __future__ import annotations

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
