"""The decisions around a claim, as pure functions: what every store asks inside its atomic step, so that none repeats a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from pynenc_core.model.changes import Change, Expect, Mark, applied
from pynenc_core.model.queries import Ask
from pynenc_core.model.records import InvocationDTO, InvocationHistory, Limit, Side, State
from pynenc_core.status import CLAIMABLE, OWNED, Status

MOST_SET_ASIDE = 256
"""So many expired or limited ones are passed over in one claim; more would hold up everybody else."""


def may_claim(state: State, boost: float | None, ask: Ask, now: float) -> bool:
    """Return whether an invocation can be handed to this asker now, as far as its own record says."""
    due = state.due is None or state.due <= now
    return state.status in CLAIMABLE and due and (boost is not None or not ask.awaited_only)


def put_aside(invocation: InvocationDTO, now: float, full: Limit | None) -> tuple[Status, str] | None:
    """Return where a claimable one goes instead of to its asker, and why; None when it may be claimed.

    `full` is the first of its limits that has no room.
    """
    if invocation.expires is not None and invocation.expires < now:
        return Status.CANCELLED, "expired"
    if full is None:
        return None
    to = Status.CONCURRENCY_CONTROLLED_FINAL if invocation.drop_when_limited else Status.CONCURRENCY_CONTROLLED
    return to, f"limit {full.key!r} of {full.most} is full"


def starts(invocation: InvocationDTO, state: State, ask: Ask, started: int) -> bool:
    """Return whether what is claimed becomes RUNNING in the same step, where `started` others of the same call did."""
    known = ask.known_tasks is None or invocation.task_id in ask.known_tasks
    return started < ask.start and known and not state.suspect


def full_limit(limits: Iterable[Limit], holders: Callable[[str], int]) -> Limit | None:
    """Return the first limit whose key has as many live holders as it allows, or None."""
    return next((limit for limit in limits if holders(limit.key) >= limit.most), None)


def hands_on(before: State, after: State) -> bool:
    """Return whether one with limits leaves room, or its turn, to who waits beside its keys.

    It does when it is owned no more, and also when it was woken (REROUTED) and ends or blocks again without a claim: it
    never took the slot that it was woken for. Then for each of its keys the first waiter *all of whose limits have room*
    is woken (the first beside the key may have to wait for another key), and nobody when there is no room.
    """
    was = before.status in OWNED or before.status is Status.REROUTED
    return was and after.status not in OWNED and after.status is not before.status


def entered(invocation_id: str, state: State, to: Status, by: str, reason: str, now: float) -> tuple[State, tuple[InvocationHistory, ...]]:
    """Return the state of an invocation that a store itself moves on within a step, and its history entries."""
    expect = Expect(state.status, state.runner_id, state.claim)
    return applied(invocation_id, state, Change(invocation_id=invocation_id, expect=expect, through=(to,), by=by, reason=reason), now)


def woken(invocation_id: str, state: State, key: str, by: str, now: float) -> tuple[State, tuple[InvocationHistory, ...]]:
    """Return the state of one that waited beside a key and gets its turn, and its history entries."""
    return entered(invocation_id, state, Status.REROUTED, by, f"limit {key!r} has a free slot", now)


def boosts(change: Change) -> tuple[Mark, ...]:
    """Return what a written change marks: the rank that what a paused one awaits inherits, for those that are not final."""
    if change.boost is None or change.to is not Status.PAUSED:
        return ()
    return tuple(Mark(invocation_id=awaited, boost=change.boost) for awaited in change.awaits)


def marked(state: State, side: Side, mark: Mark) -> tuple[State, Side] | None:
    """Return an invocation's state and side values after a mark; None where it is refused."""
    if mark.owner is not None and mark.owner != state.owner:
        return None
    if mark.drop_outbox:
        state = attrs.evolve(state, outbox=tuple(each for each in state.outbox if each not in mark.drop_outbox))
    signal = mark.signal if mark.signal is not None and mark.signal.claim in {0, state.claim} else side.signal
    lowered = side.boost if mark.boost is None else mark.boost if side.boost is None else min(side.boost, mark.boost)
    return state, Side(
        boost=lowered,
        published_at=side.published_at if mark.published_at is None else mark.published_at,
        signal=signal,
        progress=side.progress if mark.progress is None else mark.progress,
    )


def ended_at(invocation: InvocationDTO, state: State) -> float:
    """Return since when a final invocation is of no use to anybody: a sweep goes by it."""
    return state.since if invocation.unique_until is None else max(state.since, invocation.unique_until)
