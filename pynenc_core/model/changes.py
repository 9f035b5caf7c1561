"""Writes: what to register, what to move on and under which expectation; and the pure functions that carry them out.

A store that is written in Python calls `registered`, `claimed` and `applied` inside its atomic step; one that runs its
steps elsewhere (a script in a server) does the same with the same fields. None of them judges whether a transition is
allowed: that is `status.step`, asked by the orchestrator before a change is sent.
"""

from __future__ import annotations

import attrs

from pynenc_core.model.payloads import Blob, Payload
from pynenc_core.model.records import (
    CallDTO,
    InvocationDTO,
    InvocationHistory,
    InvocationRecord,
    Queued,
    Signal,
    State,
    StatusRecord,
)
from pynenc_core.status import FINAL, OWNED, Owner, Status

FIRST_KEPT, LAST_KEPT = 20, 180
"""So many history entries of an invocation are kept: the first ones and the last ones."""


@attrs.frozen(kw_only=True)
class NewInvocation:
    """An invocation to be registered."""

    invocation: InvocationDTO
    call: CallDTO
    due: float | None = None
    """Not claimed before this instant (seconds since 1970, the store's clock); it begins as SCHEDULED."""

    @property
    def status(self) -> Status:
        """The status it begins in."""
        return Status.REGISTERED if self.due is None else Status.SCHEDULED


@attrs.frozen(kw_only=True)
class Batch:
    """One submit: all of it is stored, or nothing."""

    batch_id: str
    invocations: tuple[NewInvocation, ...]
    blobs: tuple[Blob, ...] = ()


@attrs.frozen
class Submitted:
    """The ids that stand for a batch's invocations, in order."""

    ids: tuple[str, ...]
    reused: frozenset[int] = frozenset()
    """The positions of those that were not stored: their unique key stands for another, of before or earlier in the batch."""


@attrs.frozen
class Expect:
    """What a change's author believes of the fenced part; anything else refuses the change."""

    status: Status
    runner_id: str = ""
    claim: int = 0
    seq: int | None = None
    """With a number, also so many history entries: one owner may pause and resume many times, and a repeated pause is written once."""


@attrs.frozen(kw_only=True)
class Change:
    """One fenced write: the statuses passed through, and what goes with them. Claiming is not one: no change raises a claim."""

    invocation_id: str
    expect: Expect
    through: tuple[Status, ...]
    """The statuses entered, in order, each with a history entry; empty: only `reason` is noted in history."""
    by: str
    """Runner context id of who does it."""
    outcome: Payload | None = None
    blobs: tuple[Blob, ...] = ()
    due: float | None = None
    """With SCHEDULED: the instant, by the store's clock."""
    attempts: int = 0
    """Added to the counter; so are the next two."""
    crashes: int = 0
    interruptions: int = 0
    suspect: bool | None = None
    """None leaves it as it is."""
    reason: str = ""
    awaits: tuple[str, ...] = ()
    """With PAUSED: what it waits for."""
    boost: float | None = None
    """With PAUSED: the rank that what it waits for inherits, where it is lower than its own."""
    outbox: tuple[str, ...] = ()
    """Added to the outbox, but for what is in it already."""

    @property
    def to(self) -> Status:
        """The status after the change."""
        return self.through[-1] if self.through else self.expect.status


@attrs.frozen
class Refusal:
    """A change that was not written, and what the store holds instead."""

    invocation_id: str
    status: Status | None
    """None: there is no such invocation."""
    runner_id: str = ""
    claim: int = 0


@attrs.frozen
class Swapped:
    """What became of several changes, and what there is to be queued for it."""

    refused: tuple[Refusal | None, ...] = ()
    """One for each change, in order: None where it was written."""
    claimable: tuple[Queued, ...] = ()
    """What this made claimable, or claimable at another rank: changed ones, woken waiters, and the awaited that were boosted."""


@attrs.frozen(kw_only=True)
class Mark:
    """A write of side values; what is None stays as it is."""

    invocation_id: str
    owner: Owner | None = None
    """With an owner, the mark is refused whole unless that one owns the invocation."""
    boost: float | None = None
    """Only ever lowers the stored one."""
    published_at: float | None = None
    signal: Signal | None = None
    """Passed over when it is for another claim than the present one."""
    progress: bytes | None = None
    drop_outbox: tuple[str, ...] = ()
    """Entries to take out of the outbox: their consequences were carried out."""


def registered(new: NewInvocation, now: float) -> tuple[InvocationRecord, InvocationHistory]:
    """Return the first record of a new invocation, and its first history entry."""
    dto, status = new.invocation, new.status
    state = State(status=status, due=new.due, seq=1, since=now)
    entry = InvocationHistory(dto.invocation_id, 1, now, StatusRecord(status), dto.registered_by, dto.parent_id)
    return InvocationRecord(invocation=dto, call=new.call, state=state), entry


def meets(state: State, expect: Expect) -> bool:
    """Return whether the fenced part is what a change's author believes."""
    fits = state.status == expect.status and state.claim == expect.claim and state.runner_id == expect.runner_id
    return fits and (expect.seq is None or expect.seq == state.seq)


def claimed(
    invocation_id: str,
    state: State,
    runner_id: str,
    now: float,
    *,
    start: bool,
) -> tuple[State, tuple[InvocationHistory, ...]]:
    """Return the state after a claim (RUNNING with `start`, else PENDING), and its history entries."""
    claim = state.claim + 1
    through = (Status.PENDING, Status.RUNNING) if start else (Status.PENDING,)
    entries = _entries(invocation_id, state.seq, now, through, runner_id, claim, runner_id, "")
    new = State(  # spelt out: this runs for every task, and attrs.evolve costs three times as much
        status=through[-1],
        runner_id=runner_id,
        claim=claim,
        attempts=state.attempts,
        crashes=state.crashes,
        interruptions=state.interruptions,
        suspect=state.suspect,
        seq=state.seq + len(through),
        since=now,
        outbox=state.outbox,
    )
    return new, entries


def applied(invocation_id: str, state: State, change: Change, now: float) -> tuple[State, tuple[InvocationHistory, ...]]:
    """Return the state after a change whose expectation is met, as `moved` does, and its history entries."""
    through, owner, claim = change.through or (change.to,), state.runner_id, state.claim
    return moved(state, change, now), _entries(invocation_id, state.seq, now, through, owner, claim, change.by, change.reason)


def moved(state: State, change: Change, now: float) -> State:
    """Return the state after a change whose expectation is met.

    An owned status keeps the owner, any other releases it. A change that enters no status leaves its reason in history
    and nothing else anywhere.
    """
    if not change.through:
        return attrs.evolve(state, seq=state.seq + 1)
    to = change.to
    return State(  # spelt out as above
        status=to,
        runner_id=state.runner_id if to in OWNED else "",
        claim=state.claim,
        attempts=state.attempts + change.attempts,
        crashes=state.crashes + change.crashes,
        interruptions=state.interruptions + change.interruptions,
        suspect=state.suspect if change.suspect is None else change.suspect,
        due=change.due if to is Status.SCHEDULED else None,
        outcome=change.outcome if to in FINAL else None,
        reason=change.reason,
        seq=state.seq + len(change.through),
        since=now,
        awaits=change.awaits,
        outbox=_joined(state.outbox, change.outbox) if change.outbox else state.outbox,
    )


def _joined(kept: tuple[str, ...], added: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*kept, *added)))


def _entries(
    invocation_id: str,
    seq: int,
    now: float,
    through: tuple[Status, ...],
    owner: str,
    claim: int,
    by: str,
    reason: str,
) -> tuple[InvocationHistory, ...]:
    last = len(through) - 1
    return tuple(
        InvocationHistory(
            invocation_id,
            seq + number + 1,
            now,
            StatusRecord(status, owner if status in OWNED else "", claim, reason if number == last else ""),
            by,
        )
        for number, status in enumerate(through)
    )
