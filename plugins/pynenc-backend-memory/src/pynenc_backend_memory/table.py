"""The records of one app, their indexes and their history."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import Protocol

from pynenc_backend_memory.ranking import RankedIds
from pynenc_core.model import (
    FIRST_KEPT,
    LAST_KEPT,
    Blob,
    InvocationDTO,
    InvocationHistory,
    InvocationRecord,
    Lease,
    Query,
    RunnerBeat,
    Side,
    Signal,
    Swept,
    ended_at,
)
from pynenc_core.status import CLAIMABLE, FINAL, OWNED

_NONE: set[str] = set()
_QUERIED = ("runner_id", "unique_key", "call_id", "parent_id", "workflow_id", "limit_key", "task_id", "workflow_type", "queue")
_DYNAMIC = ("status", "runner_id")
_OUTBOX = ("has_outbox", "yes")


class Listener(Protocol):
    """Somebody who wants to know what became final."""

    def tell(self, invocation_id: str) -> None:
        """Learn, with the table's lock held, that an invocation is final or gone."""
        ...


def moment(entry: InvocationHistory) -> tuple[float, str, int]:
    """Return an entry's place among all entries of the app."""
    return entry.at, entry.invocation_id, entry.seq


def _labels(invocation: InvocationDTO) -> Iterator[tuple[str, str]]:
    """Yield what never changes and may be asked for: pairs of a query's field and its value."""
    for field in ("task_id", "call_id", "parent_id", "unique_key", "queue"):
        yield field, getattr(invocation, field)
    yield "workflow_id", invocation.workflow.workflow_id
    yield "workflow_type", invocation.workflow.workflow_type
    for limit in invocation.limits:
        yield "limit_key", limit.key


class MemoryTable:
    """What one app stores; every method is called with `lock` held."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.news: defaultdict[str, int] = defaultdict(int)
        """By queue: how often something became claimable, or claimable by others than before."""
        self.listeners: defaultdict[str, set[Listener]] = defaultdict(set)
        self.clear()

    def clear(self) -> None:
        """Remove everything; whoever watches an invocation learns that nothing will happen to it any more."""
        self.records: dict[str, InvocationRecord] = {}
        self.entries: dict[str, list[InvocationHistory]] = {}
        self.timeline: list[InvocationHistory] = []
        self.queues: defaultdict[str, RankedIds] = defaultdict(RankedIds)
        self.beside: defaultdict[str, RankedIds] = defaultdict(RankedIds)
        """By limit key: the CONCURRENCY_CONTROLLED ones that this key kept from starting."""
        self._beside_key: dict[str, str] = {}
        self.blobs: dict[str, tuple[bytes, float]] = {}
        self.values: defaultdict[str, dict[str, tuple[bytes, float | None]]] = defaultdict(dict)
        """By kind and key: the value, and when it expires."""
        self.beats: dict[str, RunnerBeat] = {}
        self.leases: dict[str, Lease] = {}
        self._index: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self.unique: dict[str, str] = {}
        self._signalled: set[str] = set()
        self._ended: list[tuple[float, str]] = []
        for invocation_id in tuple(self.listeners):
            self._tell(invocation_id)

    def insert(self, record: InvocationRecord, entry: InvocationHistory) -> None:
        """Store a new invocation with its first history entry."""
        for label in _labels(record.invocation):
            if label[1]:
                self._index[label].add(record.invocation_id)
        if record.invocation.unique_key:
            self.unique[record.invocation.unique_key] = record.invocation_id
        self.entries[record.invocation_id] = []
        self._set(None, record, "")
        self._note(entry)

    def replace(self, old: InvocationRecord, new: InvocationRecord, entries: Iterable[InvocationHistory], beside: str) -> None:
        """Put a record with a new state in the place of the old one, with its history."""
        self._set(old, new, beside)
        for entry in entries:
            self._note(entry)

    def set_side(self, record: InvocationRecord, side: Side) -> None:
        """Put side values in the place of the old ones."""
        new = InvocationRecord(invocation=record.invocation, call=record.call, state=record.state, side=side)
        self.records[new.invocation_id] = new
        if side.signal and not new.state.final:
            self._signalled.add(new.invocation_id)
        if side.boost == record.side.boost:
            return
        if new.state.status in CLAIMABLE:
            self._enqueue(new)
        elif key := self._beside_key.get(new.invocation_id):
            self.beside[key].put(new.invocation_id, new.rank)

    def set_outbox(self, record: InvocationRecord) -> None:
        """Put a record with another outbox in the place of the old one."""
        self.records[record.invocation_id] = record
        if not record.state.outbox:
            self._unlabel(_OUTBOX, record.invocation_id)

    def signals(self, runner_ids: Iterable[str]) -> tuple[Signal, ...]:
        """Return the requests to what these runners own."""
        if not self._signalled:
            return ()
        asked = set(runner_ids)
        records = [self.records[invocation_id] for invocation_id in sorted(self._signalled)]
        mine = [(record.side.signal, record.state) for record in records if record.state.runner_id in asked]
        return tuple([signal for signal, state in mine if signal and signal.concerns(state)])

    def select(self, query: Query) -> Iterable[str]:
        """Return the ids that the query fits, in no order."""
        sets = [self._index.get((field, value), _NONE) for field in _QUERIED if (value := getattr(query, field))]
        if query.has_outbox:
            sets.append(self._index.get(_OUTBOX, _NONE))
        if not sets and not query.statuses:
            return self.records
        if not sets:
            return [each for status in query.statuses for each in self._index.get(("status", status), _NONE)]
        found = set[str].intersection(*sorted(sets, key=len))
        return [each for each in found if self.records[each].state.status in query.statuses] if query.statuses else found

    def holders(self, key: str) -> int:
        """Return how many owned invocations have this limit."""
        return len(self._index.get(("holding", key), _NONE))

    def wait_beside(self, record: InvocationRecord, key: str) -> None:
        """Let a CONCURRENCY_CONTROLLED one wait for a slot of this limit and no other."""
        self.beside[self._beside_key.pop(record.invocation_id, "")].discard(record.invocation_id)
        if key:
            self.beside[key].put(record.invocation_id, record.rank)
            self._beside_key[record.invocation_id] = key

    def alive(self, kind: str, now: float, keys: Iterable[str] | None = None) -> dict[str, bytes]:
        """Return the values of a kind that have not expired, all or those asked for, by key."""
        stored = self.values.get(kind, {})
        chosen = stored if keys is None else [key for key in keys if key in stored]
        return {key: stored[key][0] for key in chosen if (until := stored[key][1]) is None or until > now}

    def put_blobs(self, blobs: Iterable[Blob], now: float) -> None:
        """Store blobs; of one that exists, only move the expiry forward."""
        for blob in blobs:
            data, expires = self.blobs.get(blob.key, (None, 0.0))
            self.blobs[blob.key] = (b"".join(blob.chunks) if data is None else data, max(expires, now + blob.ttl))

    def sweep(self, before: float, limit: int, now: float) -> Swept:
        """Remove up to `limit` invocations that were of no use before an instant, and all blobs and values that expired."""
        gone = 0
        while gone < limit and self._ended and self._ended[0][0] < before:
            invocation_id = heappop(self._ended)[1]
            record = self.records.pop(invocation_id)
            del self.entries[invocation_id]
            for label in (*_labels(record.invocation), ("status", record.state.status), _OUTBOX):
                self._unlabel(label, invocation_id)
            self._free_key(record.invocation)
            gone += 1
        if gone:
            self.timeline = [entry for entry in self.timeline if entry.invocation_id in self.records]
        blobs = [key for key, (_, until) in self.blobs.items() if until <= now]
        for key in blobs:
            del self.blobs[key]
        values = [(kept, key) for kept in self.values.values() for key, (_, until) in kept.items() if until is not None and until <= now]
        for kept, key in values:
            del kept[key]
        return Swept(gone, len(blobs), len(values))

    def _set(self, old: InvocationRecord | None, new: InvocationRecord, beside: str) -> None:
        """Store a record and keep every index that depends on its state."""
        invocation_id, invocation, state = new.invocation_id, new.invocation, new.state
        self.records[invocation_id] = new
        was = old.state if old else None
        for field in _DYNAMIC:
            before, after = getattr(was, field, ""), getattr(state, field)
            if before != after:
                self._unlabel((field, before), invocation_id)
                if after:
                    self._index[field, after].add(invocation_id)
        for limit in invocation.limits:
            if state.status in OWNED:
                self._index["holding", limit.key].add(invocation_id)
            else:
                self._unlabel(("holding", limit.key), invocation_id)
        if state.status in CLAIMABLE:
            self._enqueue(new)
        elif was and was.status in CLAIMABLE:
            self.queues[invocation.queue].discard(invocation_id)
        if state.outbox:
            self._index[_OUTBOX].add(invocation_id)
        if beside or invocation_id in self._beside_key:
            self.wait_beside(new, beside)
        if state.status in FINAL and not (was and was.status in FINAL):
            self._signalled.discard(invocation_id)
            if invocation.unique_until is None:
                self._free_key(invocation)
            heappush(self._ended, (ended_at(invocation, state), invocation_id))
            self._tell(invocation_id)

    def _enqueue(self, record: InvocationRecord) -> None:
        queue = record.invocation.queue
        self.queues[queue].put(record.invocation_id, record.rank, record.state.due, awaited=record.side.boost is not None)
        self.news[queue] += 1
        self.changed.notify_all()

    def _free_key(self, invocation: InvocationDTO) -> None:
        if self.unique.get(invocation.unique_key) == invocation.invocation_id:
            del self.unique[invocation.unique_key]

    def _unlabel(self, label: tuple[str, str], invocation_id: str) -> None:
        ids = self._index.get(label)
        if ids is not None:
            ids.discard(invocation_id)
            if not ids:
                del self._index[label]

    def _note(self, entry: InvocationHistory) -> None:
        kept = self.entries[entry.invocation_id]
        kept.append(entry)
        if len(kept) > FIRST_KEPT + LAST_KEPT:
            del self.timeline[bisect_left(self.timeline, moment(kept.pop(FIRST_KEPT)), key=moment)]
        if not self.timeline or moment(self.timeline[-1]) < moment(entry):
            self.timeline.append(entry)
        else:
            insort(self.timeline, entry, key=moment)

    def _tell(self, invocation_id: str) -> None:
        for listener in self.listeners.pop(invocation_id, ()):
            listener.tell(invocation_id)
