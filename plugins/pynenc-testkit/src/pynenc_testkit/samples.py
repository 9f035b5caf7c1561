"""Records to test with, and the few moves that every test makes with them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Any

import attrs

from pynenc_core.identifiers import new_id
from pynenc_core.model import (
    Ask,
    Batch,
    Blob,
    CallDTO,
    Change,
    ClaimReply,
    Expect,
    InvocationDTO,
    InvocationHistory,
    InvocationRecord,
    Limit,
    NewInvocation,
    Payload,
    Query,
    Refusal,
    State,
    Submitted,
    WorkflowIdentity,
)
from pynenc_core.status import Status
from pynenc_testkit.stores import Store

TASK = "shop:bill"


def new(
    invocation_id: str = "", *, due: float | None = None, arguments: tuple[tuple[str, Payload], ...] = (), **fields: Any
) -> NewInvocation:
    """Return an invocation to register; `fields` are those of `InvocationDTO`."""
    made_id = invocation_id or new_id()
    task_id = fields.setdefault("task_id", TASK)
    call_id = fields.setdefault("call_id", f"{task_id}#0")
    fields.setdefault("workflow", WorkflowIdentity(made_id, task_id))
    dto = InvocationDTO(invocation_id=made_id, **fields)
    return NewInvocation(invocation=dto, call=CallDTO(call_id=call_id, task_id=task_id, arguments=arguments), due=due)


def batch(*invocations: NewInvocation, blobs: tuple[Blob, ...] = ()) -> Batch:
    """Return a batch of these, whose id is written into each of them as the core does it."""
    batch_id = new_id()
    named = tuple(attrs.evolve(each, invocation=attrs.evolve(each.invocation, batch_id=batch_id)) for each in invocations)
    return Batch(batch_id=batch_id, invocations=named, blobs=blobs)


def blob(content: bytes, *, ttl: float = 3600.0, piece: int = 1 << 20) -> Blob:
    """Return a blob of this content, in pieces of at most so many bytes."""
    chunks = tuple(content[at : at + piece] for at in range(0, len(content), piece))
    return Blob(hashlib.sha256(content).hexdigest(), chunks, ttl)


def change(record: InvocationRecord, *through: Status, by: str = "", **fields: Any) -> Change:
    """Return a change by who holds what `record` shows; `fields` are those of `Change`."""
    state = record.state
    expect = fields.pop("expect", Expect(state.status, state.runner_id, state.claim))
    return Change(invocation_id=record.invocation_id, expect=expect, through=through, by=by or state.runner_id or "somebody", **fields)


def submit(store: Store, *invocations: NewInvocation, blobs: tuple[Blob, ...] = ()) -> Submitted:
    """Submit them as one batch through the dispatcher."""
    return store.dispatcher.submit(batch(*invocations, blobs=blobs))


def record(store: Store, invocation_id: str) -> InvocationRecord:
    """Return the record as it is stored now; KeyError when there is none."""
    return store.state.get([invocation_id])[invocation_id]


def state(store: Store, invocation_id: str) -> State:
    """Return the fenced part as it is stored now."""
    return record(store, invocation_id).state


def claim(store: Store, runner_id: str = "r1", limit: int = 1, **fields: Any) -> ClaimReply:
    """Claim through the dispatcher, starting nothing unless `fields`, those of `Ask`, say so."""
    return store.dispatcher.claim(Ask(runner_id=runner_id, limit=limit, **fields))


def ids(found: ClaimReply | Collection[InvocationRecord]) -> list[str]:
    """Return the ids of the records, in order."""
    records = found.claimed if isinstance(found, ClaimReply) else found
    return [each.invocation_id for each in records]


def running(store: Store, invocation_id: str = "", *, runner_id: str = "r1", **fields: Any) -> InvocationRecord:
    """Register an invocation in a queue of its own and start it; return its record as the claim gave it."""
    fields.setdefault("queue", f"only-{invocation_id or new_id()}")
    made = new(invocation_id, **fields)
    submit(store, made)
    reply = claim(store, runner_id, start=1, queues=(made.invocation.queue,))
    assert ids(reply) == [made.invocation.invocation_id], "what was submitted is not what was claimed"
    assert reply.claimed[0].state.status is Status.RUNNING, "what was to be started is not running"
    return reply.claimed[0]


def pending(store: Store, invocation_id: str = "", *, runner_id: str = "r1", **fields: Any) -> InvocationRecord:
    """Register an invocation in a queue of its own and claim it without starting it; return its record as the claim gave it."""
    fields.setdefault("queue", f"only-{invocation_id or new_id()}")
    made = new(invocation_id, **fields)
    submit(store, made)
    reply = claim(store, runner_id, queues=(made.invocation.queue,))
    assert ids(reply) == [made.invocation.invocation_id], "what was submitted is not what was claimed"
    return reply.claimed[0]


def swap(store: Store, *changes: Change) -> tuple[Refusal | None, ...]:
    """Swap through the state backend, and make sure that each change has an answer."""
    answers = store.state.swap(changes).refused
    assert len(answers) == len(changes), "one answer for each change"
    return answers


def written(store: Store, *changes: Change) -> None:
    """Swap through the state backend; each change must be written."""
    answers = swap(store, *changes)
    assert answers == (None,) * len(changes), f"refused: {answers}"


def settled(store: Store, *changes: Change) -> None:
    """Settle through the dispatcher, which queues what becomes claimable; each change must be written."""
    refused = store.dispatcher.settle(changes).refused
    assert refused == (None,) * len(changes), f"refused: {refused}"


def finish(store: Store, held: InvocationRecord, to: Status = Status.SUCCESS, **fields: Any) -> None:
    """Let the owner end an invocation."""
    fields.setdefault("outcome", Payload(b"1", size=1))
    written(store, change(held, to, **fields))


def history(store: Store, invocation_id: str) -> tuple[InvocationHistory, ...]:
    """Return the history of one invocation."""
    return store.state.history([invocation_id])[invocation_id]


def statuses(entries: Sequence[InvocationHistory]) -> list[Status]:
    """Return the statuses of history entries, in order."""
    return [entry.status_record.status for entry in entries]


def found(store: Store, **query: Any) -> list[str]:
    """Return the ids of up to 1,000 invocations that a query fits."""
    return ids(store.state.find(Query(**query), limit=1000))


def holders(store: Store, key: str) -> int:
    """Return how many live holders a limit key has."""
    return store.state.holders([key]).get(key, 0)


def limits(key: str, most: int = 1) -> tuple[Limit, ...]:
    """Return one limit, as an invocation has it."""
    return (Limit(key, most),)
