"""Builds changes: the one place where a transition is judged before it is sent to a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pynenc_core.errors.invocations import InvocationNotFoundError, InvocationStatusOwnershipError
from pynenc_core.model import Change, Expect, InvocationRecord, Refusal
from pynenc_core.status import Owner, Status, step


def change(record: InvocationRecord, through: Sequence[Status], *, by: str, owner: Owner | None = None, **details: Any) -> Change:
    """Return the change that takes `record` through these statuses; `owner` is who claims to own it, `by` whom history names.

    Raises InvocationStatusTransitionError for what the table does not allow, InvocationStatusOwnershipError for what it
    does not allow to `owner`.
    """
    state = record.state
    status, holder = state.status, state.owner
    for to in through:
        holder = step(record.invocation_id, status, holder, to, owner)
        status = to
    return Change(
        invocation_id=record.invocation_id,
        expect=Expect(state.status, state.runner_id, state.claim),
        through=tuple(through),
        by=by,
        **details,
    )


def owned_change(record: InvocationRecord, to: Status, owner: Owner | None, **details: Any) -> Change:
    """Return the change by which `owner` leaves the status it owns; None stands for somebody who owns nothing.

    Raises InvocationStatusOwnershipError for a stale owner, whatever it asks for, and InvocationStatusTransitionError for
    what the table does not allow.
    """
    state = record.state
    ended_by_itself = owner is not None and state.final and owner.claim == state.claim
    if owner is not None and owner != state.owner and not ended_by_itself:
        raise InvocationStatusOwnershipError(
            record.invocation_id, str(state.status), str(to), state.runner_id, state.claim, owner.runner_id, owner.claim
        )
    return change(record, (to,), by=owner.runner_id if owner else "", owner=owner, **details)


def reason_of(error: BaseException) -> str:
    """Return the line that history shows of an exception: class and message, at most 500 characters. Never raises."""
    try:
        return f"{type(error).__name__}: {error}"[:500]
    except Exception as failure:  # noqa: BLE001 - the message is made by the user's code, the record is ours
        return f"{type(error).__name__} (its message could not be made: {type(failure).__name__})"[:500]


def raise_refusal(app_id: str, asked: Change, refusal: Refusal) -> None:
    """Raise the error that a refused change stands for."""
    if refusal.status is None:
        raise InvocationNotFoundError(asked.invocation_id, app_id)
    raise InvocationStatusOwnershipError(
        asked.invocation_id,
        str(refusal.status),
        str(asked.to),
        refusal.runner_id,
        refusal.claim,
        asked.expect.runner_id,
        asked.expect.claim,
    )


def was_written_before(asked: Change, refusal: Refusal) -> bool:
    """Return whether a refusal only means that this very change was written by an earlier try whose reply was lost."""
    return bool(asked.through) and refusal.status is asked.to and refusal.claim == asked.expect.claim
