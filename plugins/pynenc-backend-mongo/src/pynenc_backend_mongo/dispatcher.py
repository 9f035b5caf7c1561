"""Submit, claim and settle over records that are their own queue."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc_backend_mongo import layout
from pynenc_backend_mongo.bell import Waiting
from pynenc_backend_mongo.claims import Claims
from pynenc_backend_mongo.documents import LATER, READY, Document, Held
from pynenc_backend_mongo.state_backend import MongoStateBackend
from pynenc_backend_mongo.transitions import Fresh
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
        self._next_due: float | None = None
        self._spare = 0
        self._awaited_only = False
        """Whether the last claim was for awaited work only: then other work is no reason to claim again."""
        self._busy = False
        """Whether the claim of the last settle brought all that it asked for."""
        self._waiting = Waiting(state_backend.app.clock)

    def submit(self, batch: Batch) -> Submitted:
        """Store a batch, unless it is stored already."""
        return self._state.add_batch(batch)

    def claim(self, ask: Ask) -> ClaimReply:
        """Claim what is due, lowest rank first."""
        return self._claim(Claims(self._state.transitions, ask, {}))

    def _claim(self, claims: Claims) -> ClaimReply:
        ask = claims.ask
        self._awaited_only = ask.awaited_only
        self._waiting.looks(self._database.bell)
        knows_due = ask.limit > 0 and self._database.clock.monotonic() - self._looked_for_due > _LOOK_FOR_DUE
        if knows_due:
            self._let_in_what_is_due(ask.queues)
        self._take(claims)
        claims.write_first()
        if not (claims.satisfied or knows_due) and self._let_in_what_is_due(ask.queues):
            self._take(claims)
        if claims.got:
            self._waiting.over()
        return self._state.reply(claims, self._next_due)

    def settle(self, changes: Sequence[Change], *, ask: Ask | None = None) -> SettleReply:
        """Write changes, claim more.

        Both in one call, after a look for what is to be claimed, where nothing follows from the changes but their own
        writes, and where there was more the last time: else whoever waits for a result would wait for that look as well.
        """
        transitions, fresh = self._state.transitions, Fresh()
        plain = transitions.plain(changes) if ask and self._busy else {}
        if ask is None:
            return SettleReply(refused=transitions.swap_all(changes, fresh))
        if len(plain) < len(changes):
            refused = transitions.swap_all(changes, fresh)
            claims = Claims(transitions, ask, {})
            reply = self._claim(claims)
        else:
            claims = Claims(transitions, ask, fresh, list(plain.values()))
            reply = self._claim(claims)
            refused = transitions.swap_rest(changes, dict(zip(plain, claims.first_written, strict=True)), fresh)
        self._busy = claims.satisfied
        return SettleReply(refused=refused, claim=reply)

    def await_work(self, queues: Sequence[str], timeout: float) -> bool:
        """Block until there is something to claim in one of the queues: told by this process or a change stream, else by looking."""
        bell, clock, waiting = self._database.bell, self._database.clock, self._waiting
        ends, looked = clock.monotonic() + timeout, False
        while True:
            over = clock.monotonic() >= ends
            if waiting.was_woken(bell):
                break
            if waiting.should_look(bell) or (over and not looked):  # a claim, or somebody who waited before, may just have looked
                looked = True
                if self._is_there_work(queues):
                    break
            if over:
                return False
            waiting.block(bell, ends)
        waiting.over()
        return True

    def wake(self) -> None:
        """Let who waits for work return."""
        self._waiting.wake(self._database.bell)

    def republish(self) -> int:
        """Decide on batches that somebody left undecided, and wake who waits beside a limit that has room."""
        fresh: Fresh = {}
        transitions = self._state.transitions
        either = {"$or": [self._state.batches.abandoned(), {"beside": {"$exists": True}}]}
        found = self._database.find(layout.INVOCATIONS, either, {"batch": 1, "beside": 1})
        names, keys = ({name for each in found if (name := each.get(field))} for field in ("batch", "beside"))
        for name in names:
            self._state.batches.decide(name)
        count = len(names)
        for key in keys:
            while transitions.call_next(key, "", fresh):
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
                claims.take_in([Held(document) for document in found], in_order=True)
                self._spare = _CROWDED if claims.lost > before[2] else 0
                if claims.moves == before or (len(found) < most and claims.moves[1:] == before[1:]):
                    break  # that was all there is

    def _let_in_what_is_due(self, queues: Sequence[str]) -> bool:
        """Let what is due by now stand in its queue's order, and note when the next one is; return whether there was any."""
        self._looked_for_due, found = self._database.clock.monotonic(), False
        while (due := self._state.next_due(queues)) is not None and due <= self._database.now():
            found = True
            over = {"queue": {"$in": list(queues)}, "due": {"$lte": self._database.now()}, "phase": LATER}
            self._database.call(layout.INVOCATIONS, "update_many", over, {"$set": {"phase": READY}, "$unset": {"due": ""}})
        self._next_due = due
        return found

    def _is_there_work(self, queues: Sequence[str]) -> bool:
        """Look for what is ready or has become due."""
        self._waiting.looks(self._database.bell)
        where: Document = {"queue": {"$in": list(queues)}}
        either = [self._ready(where), {**where, "phase": LATER, "due": {"$lte": self._database.now()}}]
        return bool(self._database.find(layout.INVOCATIONS, {"$or": either}, {"_id": 1}, limit=1))

    def _ready(self, where: Document) -> Document:
        """Return what fits the work that the last claim asked for."""
        return {**where, "phase": READY, **({"boost": {"$exists": True}} if self._awaited_only else {})}
