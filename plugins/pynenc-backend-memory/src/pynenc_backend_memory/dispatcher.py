"""Submit, claim and settle, each in one step under the table's lock."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc_backend_memory.state_backend import MemoryStateBackend
from pynenc_core.model import Ask, Batch, Change, ClaimReply, SettleReply, Submitted
from pynenc_core.ports import atomic
from pynenc_core.ports.dispatcher import Dispatcher


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
        return self.settle((), ask=ask).claim

    def settle(self, changes: Sequence[Change], *, ask: Ask | None = None) -> SettleReply:
        """Write changes, claim more."""
        with self._table.lock:
            reply, more = atomic.settle(self._state.step(), changes, ask)
            if ask and not more:
                self._seen.update({queue: self._table.news[queue] for queue in ask.queues})
        return reply

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
