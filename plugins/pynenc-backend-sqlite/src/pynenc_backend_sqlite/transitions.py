"""Reads and writes single invocations within one step, and keeps what depends on their status."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache

import attrs
import msgspec

from pynenc_backend_sqlite import statements as sql
from pynenc_backend_sqlite.database import Row
from pynenc_backend_sqlite.step import WORK, Step
from pynenc_core.model import (
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
    Refusal,
    Side,
    State,
    applied,
    meets,
    registered,
)
from pynenc_core.status import CLAIMABLE, FINAL, OWNED, Status

FIRST_KEPT, LAST_KEPT = 20, 180
SLOT_GRACE = 30.0
"""Seconds for which a slot is held for a claim that is not written yet."""

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
    order = (dto.queue, dto.rank, place, state.due, dto.unique_key or None)
    root = dto.workflow.workflow_id == dto.invocation_id
    step.execute(sql.ADD, dto.invocation_id, str(state.status), state.since, root, *order, limits, extra, STEP.pack(entry.at, 1))
    step.execute(sql.ADD_FIXED, dto.invocation_id, encode((dto, new.call)))
    step.connection.executemany(sql.ADD_LABEL, [(step.app, each, dto.invocation_id) for each in labels(dto)])
    step.note((entry,))
    step.tell_news(WORK + dto.queue)


def swap(step: Step, change: Change) -> tuple[Refusal | None, Held | None]:
    """Write a change, or refuse it; return the refusal or what there was before it."""
    row = step.execute(sql.HELD, change.invocation_id).fetchone()
    if row is None:
        return Refusal(change.invocation_id, None), None
    held = Held(row)
    state = held.state
    if not meets(state, change.expect):
        return Refusal(change.invocation_id, state.status, state.runner_id, state.claim), None
    put_blobs(step, change.blobs)
    move(step, held, *applied(change.invocation_id, state, change, step.now))
    if change.to is Status.PAUSED and change.boost is not None:
        for (awaited,) in step.execute(sql.NOT_FINAL, sql.as_json(change.awaits)).fetchall():
            mark(step, Mark(invocation_id=awaited, boost=change.boost))
    return None, held


def move(step: Step, held: Held, state: State, entries: Iterable[InvocationHistory]) -> None:
    """Write a new state in the place of the old one, and all that follows from it."""
    invocation_id, old, status = held.invocation_id, held.state, state.status
    step.note(entries)
    final = status in FINAL
    claimable = status in CLAIMABLE
    place = held.place if claimable and state.due is None else None
    beside = _beside(step, held) if status is Status.CONCURRENCY_CONTROLLED and held.limited else None
    outcome = None if state.outcome is None else encode(state.outcome)
    plain = not (state.attempts or state.crashes or state.interruptions or state.suspect or state.reason or state.awaits or state.outbox)
    extra = None if plain and state.due is None else encode(state)
    steps = _trimmed(step, invocation_id, held.steps + b"".join([STEP.pack(entry.at, entry.seq) for entry in entries]))
    fenced = (str(status), state.runner_id or None, state.claim, state.seq, state.since)
    indexed = (place, state.due if claimable else None, beside, state.since if final else None)
    step.execute(sql.MOVE, invocation_id, *fenced, *indexed, outcome, extra, steps)
    if held.limited:
        _keep_slots(step, held, state)
    if claimable:
        step.tell_news(WORK + held.queue)
    elif final and old.status not in FINAL:
        step.execute(sql.FREE_KEY, invocation_id)
        step.tell_final(invocation_id)


def mark(step: Step, given: Mark) -> None:
    """Write side values of an invocation, if it is known."""
    row = step.execute(sql.HELD, given.invocation_id).fetchone()
    if row is None:
        return
    held = Held(row)
    old = held.side
    boost = min((each for each in (old.boost, given.boost) if each is not None), default=None)
    side = Side(
        published_at=old.published_at if given.published_at is None else given.published_at,
        signal=given.signal or old.signal,
        progress=old.progress if given.progress is None else given.progress,
    )
    step.execute(sql.SET_SIDE, given.invocation_id, boost, 1 if side.signal else None, None if side == _PLAIN_SIDE else encode(side))
    if boost != old.boost and held.state.status in CLAIMABLE:
        step.tell_news(WORK + held.queue)


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
    found: tuple[int] = step.execute(sql.HOLDERS, key, step.now - SLOT_GRACE).fetchone()
    return found[0]


def full_limit(step: Step, held: Held) -> Limit | None:
    """Return the first limit of an invocation that has no slot left."""
    return next((each for each in held.limits if holders(step, each.key) >= each.most), None)


def _beside(step: Step, held: Held) -> str:
    return (full_limit(step, held) or held.limits[0]).key


def _keep_slots(step: Step, held: Held, state: State) -> None:
    old = held.state
    was, now = ((each.status in OWNED and each.claim) for each in (old, state))
    if was and was != now:
        step.execute(sql.FREE_SLOTS, held.invocation_id, old.claim)
    if now and was != now:
        for limit in held.limits:
            step.execute(sql.TAKE_SLOT, limit.key, held.invocation_id, state.claim, step.now)


def _trimmed(step: Step, invocation_id: str, steps: bytes) -> bytes:
    """Drop the history entries between the first and the last that are kept."""
    first, last = FIRST_KEPT * STEP.size, LAST_KEPT * STEP.size
    if len(steps) > first + last:
        for at, seq in STEP.iter_unpack(steps[first:-last]):
            step.execute(sql.DROP_HISTORY, at, invocation_id, seq)
        steps = steps[:first] + steps[-last:]
    return steps
