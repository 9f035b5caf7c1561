"""Runs async tasks beside each other on one event loop."""

from __future__ import annotations

from pynenc_core.plugins import BuilderMethodSpec, RunnerSpec, hookimpl


@hookimpl
def pynenc_runners() -> list[RunnerSpec]:
    """Offer the runner."""
    return [
        RunnerSpec(
            name="asyncio",
            summary="coroutines of one event loop, plain functions in threads",
            target="pynenc_runner_asyncio.runner:AsyncioRunner",
            default_rank=3,
            mem_compatible=True,
        ),
    ]


@hookimpl
def pynenc_builder_methods() -> list[BuilderMethodSpec]:
    """Offer `PynencBuilder().asyncio_runner()`."""
    return [
        BuilderMethodSpec(
            name="asyncio_runner",
            summary="run async tasks beside each other on one event loop",
            kind="runner",
            target="pynenc_runner_asyncio.building:asyncio_runner",
        ),
    ]
