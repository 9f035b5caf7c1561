"""Reads and writes single invocations within one step, and keeps what depends on their status."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import attrs
import msgspec

from pynenc_backend_sqlite import statements as sql
from pynenc_backend_sqlite.database import Row
from pynenc_backend_sqlite.step import Step
from pynenc_core.model import (
    FIRST_KEPT,
    LAST_KEPT,
    Blob,
    CallDTO,
    Change,
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
    State,
    applied,
    boosts,
    full_limit,
    hands_on,
    marked,
    meets,
    registered,
    woken,
)
from pynenc_core.status import CLAIMABLE, FINAL, OWNED, Status

STEP = struct.Struct("<dI")
_STATUS = {str(status): status for status in Status}
_PLAIN_SIDE = Side()

encode = msgspec.msgpack.Encoder().encode
decode_body = msgspec.msgpack.Decoder(tuple[InvocationDTO, CallDTO]).decode
decode_side = msgspec.msgpack.Decoder(Side).decode
_decode_state = msgspec.msgpack.Decoder(State).decode
_decode_payload = msgspec.msgpack.Decoder(Payload).decode
_decode_limits = msgspec.msgpack.Decoder(tuple[Limit, ...]).decode


class Held:
    """An invocation as a row of `statements.STATE` shows it; what is seldom needed is decoded when it is."""

    __slots__ = ("_limits", "_side", "boost", "invocation_id", "queue", "rank", "state", "steps")

    def __init__(self, row: Row) -> None:
        self.invocation_id, status, runner, claim, seq, since, outcome, extra, self.boost, self._side = row[:10]
        self.rank, self.queue, self._limits, self.steps = row[10:14]
        if extra is None:
            payload = None if outcome is None else _decode_payload(outcome)
            self.state = State(status=_STATUS[status], runner_id=runner or "", claim=claim, seq=seq, since=since, outcome=payload)
        else:
            self.state = _decode_state(extra)

    @property
    def limited(self) -> bool:
        """Whether it has limits."""
        return self._limits is not None

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Its limits."""
        return () if self._limits is None else _decode_limits(self._limits)

    @property
    def side(self) -> Side:
        """Its side values."""
        if self._side is None:
            return _PLAIN_SIDE if self.boost is None else Side(boost=self.boost)
        return attrs.evolve(decode_side(self._side), boost=self.boost)

    @property
    def place(self) -> float:
        """The place in its queue that counts now."""
        return float(self.rank if self.boost is None else min(self.boost, self.rank))


def record(row: Row, state: State | None = None) -> InvocationRecord:
    """Return the record that a row with `fixed.body` shows, with another state if one is given."""
    held = Held(row)
    invocation, call = decode_body(row[14])
    return InvocationRecord(invocation=invocation, call=call, state=state or held.state, side=held.side)


def labels(invocation: InvocationDTO) -> Iterator[int]:
    """Yield the labels under which an invocation is found."""
    workflow = invocation.workflow
    yield label("task_id", invocation.task_id)
    yield _hash("call_id", invocation.call_id)
    yield label("workflow_type", workflow.workflow_type)
    if workflow.workflow_id != invocation.invocation_id:
        yield _hash("workflow_id", workflow.workflow_id)
    if invocation.parent_id:
        yield _hash("parent_id", invocation.parent_id)
    if invocation.unique_key:
        yield _hash("unique_key", invocation.unique_key)
    for key in {limit.key for limit in invocation.limits}:
        yield _hash("limit_key", key)


def _hash(field: str, value: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{field}={value}".encode(), digest_size=8).digest(), "big", signed=True)


label = lru_cache(maxsize=4096)(_hash)


def add(step: Step, new: NewInvocation) -> None:
    """Store a new invocation."""
    dto, (first, entry) = new.invocation, registered(new, step.now)
    state, waits = first.state, first.state.due is not None
    extra = encode(state) if waits else None
    limits = encode(dto.limits) if dto.limits else None
    place = None if waits else dto.rank
    order = (dto.queue, dto.rank, place, state.due, dto.unique_key or None, dto.unique_until)
    root = dto.workflow.workflow_id == dto.invocation_id
    step.execute(sql.ADD, dto.invocation_id, str(state.status), state.since, root, *order, limits, extra, STEP.pack(entry.at, 1))
    step.execute(sql.ADD_FIXED, dto.invocation_id, encode((dto, new.call)))
    step.connection.executemany(sql.ADD_LABEL, [(step.app, each, dto.invocation_id) for each in labels(dto)])
    step.note((entry,))
    step.tell_work(first.queued)


def swap(step: Step, change: Change) -> Refusal | None:
    """Write a change and all that follows from it, or refuse it."""
    row = step.execute(sql.HELD, change.invocation_id).fetchone()
    if row is None:
        return Refusal(change.invocation_id, None)
    held = Held(row)
    state = held.state
    if not meets(state, change.expect):
        return Refusal(change.invocation_id, state.status, state.runner_id, state.claim)
    put_blobs(step, change.blobs)
    move(step, held, *applied(change.invocation_id, state, change, step.now))
    if marks := boosts(change):
        going_on = {awaited for (awaited,) in step.execute(sql.NOT_FINAL, sql.as_json(change.awaits))}
        for each in marks:
            if each.invocation_id in going_on:
                mark(step, each)
    return None


def move(step: Step, held: Held, state: State, entries: Sequence[InvocationHistory]) -> None:
    """Write a new state in the place of the old one, and wake who waits for what it leaves."""
    invocation_id, old, status = held.invocation_id, held.state, state.status
    step.note(entries)
    final = status in FINAL
    claimable = status in CLAIMABLE
    place = held.place if claimable and state.due is None else None
    beside = _beside(step, held) if status is Status.CONCURRENCY_CONTROLLED and held.limited else None
    outcome = None if state.outcome is None else encode(state.outcome)
    steps = _trimmed(step, invocation_id, held.steps + b"".join([STEP.pack(entry.at, entry.seq) for entry in entries]))
    fenced = (str(status), state.runner_id or None, state.claim, state.seq, state.since)
    indexed = (place, state.due if claimable else None, beside, state.since if final else None)
    step.execute(sql.MOVE, invocation_id, *fenced, *indexed, outcome, *_extra(state), steps)
    if claimable:
        step.tell_work(Queued(invocation_id, held.queue, held.place, state.due))
    else:
        step.fresh.pop(invocation_id, None)
    if final and old.status not in FINAL:
        step.execute(sql.END_KEY, invocation_id)
        step.tell_final(invocation_id)
    if held.limited:
        _keep_slots(step, held, state)
        if hands_on(old, state):
            for limit in held.limits:
                _call_next(step, limit.key, entries[-1].runner_context_id)


def mark(step: Step, given: Mark) -> bool:
    """Write side values of an invocation, if it is known; return whether the mark is refused."""
    row = step.execute(sql.HELD, given.invocation_id).fetchone()
    if row is None:
        return given.owner is not None
    held = Held(row)
    after = marked(held.state, held.side, given)
    if after is None:
        return True
    state, side = after
    beside = attrs.evolve(side, boost=None)
    asked, kept = 1 if side.signal else None, None if beside == _PLAIN_SIDE else encode(beside)
    step.execute(sql.SET_SIDE, given.invocation_id, side.boost, asked, kept)
    if state is not held.state:
        step.execute(sql.SET_OUTBOX, given.invocation_id, *_extra(state))
    if side.boost != held.boost and state.status in CLAIMABLE:
        held.boost = side.boost
        step.tell_work(Queued(held.invocation_id, held.queue, held.place, state.due))
    return False


def put_blobs(step: Step, blobs: Iterable[Blob]) -> None:
    """Store blobs; of one that exists, only move the expiry forward."""
    for blob in blobs:
        if step.execute(sql.KEEP_BLOB, blob.key, step.now + blob.ttl).rowcount:
            continue
        step.execute(sql.ADD_BLOB, blob.key, step.now + blob.ttl)
        for number, data in enumerate(blob.chunks):
            step.execute(sql.ADD_CHUNK, blob.key, number, data)


def holders(step: Step, key: str) -> int:
    """Return how many live holders a limit has."""
    found: tuple[int] = step.execute(sql.HOLDERS, key).fetchone()
    return found[0]


def full(step: Step, limits: Sequence[Limit]) -> Limit | None:
    """Return the first of some limits that has no room."""
    return full_limit(limits, lambda key: holders(step, key)) if limits else None


def _extra(state: State) -> tuple[bytes | None, int | None]:
    """Return the columns `extra` and `outbox`."""
    rest = state.attempts or state.crashes or state.interruptions or state.suspect or state.reason or state.awaits or state.outbox
    return encode(state) if rest or state.due is not None else None, 1 if state.outbox else None


def _beside(step: Step, held: Held) -> str:
    return (full(step, held.limits) or held.limits[0]).key


def _keep_slots(step: Step, held: Held, state: State) -> None:
    was, now = held.state.status in OWNED, state.status in OWNED
    if was != now:
        for limit in held.limits:
            step.execute(sql.TAKE_SLOT if now else sql.FREE_SLOT, limit.key, held.invocation_id)


def _call_next(step: Step, key: str, by: str) -> None:
    while row := step.execute(sql.FIRST_BESIDE, key).fetchone():
        held = Held(row)
        missing = full(step, held.limits)
        if missing is None:
            move(step, held, *woken(held.invocation_id, held.state, key, by, step.now))
            return
        if missing.key == key:
            return
        step.execute(sql.WAIT_BESIDE, held.invocation_id, missing.key)  # another key holds it up by now


def _trimmed(step: Step, invocation_id: str, steps: bytes) -> bytes:
    """Drop the history entries between the first and the last that are kept."""
    first, last = FIRST_KEPT * STEP.size, LAST_KEPT * STEP.size
    if len(steps) > first + last:
        for at, seq in STEP.iter_unpack(steps[first:-last]):
            step.execute(sql.DROP_HISTORY, at, invocation_id, seq)
        steps = steps[:first] + steps[-last:]
    return steps
