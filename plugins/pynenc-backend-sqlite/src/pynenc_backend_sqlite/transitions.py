"""Single invocations within one step: what the rules of atomic stores read and write."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache

import attrs
import msgspec

from pynenc_backend_sqlite import statements as sql
from pynenc_backend_sqlite.database import Row
from pynenc_backend_sqlite.step import WORK, Step
from pynenc_core.model import (
    FIRST_KEPT,
    LAST_KEPT,
    Blob,
    CallDTO,
    InvocationDTO,
    InvocationHistory,
    InvocationRecord,
    Limit,
    Payload,
    Queued,
    Side,
    Signal,
    State,
    unreadable,
)
from pynenc_core.status import CLAIMABLE, FINAL, OWNED, Status

STEP = struct.Struct("<dI")
_STATUS = {str(status): status for status in Status}
_PLAIN_SIDE = Side()

encode = msgspec.msgpack.Encoder().encode
decode_side = msgspec.msgpack.Decoder(Side).decode
_decode_body = msgspec.msgpack.Decoder(tuple[InvocationDTO, CallDTO]).decode
_decode_state = msgspec.msgpack.Decoder(State).decode
_decode_payload = msgspec.msgpack.Decoder(Payload).decode
_decode_limits = msgspec.msgpack.Decoder(tuple[Limit, ...]).decode


class Held:
    """An invocation as a row of `statements.STATE` shows it, perhaps with its `fixed.body`; what is seldom needed is decoded when it is."""

    __slots__ = ("_limits", "_side", "body", "boost", "invocation_id", "queue", "rank", "state", "steps")

    def __init__(self, row: Row) -> None:
        self.invocation_id, status, runner, claim, seq, since, outcome, extra, self.boost, self._side = row[:10]
        self.rank, self.queue, self._limits, self.steps = row[10:14]
        self.body: bytes | None = row[14] if len(row) > 14 else None
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


def decode_body(invocation_id: str, body: bytes) -> tuple[InvocationDTO, CallDTO]:
    """Return the fixed part of a record; what stands for it where it was damaged, so that one row holds up nobody."""
    try:
        return _decode_body(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return unreadable(invocation_id)


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


def _extra(state: State) -> tuple[bytes | None, int | None]:
    """Return the columns `extra` and `outbox`."""
    rest = state.attempts or state.crashes or state.interruptions or state.suspect or state.reason or state.awaits or state.outbox
    return encode(state) if rest or state.due is not None else None, 1 if state.outbox else None


class RecordStep(Step):
    """A step in which invocations are read and written."""

    def held(self, invocation_id: str) -> Held | None:
        """Return an invocation."""
        row = self.execute(sql.HELD, invocation_id).fetchone()
        return None if row is None else Held(row)

    def record(self, held: Held, state: State | None = None) -> InvocationRecord:
        """Return the whole record."""
        body = held.body or self.execute(sql.BODY, held.invocation_id).fetchone()[0]
        invocation, call = decode_body(held.invocation_id, body)
        return InvocationRecord(invocation=invocation, call=call, state=state or held.state, side=held.side)

    def limits(self, held: Held) -> tuple[Limit, ...]:
        """Return the limits of an invocation."""
        return held.limits

    def queued(self, held: Held, state: State, side: Side) -> Queued:
        """Return what a queue would hold of an invocation."""
        return Queued(held.invocation_id, held.queue, held.rank if side.boost is None else min(side.boost, held.rank), state.due)

    def insert(self, record: InvocationRecord, entry: InvocationHistory) -> None:
        """Store a new invocation."""
        invocation, state = record.invocation, record.state
        invocation_id, waits = invocation.invocation_id, state.due is not None
        root = invocation.workflow.workflow_id == invocation_id
        place = None if waits else invocation.rank
        order = (invocation.queue, invocation.rank, place, state.due, invocation.unique_key or None, invocation.unique_until)
        blobs = (encode(invocation.limits) if invocation.limits else None, encode(state) if waits else None, STEP.pack(entry.at, entry.seq))
        if invocation.unique_key:
            self.execute(sql.FREE_KEY, invocation.unique_key)
        self.execute(sql.ADD, invocation_id, str(state.status), state.since, root, *order, *blobs)
        self.execute(sql.ADD_FIXED, invocation_id, encode((invocation, record.call)))
        self.connection.executemany(sql.ADD_LABEL, [(self.app, each, invocation_id) for each in labels(invocation)])
        self.note((entry,))
        self.tell_news(WORK + invocation.queue)

    def write(self, held: Held, state: State, entries: Sequence[InvocationHistory], beside: str) -> None:
        """Put a state in the place of the old one, and see to all that follows from it."""
        invocation_id, status = held.invocation_id, state.status
        self.note(entries)
        final, claimable = status in FINAL, status in CLAIMABLE
        place = held.place if claimable and state.due is None else None
        outcome = None if state.outcome is None else encode(state.outcome)
        steps = self._trimmed(invocation_id, held.steps + b"".join([STEP.pack(entry.at, entry.seq) for entry in entries]))
        fenced = (str(status), state.runner_id or None, state.claim, state.seq, state.since)
        indexed = (place, state.due if claimable else None, beside or None, state.since if final else None)
        self.execute(sql.MOVE, invocation_id, *fenced, *indexed, outcome, *_extra(state), steps)
        if held.limited:
            self._keep_slots(held, state)
        if claimable:
            self.tell_news(WORK + held.queue)
        elif final and held.state.status not in FINAL:
            self.execute(sql.END_KEY, invocation_id)
            self.tell_final(invocation_id)

    def write_side(self, held: Held, state: State, side: Side) -> None:
        """Put side values, and perhaps another outbox, in the place of the old ones."""
        if state is not held.state:
            self.execute(sql.SET_OUTBOX, held.invocation_id, *_extra(state))
        kept = Side(published_at=side.published_at, signal=side.signal, progress=side.progress)
        asked = 1 if side.signal else None
        self.execute(sql.SET_SIDE, held.invocation_id, side.boost, asked, None if kept == _PLAIN_SIDE else encode(kept))
        if side.boost != held.boost and held.state.status in CLAIMABLE:
            self.tell_news(WORK + held.queue)

    def put_blobs(self, blobs: Iterable[Blob]) -> None:
        """Store blobs."""
        for blob in blobs:
            if self.execute(sql.KEEP_BLOB, blob.key, self.now + blob.ttl).rowcount:
                continue
            self.execute(sql.ADD_BLOB, blob.key, self.now + blob.ttl)
            for number, data in enumerate(blob.chunks):
                self.execute(sql.ADD_CHUNK, blob.key, number, data)

    def value(self, kind: str, key: str) -> bytes | None:
        """Return a small value."""
        row = self.execute(sql.GET_VALUES, kind, sql.as_json((key,)), self.now).fetchone()
        return None if row is None else bytes(row[1])

    def put_value(self, kind: str, key: str, value: bytes, ttl: float | None) -> None:
        """Store a small value."""
        self.execute(sql.PUT_VALUE, kind, key, value, None if ttl is None else self.now + ttl)

    def known(self, invocation_ids: Collection[str]) -> Collection[str]:
        """Return those that are stored."""
        return {each for (each,) in self.execute(sql.KNOWN, sql.as_json(invocation_ids))}

    def unique_holder(self, key: str) -> tuple[str, float | None] | None:
        """Return who holds a unique key, and until when it counts."""
        row: tuple[str, float | None] | None = self.execute(sql.UNIQUE_HOLDER, key).fetchone()
        return row

    def holders(self, key: str) -> int:
        """Return how many hold a limit key."""
        return int(self.execute(sql.HOLDERS, key).fetchone()[0])

    def next_due(self, queue: str) -> float | None:
        """Let what is due stand in the queue; return when the next one is due."""
        due: float | None = self.execute(sql.NEXT_DUE, queue).fetchone()[0]
        if due is not None and due <= self.now:
            self.execute(sql.NOW_DUE, queue, self.now)
            due = self.execute(sql.NEXT_DUE, queue).fetchone()[0]
        return due

    def candidates(self, queue: str, limit: int, *, awaited_only: bool) -> Sequence[Held]:
        """Return the first in a queue's order."""
        rows = self.execute(sql.FIRST_AWAITED if awaited_only else sql.FIRST, queue, limit).fetchall()
        return [Held(row) for row in rows]

    def first_beside(self, key: str) -> Held | None:
        """Return the first that waits for a limit key."""
        row = self.execute(sql.FIRST_BESIDE, key).fetchone()
        return None if row is None else Held(row)

    def wait_beside(self, held: Held, key: str) -> None:
        """Let one wait for another key."""
        self.execute(sql.WAIT_BESIDE, held.invocation_id, key)

    def signals(self, runner_ids: Collection[str]) -> tuple[Signal, ...]:
        """Return the requests to what these runners own."""
        rows = [row for each in runner_ids for row in self.execute(sql.REQUESTS, each)]
        owned = [(decode_side(side).signal, State(status=_STATUS[status], claim=claim)) for side, status, claim in rows]
        return tuple([signal for signal, state in owned if signal and signal.concerns(state)])

    def _keep_slots(self, held: Held, state: State) -> None:
        was, now = held.state.status in OWNED, state.status in OWNED
        if was != now:
            for limit in held.limits:
                self.execute(sql.TAKE_SLOT if now else sql.FREE_SLOT, limit.key, held.invocation_id)

    def _trimmed(self, invocation_id: str, steps: bytes) -> bytes:
        """Drop the history entries between the first and the last that are kept."""
        first, last = FIRST_KEPT * STEP.size, LAST_KEPT * STEP.size
        if len(steps) > first + last:
            for at, seq in STEP.iter_unpack(steps[first:-last]):
                self.execute(sql.DROP_HISTORY, at, invocation_id, seq)
            steps = steps[:first] + steps[-last:]
        return steps
