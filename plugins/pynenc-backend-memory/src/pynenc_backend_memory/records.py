"""The verbs for invocations: their records, history and payloads."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from heapq import nlargest, nsmallest

from pynenc_backend_memory.step import MemoryStep
from pynenc_backend_memory.table import MemoryTable, moment
from pynenc_core.model import (
    Ask,
    Batch,
    Blob,
    Change,
    ClaimReply,
    InvocationHistory,
    InvocationRecord,
    Mark,
    Query,
    Submitted,
    Swapped,
    Swept,
)
from pynenc_core.ports import atomic
from pynenc_core.ports.runtime import StoreView
from pynenc_core.ports.storage import RecordStorage
from pynenc_core.status import Status


class MemoryWatch:
    """A wait for invocations to become final, woken by the table."""

    def __init__(self, table: MemoryTable, invocation_ids: Collection[str]) -> None:
        self._table = table
        self._ids = frozenset(invocation_ids)
        self._changed = threading.Condition(table.lock)
        self._closed = False
        with table.lock:
            self._ended: set[str] = {each for each in self._ids if each not in table.records or table.records[each].state.final}
            for invocation_id in self._ids - self._ended:
                table.listeners[invocation_id].add(self)

    def tell(self, invocation_id: str) -> None:
        """Learn that an invocation ended."""
        self._ended.add(invocation_id)
        self._changed.notify_all()

    def wait(self, timeout: float | None) -> frozenset[str]:
        """Return what ended since the last call; block up to `timeout` seconds while that is nothing."""
        with self._table.lock:
            self._changed.wait_for(lambda: self._ended or self._closed, timeout)
            ended, self._ended = frozenset(self._ended), set[str]()
        return ended

    def close(self) -> None:
        """Stop listening."""
        with self._table.lock:
            self._closed = True
            for invocation_id in self._ids & self._table.listeners.keys():
                self._table.listeners[invocation_id].discard(self)
                if not self._table.listeners[invocation_id]:
                    del self._table.listeners[invocation_id]
            self._changed.notify_all()


class MemoryRecords(RecordStorage):
    """Invocations in a table."""

    app: StoreView
    table: MemoryTable

    def step(self) -> MemoryStep:
        """Return a step of the rules; the table's lock is held."""
        return MemoryStep(self.table, self.app.clock.time())

    def add_batch(self, batch: Batch) -> Submitted:
        """Store a batch."""
        with self.table.lock:
            return atomic.submit(self.step(), batch)

    def get(self, invocation_ids: Collection[str]) -> dict[str, InvocationRecord]:
        """Return the records that exist, by id."""
        with self.table.lock:
            return {each: record for each in invocation_ids if (record := self.table.records.get(each))}

    def swap(self, changes: Sequence[Change]) -> Swapped:
        """Write or refuse each change."""
        with self.table.lock:
            return atomic.swap(self.step(), changes)

    def acquire(self, invocation_ids: Sequence[str], ask: Ask) -> ClaimReply:
        """Claim what is claimable of these."""
        with self.table.lock:
            return atomic.acquire(self.step(), invocation_ids, ask)

    def mark(self, marks: Sequence[Mark]) -> tuple[str, ...]:
        """Write side values; return the ids of those refused."""
        with self.table.lock:
            step = self.step()
            return tuple([mark.invocation_id for mark in marks if atomic.mark(step, mark)])

    def find(
        self, query: Query, *, after: str = "", before: str = "", limit: int = 100, newest_first: bool = False
    ) -> tuple[InvocationRecord, ...]:
        """Return the records that the query fits, by id."""
        with self.table.lock:
            ids = (each for each in self.table.select(query) if after < each and (not before or each < before))
            page = nlargest(limit, ids) if newest_first else nsmallest(limit, ids)
            return tuple([self.table.records[each] for each in page])

    def count(self, query: Query) -> dict[Status, int]:
        """Return how many invocations the query fits, by status."""
        with self.table.lock:
            return dict(Counter(self.table.records[each].state.status for each in self.table.select(query)))

    def history(self, invocation_ids: Collection[str]) -> dict[str, tuple[InvocationHistory, ...]]:
        """Return the entries that are kept of each known invocation."""
        with self.table.lock:
            return {each: tuple(kept) for each in invocation_ids if (kept := self.table.entries.get(each))}

    def history_between(
        self, start: float, end: float, *, after: tuple[float, str, int] | None = None, limit: int = 100
    ) -> tuple[InvocationHistory, ...]:
        """Return entries of a time range, in order."""
        with self.table.lock:
            line = self.table.timeline
            first = bisect_left(line, start, key=lambda entry: entry.at)
            if after is not None:
                first = max(first, bisect_right(line, after, key=moment))
            return tuple([entry for entry in line[first : first + limit] if entry.at < end])

    def put_blobs(self, blobs: Iterable[Blob]) -> None:
        """Store blobs, or move their expiry forward."""
        with self.table.lock:
            self.table.put_blobs(blobs, self.app.clock.time())

    def get_blobs(self, keys: Collection[str]) -> dict[str, bytes]:
        """Return the contents that exist, by key."""
        with self.table.lock:
            return {key: self.table.blobs[key][0] for key in keys if key in self.table.blobs}

    def watch(self, invocation_ids: Collection[str]) -> MemoryWatch:
        """Begin to watch invocations for becoming final."""
        return MemoryWatch(self.table, invocation_ids)

    def sweep(self, before: float, limit: int = 1000) -> Swept:
        """Remove old final invocations, expired blobs and values."""
        with self.table.lock:
            return self.table.sweep(before, limit, self.app.clock.time())

    def purge(self) -> None:
        """Remove everything."""
        with self.table.lock:
            self.table.clear()
