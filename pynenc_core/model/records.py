"""The record of an invocation: what never changes, what only its owner changes, and small values beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

import attrs
import msgspec

from pynenc_core.model.payloads import Payload
from pynenc_core.status import FINAL, OWNED, Owner, Status

FORMAT = 1
"""The format of the records this version writes; it reads this one and the one before."""


@attrs.frozen
class WorkflowIdentity:
    """The tree an invocation belongs to, named by its root."""

    workflow_id: str
    """The root invocation's id."""
    workflow_type: str
    """The root invocation's task id."""
    parent_workflow_id: str = ""


@attrs.frozen
class Limit:
    """At most `most` live holders of `key` at any time."""

    key: str
    most: int


@attrs.frozen(kw_only=True)
class CallDTO:
    """A task with its encoded arguments, in parameter order."""

    call_id: str
    task_id: str
    arguments: tuple[tuple[str, Payload], ...] = ()
    serializer: str = "json"


@attrs.frozen(kw_only=True)
class InvocationDTO:
    """What is fixed when an invocation is registered. Times are seconds since 1970 by the store's clock."""

    invocation_id: str
    call_id: str
    task_id: str
    workflow: WorkflowIdentity
    parent_id: str = ""
    """The invocation inside which this one was registered."""
    queue: str = "default"
    rank: float = 0.0
    """Its place in the queue, lower first; backends only sort by `(queue, rank)`."""
    expires: float | None = None
    """Claimed after this instant it is CANCELLED instead of run."""
    limits: tuple[Limit, ...] = ()
    drop_when_limited: bool = False
    """Claimed while a limit is full: dropped for good instead of waiting beside its key."""
    unique_key: str = ""
    """While an invocation with this key counts, submitting another returns that one."""
    unique_until: float | None = None
    """Until this instant its unique key counts, final or not; None: while it is not final."""
    batch_id: str = ""
    replay_of: str = ""
    registered_by: str = ""
    """The runner context of the process that registered it."""
    format: int = FORMAT


def unreadable(invocation_id: str) -> tuple[InvocationDTO, CallDTO]:
    """Return what stands for the fixed part of a record that cannot be decoded: it names no task, so nobody runs it."""
    nothing = InvocationDTO(invocation_id=invocation_id, call_id="", task_id="", workflow=WorkflowIdentity(invocation_id, ""))
    return nothing, CallDTO(call_id="", task_id="")


@attrs.frozen(kw_only=True)
class State:
    """The fenced part: changes only through `swap`, by who owns the invocation or by who may take it over."""

    status: Status = Status.REGISTERED
    runner_id: str = ""
    """The owner in PENDING, RUNNING and PAUSED, empty otherwise."""
    claim: int = 0
    """Fencing number: raised at every claim, never lowered."""
    attempts: int = 0
    crashes: int = 0
    interruptions: int = 0
    suspect: bool = False
    """Ran beside others in a process that died; runs alone until it has ended once or crashed alone."""
    due: float | None = None
    """Not claimed before this instant, by the store's clock."""
    outcome: Payload | None = None
    """The encoded result of SUCCESS, the encoded error of FAILED."""
    reason: str = ""
    seq: int = 0
    """Number of history entries written so far."""
    since: float = 0.0
    """When the present status began."""
    awaits: tuple[str, ...] = ()
    """While PAUSED: the invocations it waits for."""
    outbox: tuple[str, ...] = ()
    """Causes whose consequences somebody still has to carry out; no two of one invocation are equal."""

    @property
    def owner(self) -> Owner | None:
        """Who may leave the present status, or None where it is not owned."""
        return Owner(self.runner_id, self.claim) if self.status in OWNED else None

    @property
    def final(self) -> bool:
        """Whether nothing follows."""
        return self.status in FINAL


class SignalKind(StrEnum):
    """What an owner may be asked from outside."""

    CANCEL = "cancel"
    DEADLOCK = "deadlock"


@attrs.frozen(kw_only=True)
class Signal:
    """A request to the owner of an invocation, which it answers by a transition of its own."""

    invocation_id: str
    kind: SignalKind
    claim: int = 0
    """The claim whose owner it is for; 0: whoever owns the invocation when it is delivered."""
    by: str = ""
    reason: str = ""
    circle: tuple[str, ...] = ()
    """For DEADLOCK: the invocations that wait for each other."""

    def concerns(self, state: State) -> bool:
        """Return whether it is for who owns the invocation now: nobody else is told."""
        return state.status in OWNED and self.claim in {0, state.claim}


@attrs.frozen(kw_only=True)
class Side:
    """Small values beside the fenced part: last write wins, and they refuse nobody's settle."""

    boost: float | None = None
    """A rank inherited from who waits for it; the lower of rank and boost counts."""
    published_at: float | None = None
    signal: Signal | None = None
    progress: bytes = b""


@attrs.frozen
class Queued:
    """One hint: this invocation may be claimable."""

    invocation_id: str
    queue: str
    rank: float
    """The place in its queue that counts: a boost is in it."""
    due: float | None = None
    """Not handed out before this instant, by the store's clock."""


@attrs.frozen(kw_only=True)
class InvocationRecord:
    """An invocation as the store knows it."""

    invocation: InvocationDTO
    call: CallDTO
    state: State
    side: Side = Side()

    @property
    def invocation_id(self) -> str:
        """The id of the invocation."""
        return self.invocation.invocation_id

    @property
    def rank(self) -> float:
        """The place in its queue that counts now."""
        boost = self.side.boost
        return self.invocation.rank if boost is None else min(boost, self.invocation.rank)

    @property
    def queued(self) -> Queued:
        """What a queue holds of it."""
        return Queued(self.invocation_id, self.invocation.queue, self.rank, self.state.due)


@attrs.frozen
class StatusRecord:
    """A status as history keeps it: with its owner, and why it came to it."""

    status: Status
    runner_id: str = ""
    claim: int = 0
    reason: str = ""


@attrs.frozen
class InvocationHistory:
    """One transition of one invocation."""

    invocation_id: str
    seq: int
    at: float
    """Seconds since 1970 by the store's clock."""
    status_record: StatusRecord
    runner_context_id: str = ""
    registered_by: str = ""
    """For the first entry: the invocation inside which this one was registered."""

    @property
    def timestamp(self) -> datetime:
        """The time of the transition, in UTC."""
        return datetime.fromtimestamp(self.at, UTC)

    def to_json(self) -> bytes:
        """Return this entry as JSON, with its time as an ISO 8601 `timestamp`."""
        return msgspec.json.encode({**attrs.asdict(self), "timestamp": self.timestamp.isoformat()})

    @classmethod
    def from_json(cls, data: bytes | str) -> InvocationHistory:
        """Return the entry that `to_json` wrote, or one that gives only `timestamp`; a naive one is read as UTC.

        Raises msgspec.ValidationError when the data is no history entry.
        """
        raw = msgspec.json.decode(data, type=dict[str, object])
        written = raw.pop("timestamp", None)
        if "at" not in raw and isinstance(written, str):
            moment = datetime.fromisoformat(written)
            raw["at"] = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        return msgspec.convert(raw, cls)
