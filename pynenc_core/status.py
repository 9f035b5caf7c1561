"""The status machine of an invocation: a table and one pure function over plain values."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import attrs

from pynenc_core.errors.invocations import InvocationStatusOwnershipError, InvocationStatusTransitionError


class Status(StrEnum):
    """Where an invocation is in its life."""

    REGISTERED = "REGISTERED"
    SCHEDULED = "SCHEDULED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    RETRY = "RETRY"
    REROUTED = "REROUTED"
    KILLED = "KILLED"
    PENDING_RECOVERY = "PENDING_RECOVERY"
    RUNNING_RECOVERY = "RUNNING_RECOVERY"
    CONCURRENCY_CONTROLLED = "CONCURRENCY_CONTROLLED"
    PARKED = "PARKED"
    CONCURRENCY_CONTROLLED_FINAL = "CONCURRENCY_CONTROLLED_FINAL"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    QUARANTINED = "QUARANTINED"


@attrs.frozen
class Owner:
    """Who may leave an owned status: a runner and the fencing number of its claim, raised at every claim."""

    runner_id: str
    claim: int


@attrs.frozen(kw_only=True)
class Rule:
    """What holds while an invocation is in one status."""

    meaning: str
    next: frozenset[Status] = frozenset()
    claimable: bool = False
    """A runner may claim it; SCHEDULED only once it is due."""
    owned: bool = False
    """Only its owner may leave it, except into a recovery status."""
    overrides: bool = False
    """Entering it needs no ownership: its owner is gone."""

    @property
    def final(self) -> bool:
        """Whether nothing follows."""
        return not self.next


_GIVE_UP = (Status.CONCURRENCY_CONTROLLED, Status.CONCURRENCY_CONTROLLED_FINAL, Status.CANCELLED)
_AGAIN = (Status.REROUTED, Status.QUARANTINED, Status.CANCELLED)

RULES: Mapping[Status, Rule] = {
    Status.REGISTERED: Rule(
        meaning="stored, waits for a runner",
        claimable=True,
        next=frozenset({Status.PENDING, Status.SCHEDULED, *_GIVE_UP}),
    ),
    Status.SCHEDULED: Rule(
        meaning="not due yet: delay, eta, backoff or durable sleep",
        claimable=True,
        next=frozenset({Status.REGISTERED, Status.PENDING, *_GIVE_UP}),
    ),
    Status.PENDING: Rule(
        meaning="claimed by a runner, not started",
        owned=True,
        next=frozenset(
            {
                Status.RUNNING,
                Status.REROUTED,
                Status.KILLED,
                Status.PENDING_RECOVERY,
                Status.PARKED,
                Status.QUARANTINED,
                Status.CANCELLED,
            },
        ),
    ),
    Status.RUNNING: Rule(
        meaning="its function runs",
        owned=True,
        next=frozenset(
            {
                Status.PAUSED,
                Status.SUCCESS,
                Status.FAILED,
                Status.RETRY,
                Status.SCHEDULED,
                Status.KILLED,
                Status.RUNNING_RECOVERY,
                Status.QUARANTINED,
                Status.CANCELLED,
            },
        ),
    ),
    Status.PAUSED: Rule(
        meaning="waits for other invocations and holds no slot",
        owned=True,
        next=frozenset({Status.RUNNING, Status.KILLED, Status.RUNNING_RECOVERY, Status.FAILED, Status.CANCELLED}),
    ),
    Status.RETRY: Rule(
        meaning="its attempt failed, another is allowed",
        claimable=True,
        next=frozenset({Status.PENDING, Status.SCHEDULED, *_GIVE_UP}),
    ),
    Status.REROUTED: Rule(
        meaning="given back, waits for a runner again",
        claimable=True,
        next=frozenset({Status.PENDING, Status.SCHEDULED, *_GIVE_UP}),
    ),
    Status.KILLED: Rule(meaning="its runner stopped it", next=frozenset(_AGAIN)),
    Status.PENDING_RECOVERY: Rule(
        meaning="its owner was gone before it started",
        overrides=True,
        next=frozenset(_AGAIN),
    ),
    Status.RUNNING_RECOVERY: Rule(
        meaning="its owner was gone while it ran",
        overrides=True,
        next=frozenset(_AGAIN),
    ),
    Status.CONCURRENCY_CONTROLLED: Rule(
        meaning="waits beside its concurrency key",
        next=frozenset({Status.REROUTED, Status.PENDING, Status.CONCURRENCY_CONTROLLED_FINAL, Status.CANCELLED}),
    ),
    Status.PARKED: Rule(meaning="no living worker knows its task", next=frozenset(_AGAIN)),
    Status.CONCURRENCY_CONTROLLED_FINAL: Rule(meaning="dropped by concurrency control"),
    Status.SUCCESS: Rule(meaning="returned a result"),
    Status.FAILED: Rule(meaning="raised, and may not try again"),
    Status.CANCELLED: Rule(meaning="cancelled by somebody, or expired"),
    Status.QUARANTINED: Rule(meaning="crashed its worker too often, or cannot be decoded"),
}

ENTRY: frozenset[Status] = frozenset({Status.REGISTERED, Status.SCHEDULED})
"""The statuses in which an invocation may begin."""

FINAL: frozenset[Status] = frozenset(status for status, rule in RULES.items() if rule.final)
CLAIMABLE: frozenset[Status] = frozenset(status for status, rule in RULES.items() if rule.claimable)
OWNED: frozenset[Status] = frozenset(status for status, rule in RULES.items() if rule.owned)


def allowed_next(status: Status | None) -> frozenset[Status]:
    """Return the statuses that may follow; `None` stands for an invocation that does not exist yet."""
    return ENTRY if status is None else RULES[status].next


def step(invocation_id: str, status: Status | None, owner: Owner | None, to: Status, by: Owner | None) -> Owner | None:
    """Return who owns the invocation after the transition, or refuse it.

    `owner` is the present owner (None in a status that is not owned), `by` is who asks: the new owner where the target
    is acquired (PENDING), else the one that claims to own it, or None for anybody else.

    Raises InvocationStatusTransitionError when the table does not allow it, InvocationStatusOwnershipError when it is
    allowed, but not to `by`.
    """
    allowed = allowed_next(status)
    if to not in allowed:
        raise InvocationStatusTransitionError(invocation_id, str(status) if status else "(none)", str(to), tuple(sorted(allowed)))
    leaves_owned = status is not None and RULES[status].owned
    stranger = by is None or owner != by
    if leaves_owned and stranger and not RULES[to].overrides:
        raise _ownership_error(invocation_id, status, owner, to, by)
    if not RULES[to].owned:
        return None
    if by is None:
        raise _ownership_error(invocation_id, status, owner, to, by)
    return by


def _ownership_error(
    invocation_id: str,
    status: Status | None,
    owner: Owner | None,
    to: Status,
    by: Owner | None,
) -> InvocationStatusOwnershipError:
    return InvocationStatusOwnershipError(
        invocation_id,
        str(status),
        str(to),
        owner.runner_id if owner else "",
        owner.claim if owner else 0,
        by.runner_id if by else "",
        by.claim if by else 0,
    )
