"""Joins any broker with any state backend, in the order that survives a crash between any two calls.

Store, then queue; take from the queue, then acquire. An entry that is lost between the two is found again by
`republish`, one that is there twice finds nothing left to acquire. All rules are the store's: `swap` and `acquire` say
what they made claimable, and here it is only queued.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import attrs

from pynenc_core.model import MOST_SET_ASIDE, Ask, Batch, Change, ClaimReply, Mark, Query, Queued, SettleReply, Submitted
from pynenc_core.ports.broker import BaseBroker
from pynenc_core.ports.dispatcher import Dispatcher
from pynenc_core.ports.lookups import batches
from pynenc_core.ports.state_backend import BaseStateBackend
from pynenc_core.status import CLAIMABLE, FINAL

_LOOK = 0.25  # seconds between looks for awaited work behind other entries: no broker knows which are awaited
_LOST_AFTER = 30.0  # seconds since it was published before an entry may be taken for lost


class SplitDispatcher(Dispatcher):
    """A queue beside the records."""

    def __init__(self, broker: BaseBroker, state: BaseStateBackend) -> None:
        self._broker = broker
        self._state = state
        self._lock = threading.Lock()
        self._taken: list[str] = []
        """What was taken from the queue for a claim that has not come yet; the next one looks at it first."""
        self._passed_over = False
        """The last claim was for awaited work only and found other entries: that there are some is no reason to claim again."""

    def submit(self, batch: Batch) -> Submitted:
        """Store the batch, then queue it."""
        submitted = self._state.add_batch(batch)
        fresh = [new for position, new in enumerate(batch.invocations) if position not in submitted.reused]
        self._publish([Queued(new.invocation.invocation_id, new.invocation.queue, new.invocation.rank, new.due) for new in fresh])
        return submitted

    def claim(self, ask: Ask) -> ClaimReply:
        """Take ids from the queue and acquire them, until there are enough or the queue is empty."""
        reply = ClaimReply()
        left, looked_at = list[str](), 0
        while True:
            claimed, ids = len(reply.claimed), self._take(ask, ask.limit - len(reply.claimed))
            rest = attrs.evolve(ask, limit=ask.limit - claimed, start=max(0, ask.start - claimed))
            try:
                more = self._state.acquire(ids, rest)
            except BaseException:
                self._put_back([*ids, *left])
                raise
            got = {record.invocation_id for record in more.claimed}
            left += [each for each in ids if each not in got]
            looked_at += len(ids)
            self._publish(more.claimable)
            reply = attrs.evolve(more, claimed=(*reply.claimed, *more.claimed), claimable=())
            if not ids or len(reply.claimed) >= ask.limit or looked_at >= MOST_SET_ASIDE:
                break
        self._queue_again(left)
        self._passed_over = ask.awaited_only and bool(left) and len(reply.claimed) < ask.limit
        return reply

    def settle(self, changes: Sequence[Change], *, ask: Ask | None = None) -> SettleReply:
        """Write the changes, queue what they made claimable, then claim."""
        swapped = self._state.swap(changes)
        self._publish(swapped.claimable)
        ended = [
            change.invocation_id
            for change, refusal in zip(changes, swapped.refused, strict=True)
            if refusal is None and change.expect.status in CLAIMABLE and change.to in FINAL
        ]
        if ended:
            self._broker.discard(ended)
        return SettleReply(refused=swapped.refused, claim=self.claim(ask) if ask else ClaimReply())

    def await_work(self, queues: Sequence[str], timeout: float) -> bool:
        """Block in the queue, which also ends the wait for what becomes due; what it hands out is kept for the next claim."""
        clock = self._state.app.clock
        ends = clock.monotonic() + timeout
        if self._passed_over:
            self._broker.take((), 1, min(timeout, _LOOK))
            return clock.monotonic() < ends
        if not self._taken:
            self._put_back(self._broker.take(queues, 1, timeout))
        return bool(self._taken) or clock.monotonic() < ends

    def wake(self) -> None:
        """Let who blocks in the queue return."""
        self._broker.wake()

    def republish(self) -> int:
        """Queue again what is claimable and seems to be in no queue: published long ago, and before all that is queued."""
        now, count = self._state.now(), 0
        oldest: dict[str, Queued | None] = {}
        for page in batches(self._state, Query(statuses=CLAIMABLE)):
            lost = list[Queued]()
            for record in page:
                entry = record.queued
                if entry.queue not in oldest:
                    oldest[entry.queue] = self._broker.oldest(entry.queue)
                first = oldest[entry.queue]
                published = max(record.side.published_at or 0.0, record.state.since)
                long_ago = published + _LOST_AFTER < now and (entry.due or 0.0) <= now
                if first is None or (long_ago and entry.rank < first.rank):
                    lost.append(entry)
            self._publish(lost)
            self._state.mark([Mark(invocation_id=entry.invocation_id, published_at=now) for entry in lost])
            count += len(lost)
        return count

    def depth(self, queue: str) -> int:
        """Return how many entries the queue holds: those of ended invocations as well, until somebody takes them."""
        return self._broker.size(queue)

    def close(self) -> None:
        """Put back what was taken and not claimed."""
        taken, self._taken = self._taken, []
        self._queue_again(taken)

    def _take(self, ask: Ask, most: int) -> tuple[str, ...]:
        with self._lock:
            taken, self._taken = self._taken[:most], self._taken[most:]
        return tuple(taken) or (self._broker.take(ask.queues, most, 0) if most > 0 else ())

    def _put_back(self, ids: Sequence[str]) -> None:
        with self._lock:
            self._taken += ids

    def _queue_again(self, ids: Sequence[str]) -> None:
        """Queue what was taken and may still be claimed: not due yet, not awaited, or more than was asked for."""
        if ids:
            records = self._state.get(ids)
            self._publish([record.queued for record in records.values() if record.state.status in CLAIMABLE])
            if lost := [each for each in ids if each not in records]:
                self._state.app.logger.warning("queue entries without a record were dropped: %s", ", ".join(lost))

    def _publish(self, entries: Sequence[Queued]) -> None:
        if entries:
            self._broker.publish(entries)
