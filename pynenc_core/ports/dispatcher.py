"""What joins queue and record: submit, claim, settle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from pynenc_core.model import Ask, Batch, Change, ClaimReply, SettleReply, Submitted


class Dispatcher(ABC):
    """The few calls an invocation needs on its way. Each is one round trip where broker and state share a store.

    What it must keep, whatever dies when:

    - A record is claimed by exactly one asker, who gets a claim number higher than any before it.
    - A change is written whole (status, counters, outcome, blobs, history) or refused whole.
    - What a change leaves in a claimable status is handed out again, also what it wakes: see `RecordStorage.swap`.
    - Whoever watches an invocation (`BaseStateBackend.watch`) learns that it is final without polling.

    Every method may be called from any thread, and raises BackendUnavailableError when the store cannot be reached;
    then it is unknown whether the call was carried out, and repeating it is safe.
    """

    @abstractmethod
    def submit(self, batch: Batch) -> Submitted:
        """Store a batch and its queue entries, all or nothing; repeating the same batch changes nothing.

        An invocation whose `unique_key` counts for another (one that is not final, or whose `unique_until` has not come) is
        not stored: that one's id stands for it.
        """

    @abstractmethod
    def claim(self, ask: Ask) -> ClaimReply:
        """Claim what is claimable now, lowest `(queue, rank)` first in the order of `ask.queues`; never blocks.

        Claimable are the statuses of `status.CLAIMABLE`, SCHEDULED only when due. On the way, an expired invocation
        becomes CANCELLED, and one whose limits are full becomes CONCURRENCY_CONTROLLED (with `drop_when_limited`:
        CONCURRENCY_CONTROLLED_FINAL); a suspect is handed out, but never started in the same step.
        """

    @abstractmethod
    def settle(self, changes: Sequence[Change], *, ask: Ask | None = None) -> SettleReply:
        """Write `changes`, then claim as `ask` says. To start what is PENDING here is a change, to RUNNING.

        One step where the store can do it; each change is written or refused on its own, whatever becomes of the others.
        """

    @abstractmethod
    def await_work(self, queues: Sequence[str], timeout: float) -> bool:
        """Block until something may have become claimable since this process last claimed less than it asked for.

        Returns False after `timeout` seconds without, True otherwise, also after `wake`. May return True for nothing.
        What merely becomes due need not wake anybody: the caller limits `timeout` by `ClaimReply.next_due`.
        """

    @abstractmethod
    def wake(self) -> None:
        """Let every `await_work` that blocks in this process return True at once; the next one as well, if none does."""

    @abstractmethod
    def republish(self) -> int:
        """Finish what a process that died left half done, and hand out again what is claimable and no longer queued.

        Return how many of both. 0 where each verb is one step and the record is the queue.
        """

    @abstractmethod
    def depth(self, queue: str) -> int:
        """Return how many invocations of the queue are claimable, due or not."""

    @abstractmethod
    def close(self) -> None:
        """Release what it holds itself; tolerant of being called twice. Broker and state backend are closed by the app."""
