"""What happens to an invocation and what follows from it, in the order that survives the death of whoever does it.

Boost before a pause; write, then free the slot, then look for waiters; and who begins to wait looks again after its write. The
rules themselves are `pynenc_core.model`'s; what is done here is to carry them out by single writes that may be refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bson import Binary
from pymongo import UpdateOne

from pynenc_backend_mongo import layout, payloads
from pynenc_backend_mongo.database import Database, Document
from pynenc_backend_mongo.documents import OWN, Held, decode_signal, encode
from pynenc_backend_mongo.slots import Slots
from pynenc_backend_mongo.writes import Pending, Writes
from pynenc_core.model import (
    Change,
    InvocationHistory,
    Mark,
    Queued,
    Refusal,
    Signal,
    State,
    applied,
    boosts,
    hands_on,
    marked,
    meets,
    woken,
)
from pynenc_core.status import CLAIMABLE, Status

Fresh = dict[str, Queued]
"""What a call made claimable and left so, by id."""


class Transitions:
    """Carries out changes, claims and marks."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.writes = Writes(database)
        self.slots = Slots(self.writes)

    def plain(self, changes: Sequence[Change]) -> dict[int, Pending]:
        """Return by position the changes of which nothing follows but their own write, made from what this process remembers."""
        found: dict[int, Pending] = {}
        seen: set[str] = set()
        for position, change in enumerate(changes):
            held = self.writes.remembered(change.invocation_id)
            alone = not (change.blobs or change.boost is not None or change.invocation_id in seen)
            seen.add(change.invocation_id)
            if held is not None and alone and not held.limits and meets(held.state, change.expect):
                state, entries = applied(change.invocation_id, held.state, change, self.database.now())
                if state.status not in CLAIMABLE:
                    found[position] = held, state, entries
        return found

    def swap_all(self, changes: Sequence[Change], fresh: Fresh) -> tuple[Refusal | None, ...]:
        """Write or refuse each change; see `RecordStorage.swap`."""
        plain = self.plain(changes)
        return self.swap_rest(changes, dict(zip(plain, self.writes.write_all(list(plain.values())), strict=True)), fresh)

    def swap_rest(self, changes: Sequence[Change], written: Mapping[int, Held | None], fresh: Fresh) -> tuple[Refusal | None, ...]:
        """Write or refuse, one by one, the changes that were not written together."""
        return tuple([None if written.get(position) else self.swap(change, fresh) for position, change in enumerate(changes)])

    def swap(self, change: Change, fresh: Fresh) -> Refusal | None:
        """Write a change, or refuse it."""
        held, read = self.writes.remembered(change.invocation_id), False
        while True:
            if held is None:
                held, read = self.writes.read(change.invocation_id), True
            if held is None:
                return Refusal(change.invocation_id, None)
            state = held.state
            beside = bool(change.blobs) or change.boost is not None  # what is written before, and may not be if the change is refused
            if meets(state, change.expect) and (read or not beside):
                payloads.put(self.database, change.blobs)
                self.mark(boosts(change), fresh, only_open=True)
                if self.move(held, *applied(change.invocation_id, state, change, self.database.now()), fresh):
                    return None
            elif read:
                return Refusal(change.invocation_id, state.status, state.runner_id, state.claim)
            held, read = None, False

    def move(self, held: Held, state: State, entries: Sequence[InvocationHistory], fresh: Fresh) -> Held | None:
        """Write what an invocation has become, and wake who waits for what it leaves; None when somebody else wrote since."""
        limits, beside, by = held.limits, "", entries[-1].runner_context_id
        waits = state.status is Status.CONCURRENCY_CONTROLLED and bool(limits)
        if waits:
            beside = (self.slots.full(limits) or limits[0]).key
        written = self.writes.write(held, state, entries, beside)
        if written is None:
            return None
        if state.status in CLAIMABLE:
            fresh[held.invocation_id] = written.queued(state)
        else:
            fresh.pop(held.invocation_id, None)
        if limits and held.state.owner is not None and state.owner is None:
            self.slots.free(held.invocation_id, held.state.claim)
        if hands_on(held.state, state):
            for limit in limits:
                self.call_next(limit.key, by, fresh)
        if waits and self.slots.full(limits) is None:
            self.call_next(beside, by, fresh)
        return written

    def call_next(self, key: str, by: str, fresh: Fresh) -> bool:
        """Wake the first that waits for this key and finds room; who is held up by another key waits for that. Return whether one was."""
        while (held := self._first_beside(key)) is not None:
            full = self.slots.full(held.limits)
            if full is None:
                if self.move(held, *woken(held.invocation_id, held.state, key, by, self.database.now()), fresh):
                    return True
            elif full.key == key:
                return False
            else:
                self.writes.wait_beside(held, full.key)
        return False

    def mark(self, marks: Sequence[Mark], fresh: Fresh, *, only_open: bool = False) -> list[str]:
        """Write side values; return the ids of those refused. With `only_open`, final invocations are passed over."""
        found = self.writes.read_all([mark.invocation_id for mark in marks])
        refused: list[str] = []
        updates: list[tuple[Mark, UpdateOne, bool]] = []
        for mark in marks:
            held = found.get(mark.invocation_id)
            if held is None:
                refused += [mark.invocation_id] if mark.owner else []
            elif not (only_open and held.state.final):
                if mark.drop_outbox:
                    self._drop_outbox(held, mark)
                update = _update(held, mark)
                if update is None:
                    refused.append(mark.invocation_id)
                elif update[1]:
                    updates.append((mark, UpdateOne(*update), mark.owner is not None))
        if updates and self.database.call(layout.INVOCATIONS, "bulk_write", [each for _, each, _ in updates]).matched_count < len(updates):
            refused += [mark.invocation_id for mark, each, owned in updates if owned and not self._again(each)]
        self._tell_boosted([mark for mark, _, _ in updates if mark.boost is not None], found, fresh)
        return refused

    def signals(self, runner_ids: Sequence[str]) -> tuple[Signal, ...]:
        """Return the requests to what these runners own; asks nobody where all of them claim here, and own nothing."""
        if not any(map(self.writes.may_own, runner_ids)):
            return ()
        asked = {"runner": {"$in": list(runner_ids)}, "signal": {"$exists": True}}
        found = self.database.find(layout.INVOCATIONS, asked, sort=[("id", 1)])
        return tuple([signal for each in found if (signal := decode_signal(each["signal"])).concerns(Held(each).state)])

    def _again(self, update: UpdateOne) -> bool:
        """Repeat an update of a bulk, some of which found nothing; return whether it finds its document."""
        return bool(self.database.call(layout.INVOCATIONS, "bulk_write", [update]).matched_count)

    def _drop_outbox(self, held: Held | None, mark: Mark) -> None:
        while held is not None and (after := marked(held.state, held.side, mark)) and after[0].outbox != held.state.outbox:
            if self.writes.replace(held, outbox=after[0].outbox):
                return
            held = self.writes.read(mark.invocation_id)

    def _tell_boosted(self, marks: Sequence[Mark], found: dict[str, Held], fresh: Fresh) -> None:
        for mark in marks:
            held = found[mark.invocation_id]
            if held.state.status in CLAIMABLE and mark.boost is not None:
                fresh[mark.invocation_id] = held.changed({"place": min(mark.boost, held.document["place"])}).queued(held.state)
        if marks:
            self.database.bell.tell_work()

    def _first_beside(self, key: str) -> Held | None:
        found = self.database.call(layout.INVOCATIONS, "find_one", {"beside": key}, sort=[("place", 1)])
        return None if found is None else Held(found)


def _update(held: Held, mark: Mark) -> tuple[Document, Document] | None:
    """Return which document a mark changes, only while its owner is the one it is for, and how; None if it is refused."""
    after = marked(held.state, held.side, mark)
    if after is None:
        return None
    which: Document = {"_id": held.invocation_id}
    if mark.owner is not None:
        which.update(phase=OWN, runner=mark.owner.runner_id, claim=mark.owner.claim)
    fields: Document = {}
    if mark.published_at is not None:
        fields["published_at"] = mark.published_at
    if mark.progress is not None:
        fields["progress"] = Binary(mark.progress)
    if mark.signal is not None and after[1].signal is mark.signal:
        fields["signal"] = Binary(encode(mark.signal))
        if mark.signal.claim:
            which["claim"] = mark.signal.claim
    update: Document = {"$set": fields} if fields else {}
    if mark.boost is not None:
        update["$min"] = {"boost": mark.boost, "place": mark.boost}
    return which, update
