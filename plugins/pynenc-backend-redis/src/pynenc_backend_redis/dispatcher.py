"""Submit, claim and settle, each in one call."""

from __future__ import annotations

from collections.abc import Sequence

from pynenc_backend_redis import encoding
from pynenc_backend_redis.state_backend import RedisStateBackend
from pynenc_core.model import Ask, Batch, Change, ClaimReply, SettleReply, Submitted
from pynenc_core.ports.dispatcher import Dispatcher


class RedisDispatcher(Dispatcher):
    """The record is the queue: what is claimable stands in an index by queue and rank, and nowhere else."""

    def __init__(self, state_backend: RedisStateBackend) -> None:
        self._state = state_backend
        self._link = state_backend.link
        self._ear = state_backend.ear
        self._seen = 0
        """The ear's news that the last claim which found too little had seen."""
        self._awaited_only = False

    def submit(self, batch: Batch) -> Submitted:
        """Store a batch, unless it is stored already."""
        return self._state.add_batch(batch)

    def claim(self, ask: Ask) -> ClaimReply:
        """Claim what is due, lowest rank first."""
        return self.settle((), ask=ask).claim

    def settle(self, changes: Sequence[Change], *, ask: Ask | None = None) -> SettleReply:
        """Write changes, claim more."""
        given = encoding.change_arguments(changes)
        if ask is None:
            refused, _, _ = self._link.run("settle", *given, "")
            return SettleReply(refused=encoding.refusals_of(changes, refused))
        ear, seen = self._ear, self._ear.news
        refused, _, reply = self._link.run("settle", *given, "1", *encoding.ask_arguments(ask, ear.name if ear.open else ""))
        claim, hungry = encoding.claim_of(reply, ask.runner_id)
        if hungry:
            with ear.changed:
                if ear.open and ear.news == seen:
                    ear.waits_for.update(ask.queues)
                self._seen, self._awaited_only = max(seen, self._seen), ask.awaited_only
        return SettleReply(refused=encoding.refusals_of(changes, refused), claim=claim)

    def await_work(self, queues: Sequence[str], timeout: float) -> bool:
        """Block until somebody tells of work in one of the queues."""
        ear = self._ear
        ear.listen()
        if ear.news == self._seen and not ear.woken and not ear.waits_for.issuperset(queues):
            if self._link.run("await", ear.name, "1" if self._awaited_only else "", *queues):
                return True
            with ear.changed:
                if ear.news == self._seen:
                    ear.waits_for.update(queues)
        woken = ear.wait(lambda: ear.news != self._seen, timeout)
        return woken or ear.news != self._seen

    def wake(self) -> None:
        """Let who waits for work return."""
        self._ear.wake()

    def republish(self) -> int:
        """Return 0: nothing can be forgotten, since there is no queue beside the records."""
        return 0

    def depth(self, queue: str) -> int:
        """Return how many are claimable, due or not."""
        return int(self._link.run("depth", queue))

    def close(self) -> None:
        """Let who waits for work return."""
        self.wake()
