"""Submit, claim and settle, each in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc_backend_sqlite import statements as sql
from pynenc_backend_sqlite import transitions
from pynenc_backend_sqlite.coordination import requests
from pynenc_backend_sqlite.database import Row
from pynenc_backend_sqlite.state_backend import SQLiteStateBackend
from pynenc_backend_sqlite.step import WORK, Step
from pynenc_backend_sqlite.transitions import Held
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


class SQLiteDispatcher(Dispatcher):
    """The record is the queue: what is claimable stands in an index by queue and rank, and nowhere else."""

    def __init__(self, state_backend: SQLiteStateBackend) -> None:
        self._state = state_backend
        self._bell = state_backend.bell
        self._seen = 0
        """The doorbell's news that the last claim which found too little had seen."""
        self._woken = False
        self._waiting = 0

    def submit(self, batch: Batch) -> Submitted:
        """Store a batch, unless it is stored already."""
        return self._state.add_batch(batch)

    def claim(self, ask: Ask) -> ClaimReply:
        """Claim what is due, lowest rank first."""
        return self.settle((), ask=ask).claim

    def settle(self, changes: Sequence[Change], *, start: Sequence[str] = (), ask: Ask | None = None) -> SettleReply:
        """Write changes, start what was claimed before, claim more."""
        seen, enough, reply = self._bell.news, True, ClaimReply()
        with self._state.step() as step:
            refused: list[Refusal | None] = []
            for change in changes:
                refusal, before = transitions.swap(step, change)
                refused.append(refusal)
                if before is not None:
                    _hand_on(step, before, change.to, change.by)
            runner_id = ask.runner_id if ask else changes[0].by if changes else ""
            not_started = tuple([each for each in start if not _start(step, each, runner_id)])
            if ask is not None:
                reply, enough = _claim(step, ask)
                if not enough:
                    step.wait_for_news([WORK + queue for queue in ask.queues])
        if ask is not None and not enough:
            with self._bell.changed:
                self._bell.waits_for.update(WORK + queue for queue in ask.queues)
                self._seen = max(seen, self._seen)
        return SettleReply(refused=tuple(refused), not_started=not_started, claim=reply)

    def await_work(self, queues: Sequence[str], timeout: float) -> bool:
        """Block until somebody tells of work in one of the queues."""
        names = {WORK + queue for queue in queues}
        if self._bell.news == self._seen and not names <= self._bell.waits_for and not self._woken and self._register(queues):
            return True
        with self._bell.listening():
            self._waiting += 1
            self._bell.changed.wait_for(lambda: self._woken or self._bell.news != self._seen, timeout)
            self._waiting -= 1
            woken = self._woken
            self._woken = woken and self._waiting > 0
            return woken or self._bell.news != self._seen

    def wake(self) -> None:
        """Let who waits for work return."""
        with self._bell.changed:
            self._woken = True
            self._bell.changed.notify_all()

    def republish(self) -> int:
        """Return 0: nothing can be forgotten, since there is no queue beside the records."""
        return 0

    def depth(self, queue: str) -> int:
        """Return how many are claimable, due or not."""
        return int(self._state.database.rows(sql.DEPTH, queue)[0][0])

    def close(self) -> None:
        """Let who waits for work return."""
        self.wake()

    def _register(self, queues: Sequence[str]) -> bool:
        """Ask to be woken, unless there is something already; return whether there is."""
        with self._state.step() as step:
            if any(_candidates(step, queue, 1, awaited_only=False) for queue in queues):
                return True
            step.wait_for_news([WORK + queue for queue in queues])
        with self._bell.changed:
            self._bell.waits_for.update(WORK + queue for queue in queues)
        return False


def _start(step: Step, invocation_id: str, runner_id: str) -> bool:
    row = step.execute(sql.HELD, invocation_id).fetchone()
    held = None if row is None else Held(row)
    if held is None or held.state.status is not Status.PENDING or held.state.runner_id != runner_id:
        return False
    _move(step, held, Status.RUNNING, runner_id, "")
    return True


def _claim(step: Step, ask: Ask) -> tuple[ClaimReply, bool]:
    """Return what was claimed, and whether there may be more."""
    got: list[InvocationRecord] = []
    aside = MOST_SET_ASIDE
    dues: list[float] = []
    starts = ask.start
    for queue in ask.queues:
        (due,) = step.execute(sql.NEXT_DUE, queue).fetchone()
        if due is not None and due <= step.now:
            step.execute(sql.NOW_DUE, queue, step.now)
            (due,) = step.execute(sql.NEXT_DUE, queue).fetchone()
        dues += [] if due is None else [due]
        while aside and len(got) < ask.limit and (rows := _candidates(step, queue, ask.limit - len(got), awaited_only=ask.awaited_only)):
            for row in rows:
                held = Held(row)
                if _set_aside(step, held, row, ask.runner_id):
                    aside -= 1
                    break  # which may have let another one in before the rest of these
                invocation, call = transitions.decode_body(row[14])
                known = ask.known_tasks is None or invocation.task_id in ask.known_tasks
                start = starts > 0 and known and not held.state.suspect
                starts -= start
                state, entries = claimed(held.invocation_id, held.state, ask.runner_id, step.now, start=start)
                transitions.move(step, held, state, entries)
                got.append(InvocationRecord(invocation=invocation, call=call, state=state, side=held.side))
    reply = ClaimReply(claimed=tuple(got), signals=requests(step, (ask.runner_id,)), next_due=min(dues, default=None))
    return reply, len(got) >= ask.limit or not aside


def _candidates(step: Step, queue: str, limit: int, *, awaited_only: bool) -> list[Row]:
    return step.execute(sql.FIRST_AWAITED if awaited_only else sql.FIRST, queue, limit).fetchall()


def _set_aside(step: Step, held: Held, row: Row, by: str) -> bool:
    """Move a claimable record that may not be claimed out of the queue; return whether it was one."""
    invocation, _ = transitions.decode_body(row[14])
    if invocation.expires is not None and invocation.expires < step.now:
        _move(step, held, Status.CANCELLED, by, "expired")
        return True
    full = transitions.full_limit(step, held)
    if full is None:
        return False
    to = Status.CONCURRENCY_CONTROLLED_FINAL if invocation.drop_when_limited else Status.CONCURRENCY_CONTROLLED
    _move(step, held, to, by, f"limit {full.key!r} of {full.most} is full")
    return True


def _move(step: Step, held: Held, to: Status, by: str, reason: str) -> None:
    state = held.state
    expect = Expect(state.status, state.runner_id, state.claim)
    change = Change(invocation_id=held.invocation_id, expect=expect, through=(to,), by=by, reason=reason)
    transitions.move(step, held, *applied(held.invocation_id, state, change, step.now))
    _hand_on(step, held, to, by)


def _hand_on(step: Step, before: Held, to: Status, by: str) -> None:
    """Hand on the slots that a record left, or those that it was called for and did not take."""
    left = before.state.status in OWNED or before.state.status is Status.REROUTED
    if left and to not in OWNED:
        for limit in before.limits:
            _call_next(step, limit.key, by)


def _call_next(step: Step, key: str, by: str) -> None:
    while row := step.execute(sql.FIRST_BESIDE, key).fetchone():
        held = Held(row)
        full = transitions.full_limit(step, held)
        if full is None:
            _move(step, held, Status.REROUTED, by, f"limit {key!r} has a free slot")
            return
        if full.key == key:
            return
        step.execute(sql.WAIT_BESIDE, held.invocation_id, full.key)  # another key holds it up by now
