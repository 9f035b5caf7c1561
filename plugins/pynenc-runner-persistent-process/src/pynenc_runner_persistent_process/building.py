"""The builder's method."""

from __future__ import annotations


def persistent_process_runner(*, num_processes: int | None = None) -> dict[str, object]:
    """Run invocations in a pool of `num_processes` long-lived processes; 0 is one a CPU."""
    count = {} if num_processes is None else {"runner.num_processes": num_processes}
    return {"runner_cls": "persistent-process", **count}
