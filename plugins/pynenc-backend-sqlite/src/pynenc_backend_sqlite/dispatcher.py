"""Submit, claim and settle, each in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc_backend_sqlite import statements as sql
from pynenc_backend_sqlite.state_backend import SQLiteStateBackend
from pynenc_backend_sqlite.step import WORK
from pynenc_core.model import Ask, Batch, Change, ClaimReply, SettleReply, Submitted
from pynenc_core.ports import atomic
from pynenc_core.ports.dispatcher import Dispatcher


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

    def settle(self, changes: Sequence[Change], *, ask: Ask | None = None) -> SettleReply:
        """Write changes, claim more."""
        seen = self._bell.news
        with self._state.step() as step:
            reply, more = atomic.settle(step, changes, ask)
            if ask and not more:
                step.wait_for_news([WORK + queue for queue in ask.queues])
        if ask and not more:
            with self._bell.changed:
                self._bell.waits_for.update(WORK + queue for queue in ask.queues)
                self._seen = max(seen, self._seen)
        return reply

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
            if any(step.candidates(queue, 1, awaited_only=False) for queue in queues):
                return True
            step.wait_for_news([WORK + queue for queue in queues])
        with self._bell.changed:
            self._bell.waits_for.update(WORK + queue for queue in queues)
        return False
