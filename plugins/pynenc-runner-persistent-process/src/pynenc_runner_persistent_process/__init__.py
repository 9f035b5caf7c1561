"""Runs invocations in a fixed pool of long-lived processes."""

from __future__ import annotations

from pynenc_core.plugins import BuilderMethodSpec, RunnerSpec, hookimpl


@hookimpl
def pynenc_runners() -> list[RunnerSpec]:
    """Offer the runner."""
    return [
        RunnerSpec(
            name="persistent-process",
            summary="a fixed pool of long-lived processes",
            target="pynenc_runner_persistent_process.runner:PersistentProcessRunner",
            default_rank=10,
            mem_compatible=False,
        ),
    ]


@hookimpl
def pynenc_builder_methods() -> list[BuilderMethodSpec]:
    """Offer `PynencBuilder().persistent_process_runner()`."""
    return [
        BuilderMethodSpec(
            name="persistent_process_runner",
            summary="run invocations in a fixed pool of long-lived processes",
            kind="runner",
            target="pynenc_runner_persistent_process.building:persistent_process_runner",
        ),
    ]
