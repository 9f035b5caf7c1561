"""The builder's method."""

from __future__ import annotations


def asyncio_runner(*, max_tasks: int | None = None) -> dict[str, object]:
    """Run async tasks on one event loop, and plain functions in threads; at most `max_tasks` invocations of both run at once."""
    return {"runner_cls": "asyncio", **({} if max_tasks is None else {"runner.max_tasks": max_tasks})}
