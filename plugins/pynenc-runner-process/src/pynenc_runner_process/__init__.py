"""Runs each invocation in a process of its own."""

from __future__ import annotations

from pynenc_core.plugins import BuilderMethodSpec, RunnerSpec, hookimpl


@hookimpl
def pynenc_runners() -> list[RunnerSpec]:
    """Offer the runner."""
    return [
        RunnerSpec(
            name="process",
            summary="a process for each invocation",
            target="pynenc_runner_process.runner:ProcessRunner",
            default_rank=3,
            mem_compatible=False,
        ),
    ]


@hookimpl
def pynenc_builder_methods() -> list[BuilderMethodSpec]:
    """Offer `PynencBuilder().process_runner()`."""
    return [
        BuilderMethodSpec(
            name="process_runner",
            summary="run each invocation in a process of its own",
            kind="runner",
            target="pynenc_runner_process.building:process_runner",
        ),
    ]
