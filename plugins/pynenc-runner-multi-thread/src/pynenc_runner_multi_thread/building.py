"""The builder's method."""

from __future__ import annotations


def multi_thread_runner(
    *,
    min_threads: int | None = None,
    max_threads: int | None = None,
    min_processes: int | None = None,
    max_processes: int | None = None,
    enforce_max_processes: bool | None = None,
    idle_timeout_process_sec: float | None = None,
) -> dict[str, object]:
    """Run invocations on `max_threads` threads (0: one) of each of up to `max_processes` processes (0: one a CPU).

    With `enforce_max_processes=False` there are between `min_processes` and `max_processes`, as many as there is work for;
    one that has had nothing to do for `idle_timeout_process_sec` ends.
    """
    given = {
        "runner.min_threads": min_threads,
        "runner.max_threads": max_threads,
        "runner.min_processes": min_processes,
        "runner.max_processes": max_processes,
        "runner.enforce_max_processes": enforce_max_processes,
        "runner.idle_timeout_process_sec": idle_timeout_process_sec,
    }
    return {"runner_cls": "multi-thread", **{name: value for name, value in given.items() if value is not None}}
