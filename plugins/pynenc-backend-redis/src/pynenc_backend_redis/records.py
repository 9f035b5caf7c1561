"""The verbs for invocations: their records, history and payloads."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from pynenc_backend_redis import encoding
from pynenc_backend_redis.ear import Ear
from pynenc_backend_redis.keys import PREFIXES, pattern
from pynenc_backend_redis.link import Link
from pynenc_core.model import (
    FIRST_KEPT,
    LAST_KEPT,
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
from pynenc_core.ports.storage import RecordStorage
from pynenc_core.status import FINAL, OWNED, Status

_AT_ONCE = 500  # ids in one call
_SWEPT_AT_ONCE = 100  # invocations removed in one call, which takes some 3 ms
_SELECTIVE = ("unique_key", "call_id", "parent_id", "workflow_id")
_TALLIED_AT_ONCE = 2000  # looks in one call, which takes some 2 ms
_LABELS = (*_SELECTIVE, "limit_key", "task_id", "workflow_type")
_ALONE = tuple(status for status in Status if status not in OWNED)

Source = tuple[str, bytes]
"""An index, and what its members begin with before the id."""


class RedisWatch:
    """A wait for invocations to become final, told by the ear."""

    def __init__(self, link: Link, ear: Ear, invocation_ids: Collection[str]) -> None:
        ear.listen()
        self._ear = ear
        self._changed = threading.Condition(ear.lock)  # one lock, and only who is concerned wakes up
        self._open = set(invocation_ids)
        self._ended: set[str] = set()
        self._closed = False
        with ear.changed:
            for invocation_id in self._open:
                ear.listeners[invocation_id].add(self)
        try:
            over = [each.decode() for page in _pages(self._open) for each in link.run("watch", ear.name, *page)]
        except BaseException:
            self.close()
            raise
        with ear.changed:
            for invocation_id in over:
                self._forget(invocation_id)
                self.tell(invocation_id)

    def tell(self, invocation_id: str) -> None:
        """Learn that an invocation ended."""
        if invocation_id in self._open:
            self._open.discard(invocation_id)
            self._ended.add(invocation_id)
            self._changed.notify_all()

    def end(self) -> None:
        """Learn that nothing will be told any more."""
        self._closed = True
        self._changed.notify_all()

    def wait(self, timeout: float | None) -> frozenset[str]:
        """Return what ended since the last call; block up to `timeout` seconds while that is nothing."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._closed, timeout)
            ended, self._ended = frozenset(self._ended), set[str]()
        return ended

    def close(self) -> None:
        """Stop listening; the server forgets it when the invocation ends."""
        with self._ear.changed:
            for invocation_id in self._open:
                self._forget(invocation_id)
            self.end()

    def _forget(self, invocation_id: str) -> None:
        listeners = self._ear.listeners
        if invocation_id in listeners:
            listeners[invocation_id].discard(self)
            if not listeners[invocation_id]:
                del listeners[invocation_id]


class RedisRecords(RecordStorage):
    """Invocations on a server."""

    link: Link
    ear: Ear

    def add_batch(self, batch: Batch) -> Submitted:
        """Store a batch."""
        return encoding.submitted_of(batch, self.link.run("submit", *encoding.batch_arguments(batch)))

    def get(self, invocation_ids: Collection[str]) -> dict[str, InvocationRecord]:
        """Return the records that exist, by id."""
        return {
            record.invocation_id: record
            for page in _pages(invocation_ids)
            for record in map(encoding.record_of, self.link.run("get", *page))
        }

    def swap(self, changes: Sequence[Change]) -> Swapped:
        """Write or refuse each change."""
        refused, claimable, _ = self.link.run("settle", *encoding.change_arguments(changes), "")
        return Swapped(encoding.refusals_of(changes, refused), encoding.queued_of(claimable))

    def acquire(self, invocation_ids: Sequence[str], ask: Ask) -> ClaimReply:
        """Claim what is claimable of these."""
        reply = self.link.run("acquire", *encoding.ask_arguments(ask, ""), len(invocation_ids), *invocation_ids)
        return encoding.claim_of(reply, ask.runner_id)[0]

    def mark(self, marks: Sequence[Mark]) -> tuple[str, ...]:
        """Write side values; return the ids of those refused."""
        return tuple([each.decode() for each in self.link.run("mark", *encoding.mark_arguments(marks))])

    def find(
        self, query: Query, *, after: str = "", before: str = "", limit: int = 100, newest_first: bool = False
    ) -> tuple[InvocationRecord, ...]:
        """Return the records that the query fits, by id."""
        found: list[InvocationRecord] = []
        for records in self._candidates(query, after, before, limit, newest_first=newest_first):
            found += [record for record in records if _fits(query, record)]
            if len(found) >= limit:
                break
        return tuple(found[:limit])

    def count(self, query: Query) -> dict[Status, int]:
        """Return how many invocations the query fits, by status."""
        found: Counter[Status] = Counter()
        if query == Query(statuses=query.statuses):
            sizes, owned = self.link.run("count", *map(str, _ALONE))
            found.update(dict(zip(_ALONE, sizes, strict=True)))
            found.update(Status(status.decode()) for status in owned if status)
        elif (labels := _labels_alone(query)) and len(labels) == 1:
            found.update(self._tally(labels[0]))
        else:
            for records in self._candidates(query, "", "", _AT_ONCE, newest_first=False):
                found.update(record.state.status for record in records if _fits(query, record))
        return {status: number for status, number in found.items() if number and (not query.statuses or status in query.statuses)}

    def _tally(self, label: bytes) -> Counter[Status]:
        """Count what has a label, without reading any of it here."""
        found: Counter[Status] = Counter()
        lowest = b"[" + label
        while True:
            last, *counts = self.link.run("tally", lowest, b"(" + label + b"\xff", _TALLIED_AT_ONCE)
            found.update({Status(name.decode()): number for name, number in zip(counts[::2], counts[1::2], strict=True)})
            if not last:
                return found
            lowest = b"(" + last

    def history(self, invocation_ids: Collection[str]) -> dict[str, tuple[InvocationHistory, ...]]:
        """Return the entries that are kept of each known invocation."""
        found: dict[str, tuple[InvocationHistory, ...]] = {}
        for page in _pages(invocation_ids):
            for invocation_id, last, messages in self.link.run("history", *page):
                entries = [entry for message in messages if message for entry in encoding.entries_of(message)]
                kept = [entry for entry in entries if entry.seq <= FIRST_KEPT or entry.seq > int(last) - LAST_KEPT]
                found[invocation_id.decode()] = tuple(kept)
        return found

    def history_between(
        self, start: float, end: float, *, after: tuple[float, str, int] | None = None, limit: int = 100
    ) -> tuple[InvocationHistory, ...]:
        """Return entries of a time range, in order."""
        first = max(start, after[0]) if after else start
        cursor, last = f"{max(0, math.floor(first * 1e6) - 1)}-0", f"{max(0, math.ceil(end * 1e6))}"
        stream, found = f"{self.link.prefix}{PREFIXES['HISTORY']}", list[InvocationHistory]()
        while len(found) < limit and (messages := self.link.call("XRANGE", stream, cursor, last, "COUNT", limit)):
            newest = messages[-1][0].decode()
            instant = newest.partition("-")[0]
            # what was written in the same microsecond stands in the order of writing, and is wanted in that of ids
            messages += self.link.call("XRANGE", stream, f"({newest}", f"{instant}-{2**32}")
            entries = [entry for message in messages for entry in encoding.entries_of(message) if start <= entry.at < end]
            found += sorted((entry for entry in entries if after is None or _moment(entry) > after), key=_moment)
            cursor = f"({instant}-{2**32}"
        return tuple(found[:limit])

    def put_blobs(self, blobs: Iterable[Blob]) -> None:
        """Store blobs, or move their expiry forward."""
        self.link.run("put_blobs", *encoding.blob_arguments(tuple(blobs)))

    def get_blobs(self, keys: Collection[str]) -> dict[str, bytes]:
        """Return the contents that exist, by key."""
        wanted = tuple(keys)
        found = self.link.run("get_blobs", *wanted) if wanted else ()
        return {key: b"".join(pieces[0]) for key, pieces in zip(wanted, found, strict=True) if pieces}

    def watch(self, invocation_ids: Collection[str]) -> RedisWatch:
        """Begin to watch invocations for becoming final."""
        return RedisWatch(self.link, self.ear, invocation_ids)

    def sweep(self, before: float, limit: int = 1000) -> Swept:
        """Remove old final invocations, some at a time so that nobody waits long for them, expired blobs and values."""
        removed = blobs = values = 0
        while removed < limit:
            wanted = min(limit - removed, _SWEPT_AT_ONCE)
            found = self.link.run("sweep", f"{before * 1e6:.0f}", wanted)
            removed += found
            if found < wanted:
                break
        while True:
            expired = self.link.run("expire", _SWEPT_AT_ONCE)
            blobs, values = blobs + expired[0], values + expired[1]
            if max(expired) < _SWEPT_AT_ONCE:
                return Swept(removed, blobs, values)

    def purge(self) -> None:
        """Remove everything of this app, some keys at a time."""
        for keys in scan(self.link, pattern(self.link.prefix)):
            self.link.run("purge", *keys)

    def _candidates(
        self, query: Query, after: str, before: str, limit: int, *, newest_first: bool
    ) -> Iterator[Collection[InvocationRecord]]:
        """Yield the records of the index that has the fewest for a query, by id, some at a time."""
        sources, extra = _sources(query)
        size = min(max(limit, 50), _AT_ONCE)
        while True:
            ids = self._page(sources, after, before, size, newest_first=newest_first)
            if extra and after < extra and not (before and extra >= before) and extra not in ids:
                ids = sorted([*ids, extra], reverse=newest_first)[:size]
            if ids:
                records = self.get(ids)
                yield [records[each] for each in ids if each in records]
            if len(ids) < size:
                return
            after, before = (after, ids[-1]) if newest_first else (ids[-1], before)

    def _page(self, sources: Sequence[Source], after: str, before: str, size: int, *, newest_first: bool) -> list[str]:
        arguments: list[str | bytes] = []
        owners = any(name == PREFIXES["OWNERS"] and not begin for name, begin in sources)
        for name, begin in sources:
            if name == PREFIXES["OWNERS"] and not begin:
                arguments += (name, "-", "+")
                continue
            lowest = b"(" + begin + after.encode() if after else b"[" + begin if begin else b"-"
            highest = b"(" + begin + (before.encode() or b"\xff") if begin or before else b"+"
            arguments += (name, lowest, highest)
        found: set[str] = set()
        most = 2**31 if owners else size
        for (name, begin), members in zip(sources, self.link.run("page", "1" if newest_first else "", most, *arguments), strict=True):
            owned = name == PREFIXES["OWNERS"] and not begin
            found |= {(member.partition(b"\0")[2] if owned else member[len(begin) :]).decode() for member in members}
        return sorted((each for each in found if after < each and not (before and each >= before)), reverse=newest_first)[:size]


def scan(link: Link, match: str) -> Iterator[list[bytes]]:
    """Yield the keys that match, some at a time."""
    cursor: bytes | str = "0"
    while True:
        cursor, keys = link.call("SCAN", cursor, "MATCH", match, "COUNT", 1000)
        for start in range(0, len(keys), _AT_ONCE):
            yield keys[start : start + _AT_ONCE]
        if cursor == b"0":
            return


def _pages(invocation_ids: Collection[str]) -> Iterator[tuple[str, ...]]:
    ids = tuple(invocation_ids)
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))


def _moment(entry: InvocationHistory) -> tuple[float, str, int]:
    return entry.at, entry.invocation_id, entry.seq


def _fits(query: Query, record: InvocationRecord) -> bool:
    fixed, state = record.invocation, record.state
    return (
        (not query.statuses or state.status in query.statuses)
        and (not query.runner_id or query.runner_id == state.runner_id)
        and all(not (asked := getattr(query, name)) or asked == getattr(fixed, name) for name in ("task_id", "call_id", "parent_id"))
        and (not query.workflow_id or query.workflow_id == fixed.workflow.workflow_id)
        and (not query.workflow_type or query.workflow_type == fixed.workflow.workflow_type)
        and (not query.unique_key or query.unique_key == fixed.unique_key)
        and (not query.queue or query.queue == fixed.queue)
        and (not query.limit_key or any(limit.key == query.limit_key for limit in fixed.limits))
        and (not query.has_outbox or bool(state.outbox))
    )


def _labels_alone(query: Query) -> list[bytes]:
    """Return the labels of a query that asks for nothing else but statuses, and that are all there is to it."""
    asked = {field: value for field in ("unique_key", "call_id", "parent_id", "limit_key", "task_id") if (value := getattr(query, field))}
    if query != Query(statuses=query.statuses, **asked):
        return []
    return [encoding.label(field, value) for field, value in asked.items()]


def _sources(query: Query) -> tuple[list[Source], str]:
    """Return the indexes that together name whatever fits, and an id that may fit besides.

    What leads is the outbox, an owner, a label that few have, a status that few are in, or any label or status, in this order.
    """
    if query.has_outbox:
        return [(PREFIXES["OUTBOX"], b"")], ""
    if query.runner_id:
        return [(PREFIXES["OWNERS"], query.runner_id.encode() + b"\0")], ""
    asked = [(field, value) for field in _LABELS if (value := getattr(query, field))]
    few = any(getattr(query, field) for field in _SELECTIVE)
    if asked and (few or not query.statuses or query.statuses & FINAL):
        field, value = asked[0]
        labels = [encoding.label(field, value)]
        if field == "workflow_type":  # where it is the task's own name, only that is indexed
            labels.append(encoding.label("task_id", value))
        return [(PREFIXES["LABELS"], each) for each in labels], value if field == "workflow_id" else ""
    statuses = query.statuses or frozenset(Status)
    sources = [(f"{PREFIXES['STATUS']}{status}", b"") for status in sorted(statuses - OWNED)]
    return sources + [(PREFIXES["OWNERS"], b"")] * bool(statuses & OWNED), ""
