"""The storage verbs: everything a store has to do itself. The rules above them are written once, in the core."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from pynenc_core.model import (
    Ask,
    Batch,
    Blob,
    Change,
    ClaimReply,
    InvocationHistory,
    InvocationRecord,
    Lease,
    Mark,
    Query,
    RunnerBeat,
    Signal,
    Submitted,
    Swapped,
    Swept,
)
from pynenc_core.status import Status


class Watch(Protocol):
    """Somebody's interest in some invocations. Not shared between threads."""

    def wait(self, timeout: float | None) -> frozenset[str]:
        """Return which of the watched became final, each once; () after `timeout` seconds without, or after `close`.

        The first call also returns, at once, those that were final when the watch began. An id without a record counts
        as final: nothing will ever happen to it. None waits without end.
        """
        ...

    def close(self) -> None:
        """End the interest; lets a `wait` in another thread return. Tolerant of being called twice."""
        ...


class RecordStorage(ABC):
    """Invocations: their records, history and payloads."""

    @abstractmethod
    def add_batch(self, batch: Batch) -> Submitted:
        """Store records, first history entries and blobs, all or nothing; see `Dispatcher.submit` for `unique_key`."""

    @abstractmethod
    def get(self, invocation_ids: Collection[str]) -> dict[str, InvocationRecord]:
        """Return the records that exist, by id."""

    @abstractmethod
    def swap(self, changes: Sequence[Change]) -> Swapped:
        """Write each change if its expectation is met, else refuse it and change nothing anywhere; in order.

        What follows from a change belongs to it: what a paused one awaits is boosted (`model.boosts`), and one with
        limits that is released wakes waiters (`model.hands_on`): for each of its keys the first waiter *all of whose
        limits have room*, which becomes REROUTED; also when it was woken itself and ends without a claim (cancelled, expired).

        All in one step where the store can; else in this order: boost before PAUSED; write, then free the slot, then look
        for waiters; and who has become CONCURRENCY_CONTROLLED looks again for room after its own write.
        """

    @abstractmethod
    def acquire(self, invocation_ids: Sequence[str], ask: Ask) -> ClaimReply:
        """Claim what is claimable of these, in their order, up to `ask.limit`; by the rules of `Dispatcher.claim`.

        `ask.queues` only says where to look for `next_due`. Unknown ids, and what cannot be claimed now, are passed over.
        How a store keeps slots for the limits is its own affair; never more than N live holders, whatever dies: a holder
        is live exactly while its invocation is owned under that claim, and no bet on time may decide it.
        """

    @abstractmethod
    def mark(self, marks: Sequence[Mark]) -> tuple[str, ...]:
        """Write side values; return the ids of the marks refused, because of another owner than `Mark.owner`.

        Without an owner, marks of unknown invocations are passed over.
        """

    @abstractmethod
    def find(
        self, query: Query, *, after: str = "", before: str = "", limit: int = 100, newest_first: bool = False
    ) -> tuple[InvocationRecord, ...]:
        """Return up to `limit` records that the query fits, by id, with `after < id < before` ("" is no bound)."""

    @abstractmethod
    def count(self, query: Query) -> dict[Status, int]:
        """Return how many invocations the query fits, by status; a status without any is absent."""

    @abstractmethod
    def history(self, invocation_ids: Collection[str]) -> dict[str, tuple[InvocationHistory, ...]]:
        """Return the entries of each known invocation by `seq`: the first `FIRST_KEPT` and the last `LAST_KEPT` of them.

        `seq` is the order, never `at`: a store may stamp times by an estimate of its clock.
        """

    @abstractmethod
    def history_between(
        self, start: float, end: float, *, after: tuple[float, str, int] | None = None, limit: int = 100
    ) -> tuple[InvocationHistory, ...]:
        """Return up to `limit` entries with `start <= at < end`, by `(at, invocation_id, seq)`, after that key."""

    @abstractmethod
    def put_blobs(self, blobs: Iterable[Blob]) -> None:
        """Store blobs outside of a batch or change; an existing one only has its expiry moved forward."""

    @abstractmethod
    def get_blobs(self, keys: Collection[str]) -> dict[str, bytes]:
        """Return the contents that exist, whole, by key."""

    @abstractmethod
    def watch(self, invocation_ids: Collection[str]) -> Watch:
        """Begin to watch invocations for becoming final, by notification."""

    @abstractmethod
    def sweep(self, before: float, limit: int = 1000) -> Swept:
        """Remove up to `limit` final invocations with `since < before`, their history, and expired blobs and values.

        One whose unique key counts beyond its end is kept as if it had ended at `unique_until` (`model.ended_at`).
        """

    @abstractmethod
    def purge(self) -> None:
        """Remove everything of this app, and of no other."""


class CoordinationStorage(ABC):
    """What processes agree through: keyed values, heartbeats and leases. All times are the store's."""

    @abstractmethod
    def now(self) -> float:
        """Return the store's clock, in seconds since 1970; may be an estimate that needs no round trip."""

    @abstractmethod
    def prepare(self) -> None:
        """Create what the store needs, and check what is there.

        Raises StoreFormatError for a store of a newer format, or of an older one that has to be migrated first;
        BackendUnavailableError when it cannot be reached, read or written.
        """

    @abstractmethod
    def close(self) -> None:
        """Release every connection and end every watch; a later call connects anew. Tolerant of being called twice."""

    @abstractmethod
    def put_value(self, kind: str, key: str, value: bytes, *, if_absent: bool = False, ttl: float | None = None) -> bool:
        """Store a small value; return whether it was written, which only `if_absent` may prevent."""

    @abstractmethod
    def get_values(self, kind: str, keys: Collection[str]) -> dict[str, bytes]:
        """Return the values that exist, by key."""

    @abstractmethod
    def list_values(self, kind: str, *, prefix: str = "", after: str = "", limit: int = 100) -> tuple[tuple[str, bytes], ...]:
        """Return up to `limit` pairs of key and value by key, those that start with `prefix` and come after `after`."""

    @abstractmethod
    def drop_values(self, kind: str, keys: Collection[str]) -> int:
        """Remove values; return how many existed."""

    @abstractmethod
    def beat(self, runner_ids: Collection[str], lease: float, *, may_serve: bool = False) -> tuple[Signal, ...]:
        """Note that these runners live for `lease` seconds more; return the requests to what they own now (`Signal.concerns`)."""

    @abstractmethod
    def beats(self) -> tuple[RunnerBeat, ...]:
        """Return every runner known, by id, dead ones too until they are forgotten."""

    @abstractmethod
    def forget_runners(self, runner_ids: Collection[str]) -> None:
        """Remove runners that ended, so that they count as dead at once."""

    @abstractmethod
    def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take or renew a role; None while somebody else holds it."""

    @abstractmethod
    def drop_lease(self, name: str, holder: str) -> None:
        """Give a role back, if this holder has it."""

    @abstractmethod
    def holders(self, keys: Collection[str]) -> Mapping[str, int]:
        """Return how many live holders each limit key has: the owned invocations that have it among their limits."""
