"""Submit, claim and settle over records that are their own queue."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc_backend_mongo import layout
from pynenc_backend_mongo.bell import Waiting
from pynenc_backend_mongo.documents import LATER, READY, Document, Held
from pynenc_backend_mongo.state_backend import MongoStateBackend
from pynenc_backend_mongo.transitions import Claims, Fresh
from pynenc_core.model import Ask, Batch, Change, ClaimReply, SettleReply, Submitted
from pynenc_core.ports.dispatcher import Dispatcher

_LOOK_FOR_DUE = 0.1
"""Seconds between two looks of a busy process for what has become due; one that gets less than it asks for looks each time."""
_CROWDED = 8
"""So many more are looked at where others take the first ones before us."""


class MongoDispatcher(Dispatcher):
    """The record is the queue: what is claimable stands in an index by queue and rank, and nowhere else."""

    def __init__(self, state_backend: MongoStateBackend) -> None:
        self._state = state_backend
        self._database = state_backend.database
        self._looked_for_due = float("-inf")
        self._spare = 0
        self._awaited_only = False
        """Whether the last claim was for awaited work only: then other work is no reason to claim again."""
        self._waiting = Waiting(state_backend.app.clock)

    def submit(self, batch: Batch) -> Submitted:
        """Store a batch, unless it is stored already."""
        return self._state.add_batch(batch)

    def claim(self, ask: Ask) -> ClaimReply:
        """Claim what is due, lowest rank first."""
        fresh: Fresh = {}
        claims = Claims(self._state.transitions, ask, fresh)
        self._awaited_only = ask.awaited_only
        if ask.limit > 0 and self._database.clock.monotonic() - self._looked_for_due > _LOOK_FOR_DUE:
            self._let_in_what_is_due(ask.queues)
        self._take(claims)
        if claims.got:
            self._waiting.over()
        reply = self._state.reply(claims, fresh)
        if reply.next_due is not None and reply.next_due <= self._database.now() and claims.go_on:
            self._let_in_what_is_due(ask.queues)
            self._take(claims)
            reply = self._state.reply(claims, fresh)
        return reply

    def settle(self, changes: Sequence[Change], *, ask: Ask | None = None) -> SettleReply:
        """Write changes, claim more."""
        refused = self._state.swap(changes).refused
        return SettleReply(refused=refused, claim=self.claim(ask) if ask else ClaimReply())

    def await_work(self, queues: Sequence[str], timeout: float) -> bool:
        """Block until there is something to claim in one of the queues: told by this process or a change stream, else by looking."""
        bell, ends = self._database.bell, self._database.clock.monotonic() + timeout
        while True:
            seen = bell.work
            if self._waiting.was_woken(bell) or self._is_there_work(queues):
                self._waiting.over()
                return True
            if self._database.clock.monotonic() >= ends:
                return False
            self._waiting.block(bell, seen, ends)

    def wake(self) -> None:
        """Let who waits for work return."""
        self._waiting.wake(self._database.bell)

    def republish(self) -> int:
        """Decide on batches that somebody left undecided, and wake who waits beside a limit that has room."""
        fresh: Fresh = {}
        transitions = self._state.transitions
        count = self._state.batches.decide_abandoned()
        keys = [{"$match": {"beside": {"$exists": True}}}, {"$group": {"_id": "$beside"}}]
        for each in self._database.call(layout.INVOCATIONS, "aggregate", keys):
            while transitions.call_next(each["_id"], "", fresh):
                count += 1
        return count

    def depth(self, queue: str) -> int:
        """Return how many are claimable, due or not."""
        return int(self._database.call(layout.INVOCATIONS, "count_documents", {"queue": queue, "phase": {"$in": [READY, LATER]}}))

    def close(self) -> None:
        """Let who waits for work return."""
        self.wake()

    def _take(self, claims: Claims) -> None:
        """Claim the first ones of each queue, until there are enough or there is nothing more."""
        for queue in claims.ask.queues:
            while claims.go_on:
                most = claims.ask.limit - len(claims.got) + self._spare
                wanted = self._ready({"queue": queue})
                before = claims.moves
                found = self._database.find(layout.INVOCATIONS, wanted, sort=[("place", 1)], limit=most)
                for document in found:
                    lost = claims.lost
                    if not (claims.take(Held(document)) or claims.lost > lost) or not claims.go_on:
                        break  # enough, or one was put aside, which may have let another one in before the rest of these
                self._spare = _CROWDED if claims.lost > before[2] else 0
                if claims.moves == before or (len(found) < most and claims.moves[1:] == before[1:]):
                    break  # that was all there is

    def _let_in_what_is_due(self, queues: Sequence[str]) -> None:
        """Let what is due by now stand in its queue's order."""
        self._looked_for_due = self._database.clock.monotonic()
        due = {"queue": {"$in": list(queues)}, "due": {"$lte": self._database.now()}, "phase": LATER}
        self._database.call(layout.INVOCATIONS, "update_many", due, {"$set": {"phase": READY}, "$unset": {"due": ""}})

    def _is_there_work(self, queues: Sequence[str]) -> bool:
        return bool(self._database.find(layout.INVOCATIONS, self._ready({"queue": {"$in": list(queues)}}), {"_id": 1}, limit=1))

    def _ready(self, where: Document) -> Document:
        """Return what fits the work that the last claim asked for."""
        return {**where, "phase": READY, **({"boost": {"$exists": True}} if self._awaited_only else {})}
