"""Fenced writes of single invocations: each names the version it was made from, and is refused when that is not the present one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import attrs
from bson import Binary
from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError

from pynenc_backend_mongo import layout
from pynenc_backend_mongo.database import Database
from pynenc_backend_mongo.documents import READY, VISIBLE, Document, Entry, Held, as_entry, encode, new_version, state_fields
from pynenc_core.model import FIRST_KEPT, LAST_KEPT, InvocationHistory, State

MOST_INSIDE, LEFT_INSIDE = 60, 20
"""With more than so many history entries inside, the oldest are copied to the history collection, and so many are left."""
_SIDE = {"boost": 1, "place": 1, "published_at": 1, "signal": 1, "progress": 1}
_MOST_REMEMBERED = 4096

Pending = tuple[Held, State, Sequence[InvocationHistory]]
"""An invocation as it was read, what it is to become, and the history entries of that."""


class Writes:
    """Reads and writes invocations; remembers those that this process owns, so that settling one needs no read."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._remembered: dict[str, Held] = {}
        """Guarded by nothing: single operations of a dict are atomic, and a lock might be held at a fork."""
        self.claimers: set[str] = set()
        """The runners that claim here, and so nowhere else."""
        self._in_doubt = False
        """Whether a write of this process may have been made that it does not know of."""

    def forget(self) -> None:
        """Remember nothing."""
        self._in_doubt = True
        self._remembered.clear()

    def remembered(self, invocation_id: str) -> Held | None:
        """Return what this process has last written of an invocation that it owns; others may have written since."""
        return self._remembered.get(invocation_id)

    def may_own(self, runner_id: str) -> bool:
        """Return whether a runner may own something: not if it claims here, and this process has written nothing of the kind."""
        if self._in_doubt or runner_id not in self.claimers:
            return True
        return any(held.document.get("runner") == runner_id for held in tuple(self._remembered.values()))

    def read(self, invocation_id: str) -> Held | None:
        """Return an invocation as it is stored now."""
        found = self.database.call(layout.INVOCATIONS, "find_one", {"_id": invocation_id, **VISIBLE})
        return None if found is None else Held(found)

    def read_all(self, invocation_ids: Collection[str]) -> dict[str, Held]:
        """Return those that exist, by id."""
        found = self.database.find_all(layout.INVOCATIONS, invocation_ids, VISIBLE)
        return {document["_id"]: Held(document) for document in found}

    def write(self, held: Held, state: State, added: Iterable[InvocationHistory], beside: str = "") -> Held | None:
        """Put a state in the place of the one that was read, with its history; None when somebody else wrote since."""
        fields = self._fields(held, state, added, beside)
        written = self._update(held, fields)
        if written is not None:
            self._note(written, state)
        return written

    def write_all(self, pending: Sequence[Pending]) -> list[Held | None]:
        """Write several invocations as `write` does, in one call; their side values stay as they were read.

        The server says only how many were written. If that is not all, those that now have the version we gave them were.
        """
        if len(pending) <= 1:
            return [self.write(*each) for each in pending]
        written: list[Held | None] = []
        updates: list[UpdateOne] = []
        for held, state, added in pending:
            fields = {**self._fields(held, state, added, ""), "version": new_version()}
            updates.append(UpdateOne({"_id": held.invocation_id, "version": held.version}, _update(held, fields)))
            written.append(held.changed(fields))
        answer = self._sure(self.database.call, layout.INVOCATIONS, "bulk_write", updates)
        if not answer.acknowledged or answer.matched_count < len(pending):
            ids = {"_id": {"$in": [held.invocation_id for held, _, _ in pending]}}
            versions = {each["_id"]: each["version"] for each in self.database.find(layout.INVOCATIONS, ids, {"version": 1})}
            written = [each if each and versions.get(each.invocation_id) == each.version else None for each in written]
        for (held, state, _), now in zip(pending, written, strict=True):
            if now is None:
                self._remembered.pop(held.invocation_id, None)
            else:
                self._note(now, state)
        return written

    def replace(self, held: Held, **fields: Any) -> Held | None:
        """Put other values into the fenced part without a transition: a burnt claim, a shorter outbox, another key to wait for."""
        state = attrs.evolve(held.state, **fields)
        return self._update(held, {"state": Binary(encode(state)), "claim": state.claim, "outbox": True if state.outbox else None})

    def wait_beside(self, held: Held, key: str) -> Held | None:
        """Let one that waits for a limit key wait for another."""
        return self._update(held, {"beside": key})

    def _fields(self, held: Held, state: State, added: Iterable[InvocationHistory], beside: str) -> Document:
        before, entries = self._archive(held.invocation_id, held.document["before"], held.entries)
        entries = [*entries, *map(as_entry, added)]
        return {**state_fields(held.fixed[0], state, entries, before, self.database.now()), "beside": beside or None}

    def _note(self, written: Held, state: State) -> None:
        """Remember what was written if it is owned here, and tell who waits for it in this process."""
        if state.runner_id and len(self._remembered) < _MOST_REMEMBERED:
            self._remembered[written.invocation_id] = written
        else:
            self._remembered.pop(written.invocation_id, None)
        if state.final:
            self.database.bell.tell_final([written.invocation_id])
        elif written.document["phase"] == READY:
            self.database.bell.tell_work()

    def _sure(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Make a call that writes; after one that failed nobody knows what is owned here."""
        try:
            return call(*arguments, **named)
        except BaseException:
            self._in_doubt = True
            raise

    def _update(self, held: Held, fields: Document) -> Held | None:
        fields = {**fields, "version": new_version()}
        found = self._sure(
            self.database.call,
            layout.INVOCATIONS,
            "find_one_and_update",
            {"_id": held.invocation_id, "version": held.version},
            _update(held, fields),
            projection=_SIDE,
            return_document=ReturnDocument.AFTER,
        )
        if found is None:
            self._remembered.pop(held.invocation_id, None)
            return None
        return held.changed({**fields, **{name: found.get(name) for name in _SIDE}})

    def _archive(self, invocation_id: str, before: int, entries: list[Entry]) -> tuple[int, list[Entry]]:
        """Copy the oldest of many entries to the history collection; return what may then be left inside.

        The copies stand under their numbers, so that who does it again, or loses the write that follows, changes nothing.
        """
        if len(entries) <= MOST_INSIDE:
            return before, entries
        old, left = entries[:-LEFT_INSIDE], entries[-LEFT_INSIDE:]
        insert_missing(self.database, layout.HISTORY, [_copy(invocation_id, seq, entry) for seq, entry in enumerate(old, before + 1)])
        superfluous = before + len(entries) - LAST_KEPT
        if superfluous > FIRST_KEPT:
            which = {"invocation": invocation_id, "seq": {"$gt": FIRST_KEPT, "$lte": superfluous}}
            self.database.call(layout.HISTORY, "delete_many", which)
        return before + len(old), left


def _update(held: Held, fields: Document) -> Document:
    """Return the update that gives an invocation other fields; those that are None go."""
    gone = {name: "" for name, value in fields.items() if value is None and name in held.document}
    changed = {"$set": {name: value for name, value in fields.items() if value is not None}}
    return {**changed, "$unset": gone} if gone else changed


def _copy(invocation_id: str, seq: int, entry: Entry) -> Document:
    value = Binary(encode([entry]))
    return {"_id": f"{seq}:{invocation_id}", "invocation": invocation_id, "seq": seq, "at": entry[0], "entry": value}


def insert_missing(database: Database, collection: str, documents: Sequence[Document]) -> None:
    """Insert what is not there yet, by `_id`."""
    if documents:
        try:
            database.call(collection, "insert_many", documents, ordered=False)
        except BulkWriteError:
            return  # the others are there already: `call` lets nothing else pass
