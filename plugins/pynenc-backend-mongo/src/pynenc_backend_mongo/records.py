"""The verbs for invocations: their records, history and payloads."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from pynenc_backend_mongo import layout, payloads
from pynenc_backend_mongo.batches import KEPT, Batches
from pynenc_backend_mongo.claims import Claims
from pynenc_backend_mongo.database import Database
from pynenc_backend_mongo.documents import (
    ASKED,
    FINISHED,
    LATER,
    MICROSECONDS,
    VISIBLE,
    Document,
    Held,
    decode_entries,
    from_entries,
    label,
)
from pynenc_backend_mongo.transitions import Fresh, Transitions
from pynenc_backend_mongo.watching import MongoWatch
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
from pynenc_core.status import Status

_INSIDE = {"entries": 1, "before": 1, "began": 1, "last": 1}


class MongoRecords(RecordStorage):
    """Invocations in a collection."""

    database: Database
    batches: Batches
    transitions: Transitions

    def add_batch(self, batch: Batch) -> Submitted:
        """Store a batch."""
        return self.batches.add(batch)

    def get(self, invocation_ids: Collection[str]) -> dict[str, InvocationRecord]:
        """Return the records that exist, by id."""
        return {each: held.record() for each, held in self.transitions.writes.read_all(invocation_ids).items()}

    def swap(self, changes: Sequence[Change]) -> Swapped:
        """Write or refuse each change."""
        fresh: Fresh = {}
        refused = self.transitions.swap_all(changes, fresh)
        return Swapped(refused, tuple(fresh.values()))

    def acquire(self, invocation_ids: Sequence[str], ask: Ask) -> ClaimReply:
        """Claim what is claimable of these."""
        claims = Claims(self.transitions, ask, {})
        found = self.transitions.writes.read_all(invocation_ids)
        claims.take_in([found[each] for each in dict.fromkeys(invocation_ids) if each in found], in_order=False)
        return self.reply(claims, None if claims.satisfied else self.next_due(ask.queues))

    def reply(self, claims: Claims, next_due: float | None) -> ClaimReply:
        """Return what a claim got; if less than it asked for, with requests to what it owns here, and when the next one is due."""
        got, claimable = tuple(claims.got), tuple(claims.fresh.values())
        if claims.satisfied:
            return ClaimReply(claimed=got, claimable=claimable)
        return ClaimReply(claimed=got, signals=self.transitions.signals([claims.ask.runner_id]), next_due=next_due, claimable=claimable)

    def next_due(self, queues: Sequence[str]) -> float | None:
        """Return when the next one of these queues is due."""
        later = {"queue": {"$in": list(queues)}, "phase": LATER}
        found = self.database.find(layout.INVOCATIONS, later, {"due": 1}, sort=[("due", 1)], limit=1)
        return found[0]["due"] if found else None

    def mark(self, marks: Sequence[Mark]) -> tuple[str, ...]:
        """Write side values; return the ids of those refused."""
        return tuple(self.transitions.mark(marks, {}))

    def find(
        self, query: Query, *, after: str = "", before: str = "", limit: int = 100, newest_first: bool = False
    ) -> tuple[InvocationRecord, ...]:
        """Return the records that the query fits, by id."""
        bounds = {**({"$gt": after} if after else {}), **({"$lt": before} if before else {})}
        wanted = {**_filter(query), **({"id": bounds} if bounds else {})}
        found = self.database.find(layout.INVOCATIONS, wanted, sort=[("id", -1 if newest_first else 1)], limit=limit)
        return tuple([Held(document).record() for document in found])

    def count(self, query: Query) -> dict[Status, int]:
        """Return how many invocations the query fits, by status."""
        stages = [{"$match": _filter(query)}, {"$group": {"_id": "$status", "count": {"$sum": 1}}}]
        return {Status(each["_id"]): each["count"] for each in self.database.call(layout.INVOCATIONS, "aggregate", stages)}

    def history(self, invocation_ids: Collection[str]) -> dict[str, tuple[InvocationHistory, ...]]:
        """Return the entries that are kept of each known invocation."""
        inside = self.database.find_all(layout.INVOCATIONS, invocation_ids, VISIBLE, _INSIDE)
        archived = [each["_id"] for each in inside if each["before"]]
        copies = self.database.find_all(layout.HISTORY, archived, {}, by="invocation")
        found: dict[str, dict[int, InvocationHistory]] = {each["_id"]: {} for each in inside}
        for document in [*copies, *inside]:
            for entry in _entries(document):
                found[entry.invocation_id][entry.seq] = entry
        return {each: _kept(entries) for each, entries in found.items()}

    def history_between(
        self, start: float, end: float, *, after: tuple[float, str, int] | None = None, limit: int = 100
    ) -> tuple[InvocationHistory, ...]:
        """Return entries of a time range, in order.

        Entries stand inside their invocations, so those that had begun before the page and ended after are read whole; of
        those that began within it as many as the page may need.
        """
        low = start if after is None else max(start, after[0])
        going_on = {"began": {"$lte": low}, "last": {"$gte": math.floor(low * MICROSECONDS)}, **VISIBLE}
        begins = {"began": {"$gt": low, "$lt": end}, **VISIBLE}
        documents = self.database.find(layout.INVOCATIONS, going_on, _INSIDE)
        edges: list[tuple[float, str, float]] = []  # what lies behind an edge was not read
        begun = self.database.find(layout.INVOCATIONS, begins, _INSIDE, sort=[("began", 1), ("id", 1)], limit=limit)
        edges += [(each["began"], each["_id"], float("inf")) for each in begun[limit - 1 :]]
        copied: Document = {"at": {"$gte": low, "$lt": end}}
        order = [("at", 1), ("invocation", 1), ("seq", 1)]
        if after is not None and after[0] >= start:
            copied = {"$or": [{"at": {"$gt": low, "$lt": end}}, {"at": low, "invocation": {"$gte": after[1]}}]}
        copies = self.database.find(layout.HISTORY, copied, sort=order, limit=limit + LAST_KEPT + FIRST_KEPT)
        edges += [(each["at"], each["invocation"], each["seq"]) for each in copies[limit + LAST_KEPT + FIRST_KEPT - 1 :]]
        found = {(entry.at, entry.invocation_id, entry.seq): entry for each in (*documents, *begun, *copies) for entry in _entries(each)}
        edge = min(edges, default=(end, "", 0))
        page = [key for key in sorted(found) if low <= key[0] < end and key <= edge and (after is None or key > after)]
        return tuple([found[key] for key in page[:limit]])

    def put_blobs(self, blobs: Iterable[Blob]) -> None:
        """Store blobs, or move their expiry forward."""
        payloads.put(self.database, blobs)

    def get_blobs(self, keys: Collection[str]) -> dict[str, bytes]:
        """Return the contents that exist, by key."""
        return payloads.get(self.database, keys)

    def watch(self, invocation_ids: Collection[str]) -> MongoWatch:
        """Begin to watch invocations for becoming final."""
        return MongoWatch(self.database, invocation_ids)

    def sweep(self, before: float, limit: int = 1000) -> Swept:
        """Remove old final invocations, expired blobs and values, and answers that nobody will ask for again."""
        call, now = self.database.call, self.database.now()
        old = call(layout.INVOCATIONS, "find", {"ended": {"$lt": before}}, {"_id": 1}, sort=[("ended", 1)], limit=limit)
        ids = [each["_id"] for each in old]
        gone = 0
        if ids:
            call(layout.HISTORY, "delete_many", {"invocation": {"$in": ids}})
            call(layout.SLOTS, "delete_many", {"holder": {"$in": ids}})
            gone = call(layout.INVOCATIONS, "delete_many", {"_id": {"$in": ids}, "phase": FINISHED}).deleted_count
        self.batches.decide_abandoned()  # so that no decision is forgotten while it is needed
        call(layout.DECISIONS, "delete_many", {"at": {"$lt": now - KEPT}})
        values = call(layout.VALUES, "delete_many", {"until": {"$lte": now}}).deleted_count
        return Swept(gone, payloads.sweep(self.database), values)

    def purge(self) -> None:
        """Remove everything."""
        for name in layout.PURGED:
            self.database.empty(name)
        self.transitions.writes.forget()
        self.database.bell.tell_work()


def _filter(query: Query) -> Document:
    wanted: Document = dict(VISIBLE)
    labels = [label(field, value) for field in ASKED if (value := getattr(query, field))]
    if labels:
        wanted["labels"] = {"$all": labels}
    if query.statuses:
        wanted["status"] = {"$in": sorted(map(str, query.statuses))}
    if query.runner_id:
        wanted["runner"] = query.runner_id
    if query.queue:
        wanted["queue"] = query.queue
    if query.has_outbox:
        wanted["outbox"] = True
    return wanted


def _entries(document: Document) -> Iterable[InvocationHistory]:
    """Yield the entries of an invocation, or the one of a copy in the history collection."""
    if "entry" in document:
        return from_entries(document["invocation"], document["seq"] - 1, decode_entries(document["entry"]))
    return from_entries(document["_id"], document["before"], decode_entries(document["entries"]))


def _kept(entries: dict[int, InvocationHistory]) -> tuple[InvocationHistory, ...]:
    last = max(entries)
    return tuple([entries[seq] for seq in sorted(entries) if seq <= FIRST_KEPT or seq > last - LAST_KEPT])
