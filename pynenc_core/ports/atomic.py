"""The rules of a store that is written in Python and keeps queue and records together: submit, swap, acquire, mark and settle, once.

Such a store offers `AtomicStep`: reads and writes of single things that are one transaction, or one hold of a lock. What
has to happen among them, and in which order, is said here for all of these stores.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from pynenc_core.model import (
    MOST_SET_ASIDE,
    Ask,
    Batch,
    Blob,
    Change,
    ClaimReply,
    InvocationHistory,
    InvocationRecord,
    Limit,
    Mark,
    Queued,
    Refusal,
    SettleReply,
    Side,
    Signal,
    State,
    Submitted,
    Swapped,
    applied,
    boosts,
    claimed,
    entered,
    full_limit,
    hands_on,
    marked,
    may_claim,
    meets,
    put_aside,
    registered,
    starts,
    woken,
)
from pynenc_core.status import CLAIMABLE, Status

_SUBMITTED, _SUBMITTED_KEPT = "submitted", 3600.0  # kind and seconds of the answers to batches that found something there


class Held(Protocol):
    """An invocation as a step has it at hand."""

    @property
    def invocation_id(self) -> str:
        """Its id."""
        ...

    @property
    def state(self) -> State:
        """Its fenced part when it was read."""
        ...

    @property
    def side(self) -> Side:
        """Its side values when it was read."""
        ...


H = TypeVar("H", bound=Held)


class AtomicStep(Protocol[H]):
    """Reads and writes that are one atomic step. None of its methods judges anything; each keeps the store's own indexes."""

    @property
    def now(self) -> float:
        """The store's clock, the same throughout the step."""
        ...

    @property
    def fresh(self) -> dict[str, Queued]:
        """Kept for the rules: what the step made claimable and left so, by id; empty when it begins."""
        ...

    def held(self, invocation_id: str) -> H | None:
        """Return an invocation, or None."""
        ...

    def record(self, held: H, state: State | None = None) -> InvocationRecord:
        """Return the whole record, with another state if one is given."""
        ...

    def limits(self, held: H) -> tuple[Limit, ...]:
        """Return the limits of an invocation."""
        ...

    def queued(self, held: H, state: State, side: Side) -> Queued:
        """Return what a queue would hold of an invocation, with this state and these side values."""
        ...

    def insert(self, record: InvocationRecord, entry: InvocationHistory) -> None:
        """Store a new invocation and its first history entry."""
        ...

    def write(self, held: H, state: State, entries: Sequence[InvocationHistory], beside: str) -> None:
        """Put a state in the place of the one that was read, with its history; wake who waits for what it became.

        `beside` is the limit key that a CONCURRENCY_CONTROLLED one waits for, else empty. A final one gives its unique key
        up, unless it counts until an instant.
        """
        ...

    def write_outbox(self, held: H, state: State) -> None:
        """Put a state that differs by its outbox alone in the place of the one that was read."""
        ...

    def write_side(self, held: H, side: Side) -> None:
        """Put side values in the place of those that were read; a claimable one moves to its new rank and wakes who waits."""
        ...

    def put_blobs(self, blobs: Iterable[Blob]) -> None:
        """Store blobs; of one that exists, only move the expiry forward."""
        ...

    def value(self, kind: str, key: str) -> bytes | None:
        """Return a small value that has not expired."""
        ...

    def put_value(self, kind: str, key: str, value: bytes, ttl: float | None) -> None:
        """Store a small value."""
        ...

    def known(self, invocation_ids: Collection[str]) -> Collection[str]:
        """Return those that are stored."""
        ...

    def unique_holder(self, key: str) -> tuple[str, float | None] | None:
        """Return the one invocation that has this unique key and did not give it up, and until when it counts."""
        ...

    def free_unique(self, invocation_id: str, key: str) -> None:
        """Let an invocation give its unique key up."""
        ...

    def holders(self, key: str) -> int:
        """Return how many owned invocations have this limit."""
        ...

    def next_due(self, queue: str) -> float | None:
        """Let what is due by now stand in the queue's order; return when the next one will be."""
        ...

    def candidates(self, queue: str, limit: int, *, awaited_only: bool) -> Sequence[H]:
        """Return the first ones in a queue's order that may be claimed now."""
        ...

    def first_beside(self, key: str) -> H | None:
        """Return the one of lowest rank that waits for this limit key."""
        ...

    def wait_beside(self, held: H, key: str) -> None:
        """Let one that waits for a limit key wait for another."""
        ...

    def signals(self, runner_ids: Collection[str]) -> tuple[Signal, ...]:
        """Return the requests to what these runners own, those that concern its present owner."""
        ...


def submit(step: AtomicStep[H], batch: Batch) -> Submitted:
    """Store a batch; see `Dispatcher.submit`."""
    if any(new.invocation.unique_key for new in batch.invocations) and (answer := step.value(_SUBMITTED, batch.batch_id)):
        return msgspec.msgpack.decode(answer, type=Submitted)
    step.put_blobs(batch.blobs)
    ids = [new.invocation.invocation_id for new in batch.invocations]
    known = step.known(ids)
    reused: set[int] = set()
    for position, new in enumerate(batch.invocations):
        if ids[position] not in known:
            holder = _unique_holder(step, new.invocation.unique_key)
            if holder is None:
                step.insert(*registered(new, step.now))
            else:
                ids[position] = holder
                reused.add(position)
    submitted = Submitted(tuple(ids), frozenset(reused))
    if submitted.reused:  # a repetition must answer the same, though the holder may be final by then
        step.put_value(_SUBMITTED, batch.batch_id, msgspec.msgpack.encode(submitted), _SUBMITTED_KEPT)
    return submitted


def swap(step: AtomicStep[H], changes: Sequence[Change]) -> Swapped:
    """Write or refuse changes; see `RecordStorage.swap`."""
    refused = tuple([_swap(step, change) for change in changes])
    return Swapped(refused, tuple(step.fresh.values()))


def acquire(step: AtomicStep[H], invocation_ids: Sequence[str], ask: Ask) -> ClaimReply:
    """Claim what is claimable of these; see `RecordStorage.acquire`."""
    claims = _Claims(step, ask)
    for invocation_id in invocation_ids:
        held = step.held(invocation_id) if claims.go_on else None
        if held is not None and may_claim(held.state, held.side.boost, ask, step.now):
            claims.take(held)
    return claims.reply()


def mark(step: AtomicStep[H], given: Mark) -> bool:
    """Write side values of an invocation, if it is known; return whether the mark is refused."""
    held = step.held(given.invocation_id)
    if held is None:
        return given.owner is not None
    after = marked(held.state, held.side, given)
    if after is None:
        return True
    state, side = after
    if state is not held.state:
        step.write_outbox(held, state)
        held = step.held(given.invocation_id) or held
    if side != held.side:
        _write_side(step, held, side)
    return False


def settle(step: AtomicStep[H], changes: Sequence[Change], ask: Ask | None) -> tuple[SettleReply, bool]:
    """Write and claim; see `Dispatcher.settle`. Return too whether there may be more to claim than was found."""
    refused = tuple([_swap(step, change) for change in changes])
    if ask is None:
        return SettleReply(refused=refused), True
    claims = _Claims(step, ask)
    for queue in ask.queues:
        while claims.go_on and (found := step.candidates(queue, ask.limit - len(claims.got), awaited_only=ask.awaited_only)):
            for held in found:
                if not claims.take(held):
                    break  # which may have let another one in before the rest of these
    return SettleReply(refused=refused, claim=claims.reply()), not claims.go_on


class _Claims(Generic[H]):
    """One claim of several, under way."""

    def __init__(self, step: AtomicStep[H], ask: Ask) -> None:
        self._step = step
        self._ask = ask
        self._aside = self._started = 0
        dues = [due for queue in ask.queues if (due := step.next_due(queue)) is not None]
        self._next_due = min(dues, default=None)
        self.got: list[InvocationRecord] = []

    @property
    def go_on(self) -> bool:
        """Whether more may be taken."""
        return len(self.got) < self._ask.limit and self._aside < MOST_SET_ASIDE

    def take(self, held: H) -> bool:
        """Claim a claimable one, or put it aside; return whether it was claimed."""
        step, ask, record = self._step, self._ask, self._step.record(held)
        elsewhere = put_aside(record.invocation, step.now, _full(step, record.invocation.limits))
        if elsewhere is not None:
            self._aside += 1
            _write(step, held, *entered(held.invocation_id, held.state, elsewhere[0], ask.runner_id, elsewhere[1], step.now))
            return False
        start = starts(record.invocation, held.state, ask, self._started)
        self._started += start
        state, entries = claimed(held.invocation_id, held.state, ask.runner_id, step.now, start=start)
        step.write(held, state, entries, "")
        step.fresh.pop(held.invocation_id, None)
        self.got.append(InvocationRecord(invocation=record.invocation, call=record.call, state=state, side=record.side))
        return True

    def reply(self) -> ClaimReply:
        """Return what came of it."""
        signals, fresh = self._step.signals((self._ask.runner_id,)), self._step.fresh
        return ClaimReply(claimed=tuple(self.got), signals=signals, next_due=self._next_due, claimable=tuple(fresh.values()))


def _unique_holder(step: AtomicStep[H], key: str) -> str | None:
    """Return the invocation that a unique key stands for; one for which it counts no more gives it up."""
    found = step.unique_holder(key) if key else None
    if found is None:
        return None
    holder, until = found
    if until is None or step.now < until:
        return holder
    step.free_unique(holder, key)
    return None


def _swap(step: AtomicStep[H], change: Change) -> Refusal | None:
    held = step.held(change.invocation_id)
    if held is None:
        return Refusal(change.invocation_id, None)
    state = held.state
    if not meets(state, change.expect):
        return Refusal(change.invocation_id, state.status, state.runner_id, state.claim)
    step.put_blobs(change.blobs)
    _write(step, held, *applied(change.invocation_id, state, change, step.now))
    for boost in boosts(change):
        found = step.held(boost.invocation_id)
        if found is not None and not found.state.final:
            mark(step, boost)
    return None


def _write(step: AtomicStep[H], held: H, state: State, entries: Sequence[InvocationHistory]) -> None:
    """Write what an invocation has become, and wake who waits for what it leaves."""
    beside = ""
    if state.status is Status.CONCURRENCY_CONTROLLED and (limits := step.limits(held)):
        beside = (_full(step, limits) or limits[0]).key
    step.write(held, state, entries, beside)
    if state.status in CLAIMABLE:
        step.fresh[held.invocation_id] = step.queued(held, state, held.side)
    elif step.fresh:
        step.fresh.pop(held.invocation_id, None)
    if hands_on(held.state, state):
        for limit in step.limits(held):
            _call_next(step, limit.key, entries[-1].runner_context_id)


def _write_side(step: AtomicStep[H], held: H, side: Side) -> None:
    if side.boost != held.side.boost and held.state.status in CLAIMABLE:
        step.fresh[held.invocation_id] = step.queued(held, held.state, side)
    step.write_side(held, side)


def _full(step: AtomicStep[H], limits: tuple[Limit, ...]) -> Limit | None:
    return full_limit(limits, step.holders) if limits else None


def _call_next(step: AtomicStep[H], key: str, by: str) -> None:
    """Wake the first that waits for this key and finds room, passing over those that another key holds up: they wait beside that one."""
    while (held := step.first_beside(key)) is not None:
        full = _full(step, step.limits(held))
        if full is None:
            _write(step, held, *woken(held.invocation_id, held.state, key, by, step.now))
            return
        if full.key == key:
            return
        step.wait_beside(held, full.key)
