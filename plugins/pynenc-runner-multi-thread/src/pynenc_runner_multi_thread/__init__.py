"""Runs invocations on threads of several processes."""

from __future__ import annotations

from pynenc_core.plugins import BuilderMethodSpec, RunnerSpec, hookimpl


@hookimpl
def pynenc_runners() -> list[RunnerSpec]:
    """Offer the runner."""
    return [
        RunnerSpec(
            name="multi-thread",
            summary="threads of several processes, as many as there is work for",
            target="pynenc_runner_multi_thread.runner:MultiThreadRunner",
            default_rank=4,
            mem_compatible=False,
        ),
    ]


@hookimpl
def pynenc_builder_methods() -> list[BuilderMethodSpec]:
    """Offer `PynencBuilder().multi_thread_runner()`."""
    return [
        BuilderMethodSpec(
            name="multi_thread_runner",
            summary="run invocations on threads of several processes",
            kind="runner",
            target="pynenc_runner_multi_thread.building:multi_thread_runner",
        ),
    ]
