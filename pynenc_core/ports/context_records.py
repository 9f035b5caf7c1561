"""Runner contexts under their public names, over the storage verbs."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pynenc_core.model import RunnerContext
from pynenc_core.ports.lookups import Recently, values
from pynenc_core.ports.runtime import StoreView
from pynenc_core.ports.storage import CoordinationStorage

_KIND = "runner_context"
_LIFE = 90 * 24 * 3600.0  # seconds since it was last stored: longer than what names it is kept


class ContextRecords(CoordinationStorage):
    """Who did what: the contexts that history names by their `runner_id`. Each is kept for 90 days after it was last stored."""

    app: StoreView
    recently: Recently

    def store_runner_context(self, context: RunnerContext) -> None:
        """Store a context and its parents; within a minute, the same one is not stored again by this process."""
        for one in context.lineage():
            if one not in self.recently:
                self.put_value(_KIND, one.runner_id, one.to_json(), ttl=_LIFE)
                self.recently.add(one)

    def get_runner_context(self, runner_id: str) -> RunnerContext | None:
        """Return the context of this id with its parents, or None when it is not known, or not any more."""
        return self.get_runner_contexts([runner_id]).get(runner_id)

    def get_runner_contexts(self, runner_ids: Collection[str]) -> dict[str, RunnerContext]:
        """Return the contexts that are known, by id."""
        return {key: RunnerContext.from_json(value) for key, value in self.get_values(_KIND, runner_ids).items()}

    def get_matching_runner_contexts(self, partial_id: str) -> Iterator[RunnerContext]:
        """Yield the contexts with this text anywhere in their id (a class, a host, a pid, ...), by id; all contexts are looked at."""
        return (RunnerContext.from_json(value) for key, value in values(self, _KIND) if partial_id in key)
