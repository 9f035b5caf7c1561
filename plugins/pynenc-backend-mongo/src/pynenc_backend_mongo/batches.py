"""Submitting: a batch's records stay invisible until the one document exists that commits them.

Each attempt to store a batch has a name of its own, which its records carry until they are published. Whoever writes the
document of that name first decides: the producer that it is committed, or somebody whom its records hold up that it is given up.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from random import random
from uuid import uuid4

from bson import Binary
from msgspec import msgpack
from pymongo.errors import BulkWriteError, DuplicateKeyError

from pynenc_backend_mongo import layout, payloads
from pynenc_backend_mongo.database import Database, Document
from pynenc_backend_mongo.documents import LATER, READY, STAGED, VISIBLE, encode, new_document
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.model import Batch, Submitted

ABANDONED_AFTER = 10.0
"""Seconds after which a sweep gives up a batch that its producer has not committed; the producer then begins again."""
KEPT = 3600.0
"""Seconds for which answers and decisions are kept."""
_ATTEMPTS = 50
_LONGEST_PAUSE = 0.02


class _Attempt:
    """One attempt to store a batch: what is new of it, and what stands for the rest."""

    def __init__(self, batch: Batch, now: float) -> None:
        self.name = f"{batch.batch_id}/{uuid4().hex}"
        self.ids = [new.invocation.invocation_id for new in batch.invocations]
        self.reused: dict[int, str] = {}
        """By position: the id that stands for one that is not stored."""
        self.to_insert: dict[int, Document] = {}
        firsts: dict[str, int] = {}
        for position, new in enumerate(batch.invocations):
            key = new.invocation.unique_key
            if key and firsts.setdefault(key, position) != position:
                self.reused[position] = self.ids[firsts[key]]
            else:
                self.to_insert[position] = new_document(new, now)
        self._firsts = {position: key for key, position in firsts.items()}

    def answer(self) -> Submitted:
        """Return the ids that stand for the batch's invocations."""
        ids = tuple([self.reused.get(position, each) for position, each in enumerate(self.ids)])
        return Submitted(tuple([self._standing(each) for each in ids]), frozenset(self.reused))

    def _standing(self, invocation_id: str) -> str:
        """Return what stands for one that stands for another of the same batch."""
        return next((found for position, found in self.reused.items() if self.ids[position] == invocation_id), invocation_id)


class Batches:
    """Stores batches, and decides on those that somebody left undecided."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, batch: Batch) -> Submitted:
        """Store a batch; see `RecordStorage.add_batch`."""
        unique = any(new.invocation.unique_key for new in batch.invocations)
        if unique and (answer := self._answered(batch.batch_id)) is not None:
            return answer
        payloads.put(self.database, batch.blobs)
        for _ in range(_ATTEMPTS):
            attempt = _Attempt(batch, self.database.now())
            done = self._insert_one(attempt) if len(batch.invocations) == 1 else self._insert_all(attempt, batch.batch_id)
            if done:
                if attempt.reused and len(batch.invocations) == 1:
                    self._remember(batch.batch_id, attempt, "")
                self.database.bell.tell_work()
                return attempt.answer()
            time.sleep(random() * _LONGEST_PAUSE)  # noqa: S311 - jitter, so that two that hold each other up do not go on doing so
        problem = "other batches with the same unique keys gave this one up again and again"
        raise BackendUnavailableError(self.database.place.store, problem, "submit it again")

    def decide(self, name: str) -> None:
        """Give an attempt up, unless it is committed; then publish it."""
        try:
            self.database.call(layout.DECISIONS, "insert_one", {"_id": name, "committed": False, "at": self.database.now()})
        except DuplicateKeyError:
            found = self.database.call(layout.DECISIONS, "find_one", {"_id": name})
            if found is not None and found["committed"]:
                self._publish(name)
                return
        self._drop(name)

    def abandoned(self) -> Document:
        """Return what fits the records of attempts that somebody left undecided or unpublished."""
        return {"batch": {"$exists": True}, "began": {"$lt": self.database.now() - ABANDONED_AFTER}}

    def decide_abandoned(self) -> None:
        """Decide on the attempts that somebody left undecided or unpublished."""
        for name in {each["batch"] for each in self.database.find(layout.INVOCATIONS, self.abandoned(), {"batch": 1})}:
            self.decide(name)

    def _insert_one(self, attempt: _Attempt) -> bool:
        """Store the only record there is, in one call; return True."""
        (document,) = attempt.to_insert.values()
        while 0 in attempt.to_insert:
            try:
                self.database.call(layout.INVOCATIONS, "insert_one", document)
            except DuplicateKeyError:
                self._give_way(attempt, 0)
            else:
                break
        return True

    def _insert_all(self, attempt: _Attempt, batch_id: str) -> bool:
        """Store the records invisibly, commit, publish; return whether that was done, and not given up by somebody else."""
        staged = {position: _staged(document, attempt.name) for position, document in attempt.to_insert.items()}
        missing: dict[int, Document] = dict(staged)
        while missing:
            positions = list(missing)
            try:
                self.database.call(layout.INVOCATIONS, "insert_many", list(missing.values()), ordered=False)
                missing = {}
            except BulkWriteError as error:
                refused: list[int] = [positions[each["index"]] for each in (error.details or {})["writeErrors"]]
                for position in refused:
                    self._give_way(attempt, position)
                missing = {position: staged[position] for position in refused if position in attempt.to_insert}
        if attempt.reused:
            self._remember(batch_id, attempt, attempt.name)
        try:
            self.database.call(layout.DECISIONS, "insert_one", {"_id": attempt.name, "committed": True, "at": self.database.now()})
        except DuplicateKeyError:
            self._drop(attempt.name)
            return False
        new = [document for position, document in staged.items() if position in attempt.to_insert]
        if self._publish(attempt.name, {each["becomes"] for each in new}) == len(new):
            return True
        # Somebody else has published them; or, a long time ago, given them up, and that was forgotten.
        there = {"_id": {"$in": [each["_id"] for each in new]}, **VISIBLE}
        return bool(self.database.call(layout.INVOCATIONS, "count_documents", there) == len(new))

    def _give_way(self, attempt: _Attempt, position: int) -> None:
        """See what keeps a record from being inserted: it is there, or another has its unique key. Else it stays to be inserted."""
        document = attempt.to_insert[position]
        found = self.database.call(layout.INVOCATIONS, "find_one", {"_id": document["_id"]}, {"batch": 1})
        if found is None and "unique_key" in document:
            fields = {"batch": 1, "unique_until": 1}
            found = self.database.call(layout.INVOCATIONS, "find_one", {"unique_key": document["unique_key"]}, fields)
        if found is None:
            return
        if found.get("batch") == attempt.name:  # inserted by a try of the driver's whose reply was lost
            del attempt.to_insert[position]
        elif "batch" in found:
            self.decide(found["batch"])
        elif found["_id"] == document["_id"]:
            del attempt.to_insert[position]
        elif found.get("unique_until", float("inf")) <= self.database.now():
            over = {"_id": found["_id"], "unique_key": document["unique_key"], "unique_until": found["unique_until"]}
            self.database.call(layout.INVOCATIONS, "update_one", over, {"$unset": {"unique_key": ""}})
        else:
            attempt.reused[position] = found["_id"]
            del attempt.to_insert[position]

    def _publish(self, name: str, phases: Iterable[str] = (READY, LATER)) -> int:
        """Make a committed attempt's records visible; return how many were not yet."""
        count = 0
        for phase in phases:
            update = {"$set": {"phase": phase}, "$unset": {"batch": "", "becomes": ""}}
            count += self.database.call(layout.INVOCATIONS, "update_many", {"batch": name, "becomes": phase}, update).matched_count
        return count

    def _drop(self, name: str) -> None:
        self.database.call(layout.INVOCATIONS, "delete_many", {"batch": name})

    def _remember(self, batch_id: str, attempt: _Attempt, committed_by: str) -> None:
        """Keep the answer: a repetition must give the same, though what stands for a new one may be final by then."""
        answer = {"answer": Binary(encode(attempt.answer())), "by": committed_by, "at": self.database.now()}
        self.database.call(layout.DECISIONS, "update_one", {"_id": batch_id}, {"$set": answer}, upsert=True)

    def _answered(self, batch_id: str) -> Submitted | None:
        found = self.database.call(layout.DECISIONS, "find_one", {"_id": batch_id})
        if found is None:
            return None
        if found["by"]:
            decision = self.database.call(layout.DECISIONS, "find_one", {"_id": found["by"], "committed": True})
            if decision is None:
                return None
            self._publish(found["by"])
        return msgpack.decode(found["answer"], type=Submitted)


def _staged(document: Document, name: str) -> Document:
    return {**document, "phase": STAGED, "becomes": document["phase"], "batch": name}
