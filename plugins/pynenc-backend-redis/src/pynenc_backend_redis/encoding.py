"""What is sent and what comes back: arguments of the commands, and records of their replies."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from pynenc_backend_redis.wires import Argument
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
    Mark,
    NewInvocation,
    Payload,
    Queued,
    Refusal,
    Side,
    Signal,
    State,
    Submitted,
    applied,
    boosts,
    moved,
    put_aside,
    unreadable,
    woken,
)
from pynenc_core.status import Status

LABEL_BYTES = 8
_MICRO = 1_000_000
_STATUS = {str(status).encode(): status for status in Status}
_NO_FIELDS: dict[bytes, bytes] = {}
_NOTHING = Expect(Status.PENDING)
_RARE = frozenset(
    {b"attempts", b"crashes", b"interruptions", b"suspect", b"due", b"outcome", b"reason", b"awaits", b"outbox"}
    | {b"boost", b"published", b"signal", b"progress"}
)

_pack = msgspec.msgpack.Encoder().encode
_json = msgspec.json.Encoder().encode
_decode_body = msgspec.msgpack.Decoder(tuple[InvocationDTO, CallDTO]).decode
_decode_payload = msgspec.msgpack.Decoder(Payload).decode
_decode_signal = msgspec.msgpack.Decoder(Signal).decode
_decode_texts = msgspec.json.Decoder(tuple[str, ...]).decode


def label(field: str, value: str) -> bytes:
    """Return the eight bytes under which a value of a query's field is indexed."""
    return hashlib.blake2b(f"{field}={value}".encode(), digest_size=LABEL_BYTES).digest()


_kept_label = lru_cache(maxsize=4096)(label)


def seconds(micros: bytes | str) -> float:
    """Return an instant of the server's, given in microseconds."""
    return int(micros) / _MICRO


def blob_arguments(blobs: Collection[Blob]) -> Iterator[Argument]:
    """Yield blobs as `_blobs.lua` reads them."""
    yield len(blobs)
    for blob in blobs:
        yield blob.key
        yield repr(blob.ttl)
        yield len(blob.chunks)
        yield from blob.chunks


def batch_arguments(batch: Batch) -> list[Argument]:
    """Return a batch as `submit.lua` reads it."""
    found: list[Argument] = [batch.batch_id, "1" if any(new.invocation.unique_key for new in batch.invocations) else ""]
    found += blob_arguments(batch.blobs)
    found.append(len(batch.invocations))
    for new in batch.invocations:
        found += _new_arguments(new)
    return found


def submitted_of(batch: Batch, reply: Iterable[Sequence[Any]]) -> Submitted:
    """Return the ids that stand for a batch's invocations: their own, but for those that were not stored."""
    ids = [new.invocation.invocation_id for new in batch.invocations]
    reused = {number - 1: holder.decode() for number, holder in reply}
    for position, holder in reused.items():
        ids[position] = holder
    return Submitted(tuple(ids), frozenset(reused))


def _new_arguments(new: NewInvocation) -> tuple[Argument, ...]:
    invocation = new.invocation
    marks = _labels(invocation)
    body = b"".join([bytes([len(marks)]), *marks, _pack((invocation, new.call))])
    others: list[Argument] = []
    if invocation.expires is not None:
        others += ("expires", repr(invocation.expires))
    if invocation.unique_key:
        others += ("unique", invocation.unique_key)
        if invocation.unique_until is not None:
            others += ("counts", repr(invocation.unique_until))
    if invocation.limits:
        others += ("limits", _json([_limit(invocation, new.status, limit) for limit in invocation.limits]))
    due = "" if new.due is None else repr(new.due)
    fixed = (invocation.queue, repr(invocation.rank), due, invocation.task_id, invocation.registered_by, invocation.parent_id)
    return (invocation.invocation_id, body, new.status, *fixed, len(others), *others)


def _limit(invocation: InvocationDTO, status: Status, limit: Limit) -> tuple[str, int, str, str, str]:
    """Return a limit with what the core says of one that finds it full, and of one that is woken by it."""
    unexpired = -1.0  # before every instant at which it may expire
    to, reason = put_aside(invocation, unexpired, limit) or (Status.CONCURRENCY_CONTROLLED, "")
    return limit.key, limit.most, str(to), reason, woken("", State(status=status), limit.key, "", 0.0)[0].reason


def _labels(invocation: InvocationDTO) -> list[bytes]:
    workflow = invocation.workflow
    found = [_kept_label("task_id", invocation.task_id), label("call_id", invocation.call_id)]
    if workflow.workflow_type != invocation.task_id:
        found.append(_kept_label("workflow_type", workflow.workflow_type))
    if workflow.workflow_id != invocation.invocation_id:
        found.append(_kept_label("workflow_id", workflow.workflow_id))
    if invocation.parent_id:
        found.append(_kept_label("parent_id", invocation.parent_id))
    if invocation.unique_key:
        found.append(label("unique_key", invocation.unique_key))
    if invocation.limits:
        found += [label("limit_key", key) for key in {limit.key for limit in invocation.limits}][:200]
    return found


def change_arguments(changes: Sequence[Change]) -> list[Argument]:
    """Return changes as `settle.lua` reads them: what each makes of the record is said by the core."""
    found: list[Argument] = [len(changes)]
    for change in changes:
        expect = change.expect
        before = State(status=expect.status, runner_id=expect.runner_id, claim=expect.claim)
        after = moved(before, change, 0.0)
        found += (
            change.invocation_id,
            expect.status,
            expect.runner_id,
            expect.claim,
            "" if expect.seq is None else expect.seq,
            " ".join(change.through),
            len(change.through),
            after.status,
            after.runner_id,
            change.by,
            change.reason,
            "" if after.due is None else repr(after.due),
            _json(after.awaits) if after.awaits else "",
            "" if after.outcome is None else _pack(after.outcome),
            _rest(change) or "",
        )
        if change.blobs:
            found += blob_arguments(change.blobs)
        else:
            found.append(0)
    return found


def _rest(change: Change) -> bytes | None:
    """Return what few changes have: counters and outbox, which add to what is stored, and boosts."""
    more = change.attempts or change.crashes or change.interruptions or change.outbox or change.boost is not None
    if not more and change.suspect is None:
        return None
    counters = {name: count for name in ("attempts", "crashes", "interruptions") if (count := getattr(change, name))}
    rest: dict[str, object] = {"counters": counters}
    if change.suspect is not None:
        rest["suspect"] = change.suspect
    if change.outbox:
        rest["outbox"] = change.outbox
    if marks := boosts(change):
        rest["boost"], rest["boosted"] = repr(change.boost), [mark.invocation_id for mark in marks]
    return _json(rest)


def ask_arguments(ask: Ask, ear: str) -> list[Argument]:
    """Return an `Ask` as `_claims.lua` reads it."""
    known = "" if ask.known_tasks is None else _joined(ask.known_tasks)
    return [ask.runner_id, ask.limit, ask.start, "1" if ask.awaited_only else "", known, ear, len(ask.queues), *ask.queues]


@lru_cache(maxsize=64)
def _joined(tasks: frozenset[str]) -> str:
    return "\n".join(["", *sorted(tasks), ""])


def mark_arguments(marks: Sequence[Mark]) -> list[Argument]:
    """Return marks as `mark.lua` reads them."""
    found: list[Argument] = [len(marks)]
    for mark in marks:
        owner = ("1", mark.owner.runner_id, mark.owner.claim) if mark.owner else ("", "", "")
        values = ["" if each is None else repr(each) for each in (mark.boost, mark.published_at)]
        signal: tuple[Argument, ...] = (_pack(mark.signal), mark.signal.claim) if mark.signal else ("", 0)
        progress = "-" if mark.progress is None else b"+" + mark.progress
        found += (mark.invocation_id, *owner, *values, *signal, progress, len(mark.drop_outbox), *mark.drop_outbox)
    return found


def record_of(row: Sequence[Any]) -> InvocationRecord:
    """Return a record from its id, its body and its fields; what stands for the body where that was damaged."""
    invocation_id, body, flat = row
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    status, runner = _STATUS[fields[b"status"]], fields.get(b"runner", b"").decode()
    claim, seq, since = int(fields.get(b"claim", 0)), int(fields[b"seq"]), seconds(fields[b"since"])
    return _record(invocation_id, body, State(status=status, runner_id=runner, claim=claim, seq=seq, since=since), fields)


def _claimed(row: Sequence[Any], runner_id: str) -> InvocationRecord:
    """Return what was claimed, from its id, its body, what every claim says of it, and its other fields."""
    invocation_id, body, status, claim, seq, since, flat = row
    state = State(status=_STATUS[status], runner_id=runner_id, claim=int(claim), seq=int(seq), since=seconds(since))
    return _record(invocation_id, body, state, dict(zip(flat[::2], flat[1::2], strict=True)) if flat else _NO_FIELDS)


def _record(invocation_id: bytes, body: bytes, state: State, fields: Mapping[bytes, bytes]) -> InvocationRecord:
    try:
        invocation, call = _decode_body(memoryview(body)[1 + LABEL_BYTES * body[0] :])
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError, IndexError):
        invocation, call = unreadable(invocation_id.decode())
    if _RARE.isdisjoint(fields):
        return InvocationRecord(invocation=invocation, call=call, state=state)
    return InvocationRecord(invocation=invocation, call=call, state=_with_rare(state, fields), side=_side(fields))


def _with_rare(state: State, fields: Mapping[bytes, bytes]) -> State:
    due, outcome, awaits, outbox = (fields.get(name) for name in (b"due", b"outcome", b"awaits", b"outbox"))
    return State(  # spelt out, as the core does where it matters
        status=state.status,
        runner_id=state.runner_id,
        claim=state.claim,
        seq=state.seq,
        since=state.since,
        attempts=int(fields.get(b"attempts", 0)),
        crashes=int(fields.get(b"crashes", 0)),
        interruptions=int(fields.get(b"interruptions", 0)),
        suspect=bool(fields.get(b"suspect")),
        due=float(due) if due else None,
        outcome=_decode_payload(outcome) if outcome else None,
        reason=fields.get(b"reason", b"").decode(),
        awaits=_decode_texts(awaits) if awaits else (),
        outbox=_decode_texts(outbox) if outbox else (),
    )


def _side(fields: Mapping[bytes, bytes]) -> Side:
    boost, published, signal = fields.get(b"boost"), fields.get(b"published"), fields.get(b"signal")
    return Side(
        boost=float(boost) if boost else None,
        published_at=float(published) if published else None,
        signal=_decode_signal(signal) if signal else None,
        progress=fields.get(b"progress", b""),
    )


def claim_of(reply: Sequence[Any], runner_id: str) -> tuple[ClaimReply, bool]:
    """Return what was replied to a runner's claim, and whether less was claimed than asked for."""
    claimed, signals, due, claimable, hungry = reply
    answer = ClaimReply(
        claimed=tuple([_claimed(row, runner_id) for row in claimed]),
        signals=signals_of(signals),
        next_due=float(due) if due else None,
        claimable=queued_of(claimable),
    )
    return answer, bool(hungry)


def signals_of(rows: Iterable[Sequence[bytes]]) -> tuple[Signal, ...]:
    """Return the requests that concern who owns the invocations now."""
    if not rows:
        return ()
    asked = [(_decode_signal(signal), State(status=_STATUS[status], claim=int(claim))) for signal, status, claim in rows]
    return tuple(sorted((signal for signal, state in asked if signal.concerns(state)), key=_id))


def _id(signal: Signal) -> str:
    return signal.invocation_id


def queued_of(rows: Iterable[Sequence[bytes]]) -> tuple[Queued, ...]:
    """Return queue entries."""
    return tuple(
        [Queued(each.decode(), queue.decode(), float(rank), float(due) if due else None) for each, queue, rank, due in rows] if rows else ()
    )


def entries_of(message: Sequence[Any]) -> tuple[InvocationHistory, ...]:
    """Return the entries of one message of history: the core makes them again of the facts that are kept."""
    key, (_, name, _, facts) = message
    first, claim, statuses, owner, by, parent, reason = facts.decode().split("\0", 6)
    through, invocation_id, by = tuple([Status(each) for each in statuses.split()]), name.decode(), owner if by == "=" else by
    state = State(status=through[0], runner_id=owner, claim=int(claim), seq=int(first) - 1)
    change = Change(invocation_id=invocation_id, expect=_NOTHING, through=through, by=by, reason=reason)
    _, entries = applied(invocation_id, state, change, seconds(key.partition(b"-")[0]))
    if not parent:
        return entries
    return tuple([InvocationHistory(invocation_id, each.seq, each.at, each.status_record, by, parent) for each in entries])


def refusals_of(changes: Sequence[Change], rows: Iterable[Sequence[Any]]) -> tuple[Refusal | None, ...]:
    """Return an answer for each change; the rows are of those refused only."""
    if not rows:
        return (None,) * len(changes)
    refused: dict[int, Refusal] = {}
    for number, status, runner, claim in rows:
        found = _STATUS[status] if status else None
        refused[int(number) - 1] = Refusal(changes[int(number) - 1].invocation_id, found, runner.decode(), int(claim))
    return tuple([refused.get(number) for number in range(len(changes))])
