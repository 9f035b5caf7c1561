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
    Batch,
    Blob,
    InvocationDTO,
    InvocationHistory,
    InvocationRecord,
    Lease,
    Limit,
    Query,
    Queued,
    RunnerBeat,
    State,
    Submitted,
    Swept,
    ended_at,
    full_limit,
    registered,
)
from pynenc_core.status import CLAIMABLE, FINAL, OWNED, Status

_NONE: set[str] = set()
_QUERIED = ("runner_id", "unique_key", "call_id", "parent_id", "workflow_id", "limit_key", "task_id", "workflow_type", "queue")
_DYNAMIC = ("status", "runner_id")
OUTBOX = ("has_outbox", "yes")


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
        self.beside_key: dict[str, str] = {}
        self.blobs: dict[str, tuple[bytes, float]] = {}
        self.values: defaultdict[str, dict[str, tuple[bytes, float | None]]] = defaultdict(dict)
        """By kind and key: the value, and when it expires."""
        self.beats: dict[str, RunnerBeat] = {}
        self.leases: dict[str, Lease] = {}
        self._index: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._unique: dict[str, str] = {}
        self._batches: dict[str, Submitted] = {}
        self.signalled: set[str] = set()
        self._ended: list[tuple[float, str]] = []
        self._fresh: dict[str, None] = {}
        """What a swap or claim made claimable, until its reply is made."""
        for invocation_id in tuple(self.listeners):
            self._tell(invocation_id)

    def add(self, batch: Batch, now: float) -> Submitted:
        """Store a batch; see `Dispatcher.submit`."""
        if batch.batch_id in self._batches:
            return self._batches[batch.batch_id]
        self.put_blobs(batch.blobs, now)
        ids = [new.invocation.invocation_id for new in batch.invocations]
        reused: set[int] = set()
        for position, new in enumerate(batch.invocations):
            if ids[position] not in self.records:
                holder = self._holder(new.invocation.unique_key, now)
                if holder is None:
                    self._insert(*registered(new, now))
                else:
                    ids[position] = holder
                    reused.add(position)
        self._fresh.clear()
        submitted = Submitted(tuple(ids), frozenset(reused))
        if submitted.reused:  # a repetition must answer the same, though the holder may be final by then
            self._batches[batch.batch_id] = submitted
        return submitted

    def replace(self, old: InvocationRecord, state: State, entries: Iterable[InvocationHistory]) -> InvocationRecord:
        """Put a new state in the place of the old one, with its history; return the new record."""
        new = InvocationRecord(invocation=old.invocation, call=old.call, state=state, side=old.side)
        self._set(old, new)
        for entry in entries:
            self._note(entry)
        return new

    def select(self, query: Query) -> Iterable[str]:
        """Return the ids that the query fits, in no order."""
        sets = [self._index.get((field, value), _NONE) for field in _QUERIED if (value := getattr(query, field))]
        if query.has_outbox:
            sets.append(self._index.get(OUTBOX, _NONE))
        if not sets and not query.statuses:
            return self.records
        if not sets:
            return [each for status in query.statuses for each in self._index.get(("status", status), _NONE)]
        found = set[str].intersection(*sorted(sets, key=len))
        return [each for each in found if self.records[each].state.status in query.statuses] if query.statuses else found

    def holders(self, key: str) -> int:
        """Return how many owned invocations have this limit."""
        return len(self._index.get(("holding", key), _NONE))

    def full_limit_of(self, record: InvocationRecord) -> Limit | None:
        """Return the first limit of a record that has no room."""
        return full_limit(record.invocation.limits, self.holders) if record.invocation.limits else None

    def wait_beside(self, key: str, record: InvocationRecord) -> None:
        """Let a CONCURRENCY_CONTROLLED one wait for a slot of this limit and no other."""
        self.beside[self.beside_key.get(record.invocation_id, key)].discard(record.invocation_id)
        self.beside[key].put(record.invocation_id, record.rank)
        self.beside_key[record.invocation_id] = key

    def put_blobs(self, blobs: Iterable[Blob], now: float) -> None:
        """Store blobs; of one that exists, only move the expiry forward."""
        for blob in blobs:
            data, expires = self.blobs.get(blob.key, (None, 0.0))
            self.blobs[blob.key] = (b"".join(blob.chunks) if data is None else data, max(expires, now + blob.ttl))

    def sweep(self, before: float, limit: int, now: float) -> Swept:
        """Remove up to `limit` invocations of no use since before an instant, and all blobs and values that expired."""
        gone = 0
        while gone < limit and self._ended and self._ended[0][0] < before:
            invocation_id = heappop(self._ended)[1]
            record = self.records.pop(invocation_id)
            del self.entries[invocation_id]
            for label in (*_labels(record.invocation), ("status", record.state.status), OUTBOX):
                self.unlabel(label, invocation_id)
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

    def _insert(self, record: InvocationRecord, entry: InvocationHistory) -> None:
        for label in _labels(record.invocation):
            if label[1]:
                self._index[label].add(record.invocation_id)
        if record.invocation.unique_key:
            self._unique[record.invocation.unique_key] = record.invocation_id
        self.entries[record.invocation_id] = []
        self._set(None, record)
        self._note(entry)

    def _set(self, old: InvocationRecord | None, new: InvocationRecord) -> None:
        """Store a record and keep every index that depends on its state."""
        invocation_id, invocation, state = new.invocation_id, new.invocation, new.state
        self.records[invocation_id] = new
        was = old.state if old else None
        for field in _DYNAMIC:
            before, after = getattr(was, field, ""), getattr(state, field)
            if before != after:
                self.unlabel((field, before), invocation_id)
                if after:
                    self._index[field, after].add(invocation_id)
        if state.outbox:
            self._index[OUTBOX].add(invocation_id)
        for limit in invocation.limits:
            if state.status in OWNED:
                self._index["holding", limit.key].add(invocation_id)
            else:
                self.unlabel(("holding", limit.key), invocation_id)
        if state.status in CLAIMABLE:
            self.enqueue(new)
        elif was and was.status in CLAIMABLE:
            self.queues[invocation.queue].discard(invocation_id)
        if state.status is Status.CONCURRENCY_CONTROLLED and invocation.limits:
            self.wait_beside((self.full_limit_of(new) or invocation.limits[0]).key, new)
        elif was and was.status is Status.CONCURRENCY_CONTROLLED:
            self.beside[self.beside_key.pop(invocation_id, "")].discard(invocation_id)
        if state.status in FINAL and not (was and was.status in FINAL):
            self._end(new)

    def _end(self, record: InvocationRecord) -> None:
        invocation_id, invocation = record.invocation_id, record.invocation
        self.signalled.discard(invocation_id)
        if invocation.unique_until is None:
            self._free_key(invocation)
        heappush(self._ended, (ended_at(invocation, record.state), invocation_id))
        self._tell(invocation_id)

    def enqueue(self, record: InvocationRecord) -> None:
        """Let a claimable one take its place in its queue."""
        queue = record.invocation.queue
        self.queues[queue].put(record.invocation_id, record.rank, record.state.due, awaited=record.side.boost is not None)
        self._fresh[record.invocation_id] = None
        self.news[queue] += 1
        self.changed.notify_all()

    def made_claimable(self) -> tuple[Queued, ...]:
        """Return what this step made claimable and left so."""
        if not self._fresh:
            return ()
        fresh, self._fresh = [self.records[each] for each in self._fresh if each in self.records], {}
        return tuple([record.queued for record in fresh if record.state.status in CLAIMABLE])

    def _holder(self, unique_key: str, now: float) -> str | None:
        """Return the invocation that a unique key stands for, if it counts for one."""
        holder = self._unique.get(unique_key)
        if holder is None:
            return None
        until = self.records[holder].invocation.unique_until
        return holder if until is None or now < until else None

    def _free_key(self, invocation: InvocationDTO) -> None:
        if self._unique.get(invocation.unique_key) == invocation.invocation_id:
            del self._unique[invocation.unique_key]

    def unlabel(self, label: tuple[str, str], invocation_id: str) -> None:
        """Take an invocation out of an index."""
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
