"""Limits: one document for each of a key's slots, held by `(invocation, claim)`; see decision 2 for why this is safe.

A holder is live exactly while its invocation is owned under that claim. The slot of one that is not live may be taken over;
where its claim may still be written, by somebody slow, the claim number is used up first ("burnt"), so that the slow write is
refused. No time decides anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pymongo.errors import DuplicateKeyError

from pynenc_backend_mongo import layout
from pynenc_backend_mongo.documents import OWN, Document, Held
from pynenc_backend_mongo.writes import Writes
from pynenc_core.model import Limit, full_limit

_CLAIM = {"claim": 1, "phase": 1}


class Slots:
    """The slots of all limit keys of one app."""

    def __init__(self, writes: Writes) -> None:
        self._writes = writes
        self._database = writes.database

    def full(self, limits: tuple[Limit, ...]) -> Limit | None:
        """Return the first limit that has no room, or None. Writes nothing."""
        if not limits:
            return None
        slots = self._of([limit.key for limit in limits])
        taken = Counter(slot["key"] for slot in slots)
        if full_limit(limits, taken.__getitem__) is None:
            return None
        live = self._live(slots)
        return full_limit(limits, Counter(slot["key"] for slot in slots if slot["_id"] in live).__getitem__)

    def take(self, held: Held) -> Limit | None:
        """Take a slot of each limit for the next claim of an invocation; return the first that has no room, or None.

        What was taken for a claim that is then not written is not given back: whoever asks for the same claim shares it.
        """
        return next((limit for limit in held.limits if not self._take(limit, held.invocation_id, held.state.claim + 1)), None)

    def free(self, invocation_id: str, claim: int) -> None:
        """Give back what was held under a claim that is over."""
        self._database.call(layout.SLOTS, "delete_many", {"holder": invocation_id, "claim": {"$lte": claim}})

    def _take(self, limit: Limit, invocation_id: str, claim: int) -> bool:
        while True:
            slots = self._of([limit.key])
            if any(slot["holder"] == invocation_id and slot["claim"] == claim for slot in slots):
                return True
            unused = next((number for number in range(limit.most) if all(slot["number"] != number for slot in slots)), None)
            if len(slots) < limit.most and unused is not None:
                if self._insert(limit.key, unused, invocation_id, claim):
                    return True
                continue
            live = self._live(slots)
            if len(live) >= limit.most:
                return False
            victim = next(slot for slot in slots if slot["_id"] not in live and slot["number"] < limit.most)
            if self._burn(victim) and self._take_over(victim, invocation_id, claim):
                return True

    def _insert(self, key: str, number: int, invocation_id: str, claim: int) -> bool:
        slot = {"_id": f"{number}:{key}", "key": key, "number": number, "holder": invocation_id, "claim": claim}
        try:
            self._database.call(layout.SLOTS, "insert_one", slot)
        except DuplicateKeyError:
            return False
        return True

    def _take_over(self, victim: Document, invocation_id: str, claim: int) -> bool:
        expected = {name: victim[name] for name in ("_id", "holder", "claim")}
        update = {"$set": {"holder": invocation_id, "claim": claim}}
        return bool(self._database.call(layout.SLOTS, "update_one", expected, update).matched_count)

    def _burn(self, victim: Document) -> bool:
        """Make sure that a slot's claim can never be written any more; False where it has just been."""
        held = self._writes.read(victim["holder"])
        if held is None or held.state.final or held.state.claim > victim["claim"]:
            return True
        if held.state.claim == victim["claim"]:
            return held.state.owner is None
        if held.state.owner is not None:  # of before a purge: a write made from a version of then is refused anyway
            return True
        return self._writes.replace(held, claim=victim["claim"]) is not None

    def _of(self, keys: Iterable[str]) -> list[Document]:
        return self._database.find_all(layout.SLOTS, keys, {}, by="key")

    def _live(self, slots: Iterable[Document]) -> set[str]:
        """Return the ids of the slots whose holders are live."""
        wanted = {"_id": {"$in": sorted({slot["holder"] for slot in slots})}, "phase": OWN}
        owned = {each["_id"]: each["claim"] for each in self._database.find(layout.INVOCATIONS, wanted, _CLAIM)}
        return {slot["_id"] for slot in slots if owned.get(slot["holder"]) == slot["claim"]}
