"""A table as the rules of atomic stores see it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from pynenc_backend_memory.table import MemoryTable
from pynenc_core.model import Blob, InvocationHistory, InvocationRecord, Limit, Queued, Side, Signal, State


class MemoryStep:
    """One hold of a table's lock."""

    def __init__(self, table: MemoryTable, now: float) -> None:
        self._table = table
        self.now = now
        self.fresh: dict[str, Queued] = {}

    def held(self, invocation_id: str) -> InvocationRecord | None:
        """Return an invocation."""
        return self._table.records.get(invocation_id)

    def record(self, held: InvocationRecord, state: State | None = None) -> InvocationRecord:
        """Return the whole record: it is at hand."""
        return held if state is None else InvocationRecord(invocation=held.invocation, call=held.call, state=state, side=held.side)

    def limits(self, held: InvocationRecord) -> tuple[Limit, ...]:
        """Return the limits of an invocation."""
        return held.invocation.limits

    def queued(self, held: InvocationRecord, state: State, side: Side) -> Queued:
        """Return what a queue would hold of an invocation."""
        return InvocationRecord(invocation=held.invocation, call=held.call, state=state, side=side).queued

    def insert(self, record: InvocationRecord, entry: InvocationHistory) -> None:
        """Store a new invocation."""
        self._table.insert(record, entry)

    def write(self, held: InvocationRecord, state: State, entries: Sequence[InvocationHistory], beside: str) -> None:
        """Put a state in the place of the old one."""
        self._table.replace(held, self.record(held, state), entries, beside)

    def write_outbox(self, held: InvocationRecord, state: State) -> None:
        """Put a state with another outbox in the place of the old one."""
        self._table.set_outbox(self.record(held, state))

    def write_side(self, held: InvocationRecord, side: Side) -> None:
        """Put side values in the place of the old ones."""
        self._table.set_side(held, side)

    def put_blobs(self, blobs: Iterable[Blob]) -> None:
        """Store blobs."""
        self._table.put_blobs(blobs, self.now)

    def value(self, kind: str, key: str) -> bytes | None:
        """Return a small value."""
        return self._table.alive(kind, self.now, (key,)).get(key)

    def put_value(self, kind: str, key: str, value: bytes, ttl: float | None) -> None:
        """Store a small value."""
        self._table.values[kind][key] = (value, None if ttl is None else self.now + ttl)

    def known(self, invocation_ids: Collection[str]) -> Collection[str]:
        """Return those that are stored."""
        return self._table.records.keys() & invocation_ids

    def unique_holder(self, key: str) -> tuple[str, float | None] | None:
        """Return who holds a unique key, and until when it counts."""
        holder = self._table.unique.get(key)
        return None if holder is None else (holder, self._table.records[holder].invocation.unique_until)

    def free_unique(self, invocation_id: str, key: str) -> None:
        """Let an invocation give its unique key up."""
        del invocation_id
        del self._table.unique[key]

    def holders(self, key: str) -> int:
        """Return how many hold a limit key."""
        return self._table.holders(key)

    def next_due(self, queue: str) -> float | None:
        """Return when the next one is due."""
        return self._table.queues[queue].advance(self.now)

    def candidates(self, queue: str, limit: int, *, awaited_only: bool) -> Sequence[InvocationRecord]:
        """Return the first in a queue's order."""
        first = self._table.queues[queue].first(awaited_only=awaited_only) if limit > 0 else None
        return () if first is None else (self._table.records[first],)

    def first_beside(self, key: str) -> InvocationRecord | None:
        """Return the first that waits for a limit key."""
        first = self._table.beside[key].first()
        return None if first is None else self._table.records[first]

    def wait_beside(self, held: InvocationRecord, key: str) -> None:
        """Let one wait for another key."""
        self._table.wait_beside(held, key)

    def signals(self, runner_ids: Collection[str]) -> tuple[Signal, ...]:
        """Return the requests to what these runners own."""
        return self._table.signals(runner_ids)
