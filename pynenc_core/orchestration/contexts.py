"""Keeps runner contexts, so that history can name who did what."""

from __future__ import annotations

from collections.abc import Collection

from pynenc_core.model import RunnerContext
from pynenc_core.orchestration.engine import Engine

KIND = "runner_context"


def store_runner_context(engine: Engine, context: RunnerContext) -> None:
    """Store a context and its parents; one that is stored already stays as it is."""
    for each in context.lineage():
        engine.state.put_value(KIND, each.runner_id, each.to_json(), if_absent=True)


def get_runner_contexts(engine: Engine, runner_ids: Collection[str]) -> dict[str, RunnerContext]:
    """Return the contexts that are known, by runner id."""
    return {key: RunnerContext.from_json(value) for key, value in engine.state.get_values(KIND, runner_ids).items()}
