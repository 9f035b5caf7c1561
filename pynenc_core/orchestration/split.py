"""Joins any broker with any state backend, in the order that survives a crash between any two calls.

Store, then queue; take from the queue, then swap. An entry that is lost between the two is found again by `republish`,
one that is there twice loses the swap.
"""

from __future__ import annotations

from collections.abc import Sequence

from pynenc_core.model import (
    Ask,
    Batch,
    Change,
    ClaimReply,
    Expect,
    InvocationRecord,
    Mark,
    Query,
    SettleReply,
    Submitted,
)
from pynenc_core.ports.broker import BaseBroker, QueueEntry
from pynenc_core.ports.dispatcher import Dispatcher
from pynenc_core.ports.state_backend import BaseStateBackend
from pynenc_core.status import CLAIMABLE, OWNED, Status

_PAGE = 200
_LOST_AFTER = 30.0  # seconds since it was published before an entry may be taken for lost


class SplitDispatcher(Dispatcher):
    """A queue beside the records."""

    def __init__(self, broker: BaseBroker, state: BaseStateBackend) -> None:
        self._broker = broker
        self._state = state
        self._taken: list[str] = []
        """What `await_work` took from the queue; the next claim looks at it first."""

    def submit(self, batch: Batch) -> Submitted:
        """Store the batch, then queue it."""
        submitted = self._state.add_batch(batch)
        self._broker.publish(
            [
                QueueEntry(new.invocation.invocation_id, new.invocation.queue, new.invocation.rank, new.due)
                for new, stands in zip(batch.invocations, submitted.ids, strict=True)
                if stands == new.invocation.invocation_id
            ],
        )
        return submitted

    def claim(self, ask: Ask) -> ClaimReply:
        """Take ids from the queue until enough of them could be claimed, or it is empty."""
        got: list[InvocationRecord] = []
        put_back: list[InvocationRecord] = []
        while len(got) < ask.limit:
            taken, self._taken = self._taken, []
            ids = taken or self._broker.take(ask.queues, ask.limit - len(got), 0)
            if not ids:
                break
            records = self._state.get(ids)
            for invocation_id in ids:
                record = records.get(invocation_id)
                if record is None:
                    self._state.app.logger.warning("a queue entry without a record was dropped: %s", invocation_id)
                elif (ask.awaited_only and record.side.boost is None) or len(got) >= ask.limit:
                    put_back.append(record)
                elif record.state.status in CLAIMABLE and self._claim_one(record, ask, start=len(got) < ask.start):
                    got.append(self._state.get([invocation_id])[invocation_id])
        self._publish(put_back)
        signals = tuple(record.side.signal for record in got if record.side.signal)
        return ClaimReply(claimed=tuple(got), signals=signals)

    def settle(self, changes: Sequence[Change], *, start: Sequence[str] = (), ask: Ask | None = None) -> SettleReply:
        """Write the changes, queue what they leave claimable, start, then claim."""
        refused = self._state.swap(changes)
        self._follow_up([change for change, refusal in zip(changes, refused, strict=True) if refusal is None])
        runner_id = ask.runner_id if ask else changes[0].by if changes else ""
        not_started = tuple(invocation_id for invocation_id in start if not self._start(invocation_id, runner_id))
        return SettleReply(refused=refused, not_started=not_started, claim=self.claim(ask) if ask else ClaimReply())

    def await_work(self, queues: Sequence[str], timeout: float) -> bool:
        """Block in the queue; what it hands out meanwhile is kept for the next claim."""
        if not self._taken:
            self._taken.extend(self._broker.take(queues, 1, timeout))
        return bool(self._taken)

    def wake(self) -> None:
        """Let who blocks in the queue return."""
        self._broker.wake()

    def republish(self) -> int:
        """Queue again what is claimable and seems to be in no queue: published long ago, and before all that is queued."""
        now = self._state.now()
        lost: list[InvocationRecord] = []
        oldest: dict[str, QueueEntry | None] = {}
        after = ""
        while page := self._state.find(Query(statuses=CLAIMABLE), after=after, limit=_PAGE):
            after = page[-1].invocation_id
            for record in page:
                queue = record.invocation.queue
                if queue not in oldest:
                    oldest[queue] = self._broker.oldest(queue)
                first = oldest[queue]
                published = record.side.published_at or record.state.since
                due = record.state.due or 0.0
                if due <= now and (first is None or (published + _LOST_AFTER < now and record.rank < first.rank)):
                    lost.append(record)
        self._publish(lost)
        self._state.mark([Mark(invocation_id=record.invocation_id, published_at=now) for record in lost])
        return len(lost)

    def depth(self, queue: str) -> int:
        """Return how many entries the queue holds."""
        return self._broker.size(queue)

    def close(self) -> None:
        """Put back what was taken and not claimed."""
        self._publish(list(self._state.get(self._taken).values()))
        self._taken.clear()

    def _claim_one(self, record: InvocationRecord, ask: Ask, *, start: bool) -> bool:
        invocation, state, now = record.invocation, record.state, self._state.now()
        expect = Expect(state.status, state.runner_id, state.claim)
        if invocation.expires is not None and invocation.expires <= now:
            self._aside(record, Status.CANCELLED, ask.runner_id, "expired")
            return False
        if state.due is not None and state.due > now:
            self._publish([record])
            return False
        for limit in invocation.limits:
            if not self._state.take_slot(limit, record.invocation_id, state.claim + 1):
                self._state.free_slots(record.invocation_id, state.claim + 1)
                to = Status.CONCURRENCY_CONTROLLED_FINAL if invocation.drop_when_limited else Status.CONCURRENCY_CONTROLLED
                self._aside(record, to, ask.runner_id, f"its key {limit.key!r} is held {limit.most} times")
                return False
        known = ask.known_tasks is None or invocation.task_id in ask.known_tasks
        through = (Status.PENDING, Status.RUNNING) if start and known and not state.suspect else (Status.PENDING,)
        claim = Change(invocation_id=record.invocation_id, expect=expect, through=through, by=ask.runner_id, claimant=ask.runner_id)
        return self._state.swap([claim])[0] is None

    def _aside(self, record: InvocationRecord, to: Status, by: str, reason: str) -> None:
        state = record.state
        expect = Expect(state.status, state.runner_id, state.claim)
        self._state.swap([Change(invocation_id=record.invocation_id, expect=expect, through=(to,), by=by, reason=reason)])

    def _start(self, invocation_id: str, runner_id: str) -> bool:
        record = self._state.get([invocation_id]).get(invocation_id)
        if record is None or record.state.status is not Status.PENDING or record.state.runner_id != runner_id:
            return False
        expect = Expect(Status.PENDING, runner_id, record.state.claim)
        change = Change(invocation_id=invocation_id, expect=expect, through=(Status.RUNNING,), by=runner_id)
        return self._state.swap([change])[0] is None

    def _follow_up(self, written: Sequence[Change]) -> None:
        boosted = [awaited for change in written for awaited in change.awaits]
        touched = self._state.get([*boosted, *(change.invocation_id for change in written)])
        self._publish([record for record in touched.values() if record.state.status in CLAIMABLE])
        for change in written:
            record = touched.get(change.invocation_id)
            if record is not None and change.to not in OWNED and record.invocation.limits:
                self._state.free_slots(change.invocation_id, change.expect.claim)
                self._wake_beside(record)

    def _wake_beside(self, released: InvocationRecord) -> None:
        for limit in released.invocation.limits:
            waiting = self._state.find(Query(limit_key=limit.key, statuses=frozenset({Status.CONCURRENCY_CONTROLLED})), limit=_PAGE)
            for record in sorted(waiting, key=lambda each: each.rank)[:1]:
                self._aside(record, Status.REROUTED, "", f"its key {limit.key!r} is free")
                self._publish([record])

    def _publish(self, records: Sequence[InvocationRecord]) -> None:
        if records:
            self._broker.publish(
                [QueueEntry(each.invocation_id, each.invocation.queue, each.rank, each.state.due) for each in records],
            )
