"""The builder's method."""

from __future__ import annotations


def process_runner(*, num_processes: int | None = None, preload_app: bool | None = None) -> dict[str, object]:
    """Run each invocation in a process of its own, `num_processes` at once; 0 is one a CPU.

    With `preload_app` the app is imported once, in a process from which the others are forked.
    """
    given = {"runner.num_processes": num_processes, "runner.preload_app": preload_app}
    return {"runner_cls": "process", **{name: value for name, value in given.items() if value is not None}}
