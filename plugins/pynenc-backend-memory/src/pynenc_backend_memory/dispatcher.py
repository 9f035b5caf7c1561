"""Submit, claim and settle, each in one step under the table's lock."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc_backend_memory.state_backend import MemoryStateBackend
from pynenc_core.model import (
    Ask,
    Batch,
    Change,
    ClaimReply,
    Expect,
    InvocationRecord,
    Refusal,
    SettleReply,
    Submitted,
    applied,
    claimed,
)
from pynenc_core.ports.dispatcher import Dispatcher
from pynenc_core.status import OWNED, Status

MOST_SET_ASIDE = 256
"""So many expired or limited ones are passed over in one claim; more would hold up everybody else."""


class MemoryDispatcher(Dispatcher):
    """The record is the queue: what is claimable stands in its queue's order, and nowhere else."""

    def __init__(self, state_backend: MemoryStateBackend) -> None:
        self._state = state_backend
        self._table = state_backend.table
        self._seen: dict[str, int] = {}
        """By queue: the news that the last claim which found too little had seen."""
        self._woken = False
        self._waiting = 0

    def submit(self, batch: Batch) -> Submitted:
        """Store a batch, unless it is stored already."""
        return self._state.add_batch(batch)

    def claim(self, ask: Ask) -> ClaimReply:
        """Claim what is due, lowest rank first."""
        with self._table.lock:
            return self._claim(ask, self._state.now())

    def settle(self, changes: Sequence[Change], *, start: Sequence[str] = (), ask: Ask | None = None) -> SettleReply:
        """Write changes, start what was claimed before, claim more."""
        table, now = self._table, self._state.now()
        with table.lock:
            refused: list[Refusal | None] = []
            for change in changes:
                before = table.records.get(change.invocation_id)
                refused.append(table.swap(change, now))
                if before and refused[-1] is None:
                    self._free(before, change.to, change.by, now)
            runner_id = ask.runner_id if ask else changes[0].by if changes else ""
            not_started = tuple(each for each in start if not self._start(each, runner_id, now))
            reply = self._claim(ask, now) if ask else ClaimReply()
        return SettleReply(refused=tuple(refused), not_started=not_started, claim=reply)

    def await_work(self, queues: Sequence[str], timeout: float) -> bool:
        """Block until there is news in one of the queues."""
        news = self._table.news
        with self._table.lock:
            self._waiting += 1
            self._table.changed.wait_for(lambda: self._woken or any(news[each] != self._seen.get(each, 0) for each in queues), timeout)
            self._waiting -= 1
            woken = self._woken
            self._woken = woken and self._waiting > 0
            return woken or any(news[each] != self._seen.get(each, 0) for each in queues)

    def wake(self) -> None:
        """Let who waits for work return."""
        with self._table.lock:
            self._woken = True
            self._table.changed.notify_all()

    def republish(self) -> int:
        """Return 0: nothing can be forgotten, since there is no queue beside the records."""
        return 0

    def depth(self, queue: str) -> int:
        """Return how many are claimable, due or not."""
        with self._table.lock:
            return len(self._table.queues[queue])

    def close(self) -> None:
        """Let who waits for work return."""
        self.wake()

    def _start(self, invocation_id: str, runner_id: str, now: float) -> bool:
        record = self._table.records.get(invocation_id)
        if record is None or record.state.status is not Status.PENDING or record.state.runner_id != runner_id:
            return False
        return self._move(record, Status.RUNNING, runner_id, "", now)

    def _claim(self, ask: Ask, now: float) -> ClaimReply:
        table = self._table
        got: list[InvocationRecord] = []
        starts, aside = ask.start, MOST_SET_ASIDE
        for queue in ask.queues:
            order = table.queues[queue]
            while len(got) < ask.limit and aside and (first := order.first(now, awaited_only=ask.awaited_only)):
                record = table.records[first]
                if self._set_aside(record, ask.runner_id, now):
                    aside -= 1
                    continue
                known = ask.known_tasks is None or record.invocation.task_id in ask.known_tasks
                start = starts > 0 and known and not record.state.suspect
                starts -= start
                got.append(table.replace(record, *claimed(first, record.state, ask.runner_id, now, start=start)))
        if len(got) < ask.limit and aside:
            self._seen.update({queue: table.news[queue] for queue in ask.queues})
        due = [instant for queue in ask.queues if (instant := table.queues[queue].next_due()) is not None]
        return ClaimReply(claimed=tuple(got), signals=table.signals((ask.runner_id,)), next_due=min(due, default=None))

    def _set_aside(self, record: InvocationRecord, by: str, now: float) -> bool:
        """Move a claimable record that may not be claimed out of the queue; return whether it was one."""
        invocation = record.invocation
        if invocation.expires is not None and invocation.expires < now:
            return self._move(record, Status.CANCELLED, by, "expired", now)
        full = self._table.full_limit(record, now)
        if full is None:
            return False
        to = Status.CONCURRENCY_CONTROLLED_FINAL if invocation.drop_when_limited else Status.CONCURRENCY_CONTROLLED
        return self._move(record, to, by, f"limit {full.key!r} of {full.most} is full", now)

    def _move(self, record: InvocationRecord, to: Status, by: str, reason: str, now: float) -> bool:
        state = record.state
        expect = Expect(state.status, state.runner_id, state.claim)
        change = Change(invocation_id=record.invocation_id, expect=expect, through=(to,), by=by, reason=reason)
        self._table.replace(record, *applied(record.invocation_id, state, change, now))
        self._free(record, to, by, now)
        return True

    def _free(self, before: InvocationRecord, to: Status, by: str, now: float) -> None:
        """Hand on the slots that a record left, or those that it was called for and did not take."""
        left = before.state.status in OWNED or before.state.status is Status.REROUTED
        if not left or to in OWNED:
            return
        for limit in before.invocation.limits:
            self._call_next(limit.key, by, now)

    def _call_next(self, key: str, by: str, now: float) -> None:
        table = self._table
        beside = table.beside[key]
        while first := beside.first(now):
            record = table.records[first]
            full = table.full_limit(record, now)
            if full is None:
                self._move(record, Status.REROUTED, by, f"limit {key!r} has a free slot", now)
                return
            if full.key == key:
                return
            table.wait_beside(full.key, record)  # another key holds it up by now
