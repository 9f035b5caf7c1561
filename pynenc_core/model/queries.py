"""What is asked of a store, and what it answers."""

from __future__ import annotations

import attrs

from pynenc_core.model.changes import Refusal
from pynenc_core.model.records import InvocationRecord, Queued, Signal
from pynenc_core.status import Status


@attrs.frozen(kw_only=True)
class Ask:
    """What one process wants to claim."""

    runner_id: str
    limit: int
    """At most so many."""
    start: int = 0
    """So many of them, the first ones, become RUNNING in the same step; the rest are PENDING."""
    queues: tuple[str, ...] = ("default",)
    known_tasks: frozenset[str] | None = None
    """Only these are started; others are handed out as PENDING. None: all are known."""
    awaited_only: bool = False
    """Only what somebody waits for: what a process full of paused invocations may still take."""


@attrs.frozen(kw_only=True)
class ClaimReply:
    """What was claimed, and what the owner should know by the way."""

    claimed: tuple[InvocationRecord, ...] = ()
    """In queue order, each with its new state: RUNNING or PENDING, owned by who asked."""
    signals: tuple[Signal, ...] = ()
    """Requests to invocations that the asking runner owns."""
    next_due: float | None = None
    """The earliest instant at which something not yet due becomes claimable; None when nothing is scheduled.

    A store that would need another call for it may leave it None in a reply that brings all that was asked for.
    """
    claimable: tuple[Queued, ...] = ()
    """What the claim made claimable and did not take itself: who waited beside the key of one that it found expired."""


@attrs.frozen(kw_only=True)
class SettleReply:
    """What became of several changes and of the claim that travelled with them."""

    refused: tuple[Refusal | None, ...] = ()
    """One for each change, in order: None where it was written."""
    claim: ClaimReply = ClaimReply()


@attrs.frozen(kw_only=True)
class Query:
    """A filter over invocations; all conditions that are given must hold."""

    statuses: frozenset[Status] = frozenset()
    runner_id: str = ""
    task_id: str = ""
    call_id: str = ""
    parent_id: str = ""
    workflow_id: str = ""
    workflow_type: str = ""
    limit_key: str = ""
    unique_key: str = ""
    queue: str = ""
    has_outbox: bool = False
    """Only those whose outbox is not empty."""


@attrs.frozen(kw_only=True)
class RunnerBeat:
    """A runner as its heartbeats show it. Times are seconds since 1970 by the store's clock."""

    runner_id: str
    first_at: float
    last_at: float
    alive_until: float
    may_serve: bool = False
    """Whether it may hold the role of carrying out background duties."""


@attrs.frozen
class Lease:
    """A role held for a time; `fence` is raised each time the role passes to another holder."""

    name: str
    holder: str
    fence: int
    until: float


@attrs.frozen
class Swept:
    """How many of each a sweep of old things removed."""

    invocations: int = 0
    blobs: int = 0
    values: int = 0
