"""Runs invocations on threads of one process."""

from __future__ import annotations

from pynenc_core.plugins import BuilderMethodSpec, RunnerSpec, hookimpl


@hookimpl
def pynenc_runners() -> list[RunnerSpec]:
    """Offer the runner."""
    return [
        RunnerSpec(
            name="thread",
            summary="threads of one process",
            target="pynenc_runner_thread.runner:ThreadRunner",
            default_rank=5,
            mem_compatible=True,
        ),
    ]


@hookimpl
def pynenc_builder_methods() -> list[BuilderMethodSpec]:
    """Offer `PynencBuilder().thread_runner()`."""
    return [
        BuilderMethodSpec(
            name="thread_runner",
            summary="run invocations on threads of one process",
            kind="runner",
            target="pynenc_runner_thread.building:thread_runner",
        ),
    ]
