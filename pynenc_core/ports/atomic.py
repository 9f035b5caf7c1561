"""The rules of a store that is written in Python and keeps queue and records together: submit, swap, mark and settle, once.

Such a store offers `AtomicStep`: reads and writes of single things that are one transaction, or one hold of a lock. What
has to happen among them, and in which order, is said here for all of these stores.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol, TypeVar

import attrs
import msgspec

from pynenc_core.model import (
    Ask,
    Batch,
    Blob,
    Change,
    ClaimReply,
    Expect,
    InvocationHistory,
    InvocationRecord,
    Limit,
    Mark,
    Refusal,
    SettleReply,
    Side,
    Signal,
    State,
    Submitted,
    applied,
    claimed,
    meets,
    registered,
)
from pynenc_core.status import OWNED, Status

HISTORY_FIRST, HISTORY_LAST = 20, 180
"""How many history entries of an invocation are kept, from its beginning and from its end."""
SLOT_GRACE = 30.0
"""Seconds for which a slot is held for a claim that is not written yet."""

_MOST_SET_ASIDE = 256  # expired or limited ones in one claim; more would hold up everybody else
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

    def held(self, invocation_id: str) -> H | None:
        """Return an invocation, or None."""
        ...

    def record(self, held: H, state: State | None = None) -> InvocationRecord:
        """Return the whole record, with another state if one is given."""
        ...

    def limits(self, held: H) -> tuple[Limit, ...]:
        """Return the limits of an invocation."""
        ...

    def insert(self, record: InvocationRecord, entry: InvocationHistory) -> None:
        """Store a new invocation and its first history entry."""
        ...

    def write(self, held: H, state: State, entries: Sequence[InvocationHistory], beside: str) -> None:
        """Put a state in the place of the one that was read, with its history; wake who waits for what it became.

        `beside` is the limit key that a CONCURRENCY_CONTROLLED one waits for, else empty.
        """
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

    def unique_holder(self, key: str) -> str | None:
        """Return the one invocation with this unique key that is not final."""
        ...

    def holders(self, key: str) -> int:
        """Return how many live holders a limit key has."""
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
        """Return the requests to what these runners own."""
        ...


def submit(step: AtomicStep[H], batch: Batch) -> Submitted:
    """Store a batch; see `Dispatcher.submit`."""
    if any(new.invocation.unique_key for new in batch.invocations) and (answer := step.value(_SUBMITTED, batch.batch_id)):
        return msgspec.msgpack.decode(answer, type=Submitted)
    step.put_blobs(batch.blobs)
    own = [new.invocation.invocation_id for new in batch.invocations]
    known = step.known(own)
    ids: list[str] = []
    for new in batch.invocations:
        invocation_id, unique_key = new.invocation.invocation_id, new.invocation.unique_key
        if invocation_id not in known:
            holder = step.unique_holder(unique_key) if unique_key else None
            if holder is None:
                step.insert(*registered(new, step.now))
            else:
                invocation_id = holder
        ids.append(invocation_id)
    submitted = Submitted(tuple(ids), frozenset(ids).difference(own))
    if submitted.reused:  # a repetition must answer the same, though the holder may be final by then
        step.put_value(_SUBMITTED, batch.batch_id, msgspec.msgpack.encode(submitted), _SUBMITTED_KEPT)
    return submitted


def swap(step: AtomicStep[H], change: Change) -> Refusal | None:
    """Write a change or refuse it; see `RecordStorage.swap`."""
    return _swap(step, change)[0]


def mark(step: AtomicStep[H], given: Mark) -> None:
    """Write side values of an invocation, if it is known."""
    held = step.held(given.invocation_id)
    if held is None:
        return
    old = held.side
    side = Side(
        boost=min((each for each in (old.boost, given.boost) if each is not None), default=None),
        published_at=old.published_at if given.published_at is None else given.published_at,
        signal=given.signal or old.signal,
        progress=old.progress if given.progress is None else given.progress,
    )
    step.write_side(held, side)


def settle(step: AtomicStep[H], changes: Sequence[Change], start: Sequence[str], ask: Ask | None) -> tuple[SettleReply, bool]:
    """Write, start and claim; see `Dispatcher.settle`. Return too whether there may be more to claim than was found."""
    refused: list[Refusal | None] = []
    for change in changes:
        refusal, before = _swap(step, change)
        refused.append(refusal)
        if before is not None:
            _hand_on(step, before, change.to, change.by)
    runner_id = ask.runner_id if ask else changes[0].by if changes else ""
    not_started = tuple([each for each in start if not _start(step, each, runner_id)])
    reply, more = _claim(step, ask) if ask else (ClaimReply(), True)
    return SettleReply(refused=tuple(refused), not_started=not_started, claim=reply), more


def _swap(step: AtomicStep[H], change: Change) -> tuple[Refusal | None, H | None]:
    """Return the refusal, or what was there before the change."""
    held = step.held(change.invocation_id)
    if held is None:
        return Refusal(change.invocation_id, None), None
    state = held.state
    if not meets(state, change.expect):
        return Refusal(change.invocation_id, state.status, state.runner_id, state.claim), None
    step.put_blobs(change.blobs)
    _write(step, held, *applied(change.invocation_id, state, change, step.now))
    if change.to is Status.PAUSED and change.boost is not None:
        for awaited in change.awaits:
            found = step.held(awaited)
            if found is not None and not found.state.final and (found.side.boost is None or change.boost < found.side.boost):
                step.write_side(found, attrs.evolve(found.side, boost=change.boost))
    return None, held


def _write(step: AtomicStep[H], held: H, state: State, entries: Sequence[InvocationHistory]) -> None:
    beside = ""
    if state.status is Status.CONCURRENCY_CONTROLLED and (limits := step.limits(held)):
        beside = (_full(step, limits) or limits[0]).key
    step.write(held, state, entries, beside)


def _start(step: AtomicStep[H], invocation_id: str, runner_id: str) -> bool:
    held = step.held(invocation_id)
    if held is None or held.state.status is not Status.PENDING or held.state.runner_id != runner_id:
        return False
    _move(step, held, Status.RUNNING, runner_id, "")
    return True


def _claim(step: AtomicStep[H], ask: Ask) -> tuple[ClaimReply, bool]:
    got: list[InvocationRecord] = []
    aside, starts = _MOST_SET_ASIDE, ask.start
    dues: list[float] = []
    for queue in ask.queues:
        due = step.next_due(queue)
        dues += [] if due is None else [due]
        while aside and len(got) < ask.limit and (found := step.candidates(queue, ask.limit - len(got), awaited_only=ask.awaited_only)):
            for held in found:
                record = step.record(held)
                if _set_aside(step, held, record, ask.runner_id):
                    aside -= 1
                    break  # which may have let another one in before the rest of these
                known = ask.known_tasks is None or record.invocation.task_id in ask.known_tasks
                start = starts > 0 and known and not held.state.suspect
                starts -= start
                state, entries = claimed(held.invocation_id, held.state, ask.runner_id, step.now, start=start)
                step.write(held, state, entries, "")
                got.append(InvocationRecord(invocation=record.invocation, call=record.call, state=state, side=record.side))
    reply = ClaimReply(claimed=tuple(got), signals=step.signals((ask.runner_id,)), next_due=min(dues, default=None))
    return reply, len(got) >= ask.limit or not aside


def _set_aside(step: AtomicStep[H], held: H, record: InvocationRecord, by: str) -> bool:
    """Move a claimable one that may not be claimed out of the queue; return whether it was one."""
    invocation = record.invocation
    if invocation.expires is not None and invocation.expires < step.now:
        _move(step, held, Status.CANCELLED, by, "expired")
        return True
    full = _full(step, invocation.limits)
    if full is None:
        return False
    to = Status.CONCURRENCY_CONTROLLED_FINAL if invocation.drop_when_limited else Status.CONCURRENCY_CONTROLLED
    _move(step, held, to, by, f"limit {full.key!r} of {full.most} is full")
    return True


def _full(step: AtomicStep[H], limits: tuple[Limit, ...]) -> Limit | None:
    """Return the first of the limits that has no slot left."""
    return next((each for each in limits if step.holders(each.key) >= each.most), None)


def _move(step: AtomicStep[H], held: H, to: Status, by: str, reason: str) -> None:
    state = held.state
    expect = Expect(state.status, state.runner_id, state.claim)
    change = Change(invocation_id=held.invocation_id, expect=expect, through=(to,), by=by, reason=reason)
    _write(step, held, *applied(held.invocation_id, state, change, step.now))
    _hand_on(step, held, to, by)


def _hand_on(step: AtomicStep[H], before: H, to: Status, by: str) -> None:
    """Hand on the slots that an invocation left; also those that it was called for and will not take."""
    left = before.state.status in OWNED or before.state.status is Status.REROUTED
    if left and to not in OWNED:
        for limit in step.limits(before):
            _call_next(step, limit.key, by)


def _call_next(step: AtomicStep[H], key: str, by: str) -> None:
    """Call the first that waits for this key, passing over those that another key holds up by now: they wait beside that one."""
    while (held := step.first_beside(key)) is not None:
        full = _full(step, step.limits(held))
        if full is None:
            _move(step, held, Status.REROUTED, by, f"limit {key!r} has a free slot")
            return
        if full.key == key:
            return
        step.wait_beside(held, full.key)
