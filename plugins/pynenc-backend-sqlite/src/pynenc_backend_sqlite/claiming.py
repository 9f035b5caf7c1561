"""Claims within one step: of what comes first in the queues, or of given ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pynenc_backend_sqlite import statements as sql
from pynenc_backend_sqlite import transitions
from pynenc_backend_sqlite.coordination import requests
from pynenc_backend_sqlite.database import Row
from pynenc_backend_sqlite.step import Step
from pynenc_backend_sqlite.transitions import Held
from pynenc_core.model import MOST_SET_ASIDE, Ask, ClaimReply, InvocationRecord, claimed, entered, may_claim, put_aside, starts


def claim(step: Step, ask: Ask) -> tuple[ClaimReply, bool]:
    """Claim what comes first; return the reply, and whether there may be more."""
    got: list[InvocationRecord] = []
    next_due = _next_due(step, ask)
    return _acquire(step, _first(step, ask, got), ask, got, next_due)


def acquire(step: Step, invocation_ids: Sequence[str], ask: Ask) -> ClaimReply:
    """Claim what is claimable of these."""
    return _acquire(step, _named(step, invocation_ids, ask), ask, [], _next_due(step, ask))[0]


def candidates(step: Step, queue: str, limit: int, *, awaited_only: bool) -> list[Row]:
    """Return the first rows of a queue that are due."""
    return step.execute(sql.FIRST_AWAITED if awaited_only else sql.FIRST, queue, limit).fetchall()


def _acquire(step: Step, rows: Iterable[Row], ask: Ask, got: list[InvocationRecord], next_due: float | None) -> tuple[ClaimReply, bool]:
    aside = 0
    for row in rows if ask.limit > 0 else ():
        held = Held(row)
        invocation, call = transitions.decode_body(row[14])
        elsewhere = put_aside(invocation, step.now, transitions.full(step, invocation.limits))
        if elsewhere is not None:
            to, reason = elsewhere
            transitions.move(step, held, *entered(held.invocation_id, held.state, to, ask.runner_id, reason, step.now))
            aside += 1
        else:
            start = starts(invocation, held.state, ask, len(got))
            state, entries = claimed(held.invocation_id, held.state, ask.runner_id, step.now, start=start)
            transitions.move(step, held, state, entries)
            got.append(InvocationRecord(invocation=invocation, call=call, state=state, side=held.side))
        if len(got) >= ask.limit or aside >= MOST_SET_ASIDE:
            break
    signals, fresh = requests(step, (ask.runner_id,)), tuple(step.fresh.values())
    reply = ClaimReply(claimed=tuple(got), signals=signals, next_due=next_due, claimable=fresh)
    return reply, len(got) >= ask.limit or aside >= MOST_SET_ASIDE


def _named(step: Step, invocation_ids: Sequence[str], ask: Ask) -> Iterator[Row]:
    """Yield what is claimable of these, each as it is when it is its turn."""
    for invocation_id in invocation_ids:
        row = step.execute(sql.GET_ONE, invocation_id).fetchone()
        if row is not None and may_claim(Held(row).state, row[8], ask, step.now):
            yield row


def _first(step: Step, ask: Ask, got: Sequence[InvocationRecord]) -> Iterator[Row]:
    """Yield what is to be claimed first; whoever takes a row moves it out of its queue."""
    for queue in ask.queues:
        while rows := candidates(step, queue, ask.limit - len(got), awaited_only=ask.awaited_only):
            for row in rows:
                made = step.made
                yield row
                if step.made != made:
                    break  # another one was let in, perhaps before the rest of these


def _next_due(step: Step, ask: Ask) -> float | None:
    """Let what is due take its place; return when the next one is."""
    dues: list[float] = []
    for queue in ask.queues:
        (due,) = step.execute(sql.NEXT_DUE, queue).fetchone()
        if due is not None and due <= step.now:
            step.execute(sql.NOW_DUE, queue, step.now)
            (due,) = step.execute(sql.NEXT_DUE, queue).fetchone()
        dues += [] if due is None else [due]
    return min(dues, default=None)
