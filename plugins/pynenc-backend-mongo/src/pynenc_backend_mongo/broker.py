"""Queues of ids, for whoever keeps the records elsewhere; the Mongo dispatcher needs none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar
from uuid import uuid4

from pymongo import UpdateOne

from pynenc_backend_mongo import layout
from pynenc_backend_mongo.bell import Waiting
from pynenc_backend_mongo.database import Database, Document
from pynenc_core.model import Queued
from pynenc_core.ports.broker import BaseBroker
from pynenc_core.ports.runtime import StoreView


class MongoBroker(BaseBroker):
    """Keeps an app's queues in a collection; connects when it is first used."""

    name: ClassVar[str] = "mongo"

    def __init__(self, app: StoreView) -> None:
        super().__init__(app)
        self._database = Database(app, "broker")
        self._waiting = Waiting(app.clock)

    def publish(self, entries: Sequence[Queued]) -> None:
        """Add entries and wake who waits for them."""
        updates = [
            UpdateOne(
                {"_id": entry.invocation_id},
                {"$set": {"queue": entry.queue, "rank": entry.rank, "due": entry.due or 0.0, "taken": ""}},
                upsert=True,
            )
            for entry in entries
        ]
        if updates:
            self._database.call(layout.ENTRIES, "bulk_write", updates)
            self._database.bell.tell_work()

    def take(self, queues: Sequence[str], limit: int, timeout: float) -> tuple[str, ...]:
        """Remove and return ids that are due; block up to `timeout` seconds while there are none."""
        bell, clock = self._database.bell, self.app.clock
        ends = clock.monotonic() + timeout
        while True:
            self._waiting.looks(bell)
            taken = self._take(queues, limit)
            if taken or limit <= 0 or timeout <= 0:
                self._waiting.over()
                return taken
            if clock.monotonic() >= ends:
                return ()
            self._waiting.block(bell, ends)
            if self._waiting.was_woken(bell):
                return ()

    def wake(self) -> None:
        """Let who waits for entries return."""
        self._waiting.wake(self._database.bell)

    def oldest(self, queue: str) -> Queued | None:
        """Return the entry of lowest rank, due or not."""
        found = self._database.find(layout.ENTRIES, {"queue": queue, "taken": ""}, sort=[("rank", 1)], limit=1)
        return Queued(found[0]["_id"], queue, found[0]["rank"], found[0]["due"] or None) if found else None

    def size(self, queue: str) -> int:
        """Return how many entries a queue holds."""
        return int(self._database.call(layout.ENTRIES, "count_documents", {"queue": queue, "taken": ""}))

    def discard(self, invocation_ids: Iterable[str]) -> None:
        """Remove entries from every queue."""
        self._database.call(layout.ENTRIES, "delete_many", {"_id": {"$in": list(invocation_ids)}})

    def purge(self) -> None:
        """Remove every entry."""
        self._database.empty(layout.ENTRIES)

    def close(self) -> None:
        """Let who waits for entries return, and close every connection."""
        self.wake()
        self._database.close()

    def shares(self, database: Database) -> bool:
        """Return whether it stores in the same database."""
        return self._database.place == database.place

    def _take(self, queues: Sequence[str], limit: int) -> tuple[str, ...]:
        taken: list[str] = []
        for queue in queues:
            due: Document = {"queue": queue, "due": {"$lte": self._database.now()}, "taken": ""}
            while len(taken) < limit and (found := self._take_some(due, limit - len(taken))):
                taken += found
        return tuple(taken)

    def _take_some(self, due: Document, limit: int) -> list[str]:
        call = self._database.call
        if limit == 1:
            found = call(layout.ENTRIES, "find_one_and_delete", due, sort=[("rank", 1)])
            return [found["_id"]] if found else []
        first = [each["_id"] for each in call(layout.ENTRIES, "find", due, {"_id": 1}, sort=[("rank", 1)], limit=limit)]
        if not first:
            return []
        mine = {"taken": uuid4().hex}  # so that nobody else takes them; those of who dies now are lost, and found by the sweep
        call(layout.ENTRIES, "update_many", {"_id": {"$in": first}, "taken": ""}, {"$set": mine})
        got = {each["_id"] for each in call(layout.ENTRIES, "find", mine, {"_id": 1})}
        call(layout.ENTRIES, "delete_many", mine)
        return [each for each in first if each in got]
