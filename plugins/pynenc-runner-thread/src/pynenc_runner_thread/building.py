"""The builder's method."""

from __future__ import annotations


def thread_runner(*, min_threads: int | None = None, max_threads: int | None = None) -> dict[str, object]:
    """Run invocations on threads of one process; `max_threads` 0 is one a CPU."""
    given = {"runner.min_threads": min_threads, "runner.max_threads": max_threads}
    return {"runner_cls": "thread", **{name: value for name, value in given.items() if value is not None}}
