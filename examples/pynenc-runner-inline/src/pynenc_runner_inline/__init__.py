"""Runs invocations one at a time, and may end when none is left."""

from __future__ import annotations

from pynenc_core.plugins import RunnerSpec, hookimpl


@hookimpl
def pynenc_runners() -> list[RunnerSpec]:
    """Offer the runner."""
    return [
        RunnerSpec(
            name="inline",
            summary="one invocation at a time, in this process",
            target="pynenc_runner_inline.runner:InlineRunner",
            mem_compatible=True,
            settings="pynenc_runner_inline.settings:InlineSettings",
        ),
    ]
