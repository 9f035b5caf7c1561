"""An invocation as one document: what is searched for stands in fields, the rest in values that only we read.

`state` is the whole fenced part and `entries` the history entries that are kept inside, as MessagePack; `version` is another
one after whatever changes either, and every write names the version it was made from. Side values are fields of their own.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any

import msgspec
from bson import Binary

from pynenc_core.model import (
    CallDTO,
    InvocationDTO,
    InvocationHistory,
    InvocationRecord,
    Limit,
    NewInvocation,
    Queued,
    Side,
    Signal,
    State,
    StatusRecord,
    ended_at,
    registered,
    unreadable,
)
from pynenc_core.status import CLAIMABLE, FINAL, OWNED, Status

Document = dict[str, Any]
MICROSECONDS = 1e6
"""In which `last` is counted, rounded up: servers that are not MongoDB's may round floating numbers when they change a document."""
Entry = tuple[float, str, str, int, str, str, str]
"""Of a history entry: time, status, runner, claim, reason, who did it, who registered it. Its number is its position."""

STAGED, READY, LATER, OWN, WAITS, FINISHED = "staged", "ready", "later", "owned", "waits", "final"
VISIBLE: Document = {"phase": {"$ne": STAGED}}
_LABELS = ("task_id", "call_id", "parent_id", "unique_key")
ASKED = (*_LABELS, "workflow_id", "workflow_type", "limit_key")
"""The fields of a query that are labels."""

encode = msgspec.msgpack.Encoder().encode
_decode_body = msgspec.msgpack.Decoder(tuple[InvocationDTO, CallDTO]).decode
_decode_state = msgspec.msgpack.Decoder(State).decode
decode_entries = msgspec.msgpack.Decoder(list[Entry]).decode
decode_signal = msgspec.msgpack.Decoder(Signal).decode


class Held:
    """An invocation as a document shows it; what is seldom needed is decoded when it is."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.invocation_id: str = document["_id"]
        self.version: int = document["version"]

    @cached_property
    def state(self) -> State:
        """Its fenced part."""
        return _decode_state(self.document["state"])

    @cached_property
    def fixed(self) -> tuple[InvocationDTO, CallDTO]:
        """What never changes; what stands for it where it was damaged, so that one document holds up nobody."""
        try:
            return _decode_body(self.document["body"])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return unreadable(self.invocation_id)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Its limits."""
        return self.fixed[0].limits if self.document.get("limited") else ()

    @property
    def entries(self) -> list[Entry]:
        """The history entries that are kept inside."""
        return decode_entries(self.document["entries"])

    @property
    def side(self) -> Side:
        """Its side values."""
        found, signal = self.document, self.document.get("signal")
        return Side(
            boost=found.get("boost"),
            published_at=found.get("published_at"),
            signal=None if signal is None else decode_signal(signal),
            progress=bytes(found.get("progress", b"")),
        )

    def queued(self, state: State) -> Queued:
        """Return what a queue would hold of it, with this state."""
        return Queued(self.invocation_id, self.document["queue"], self.document["place"], state.due)

    def record(self, state: State | None = None) -> InvocationRecord:
        """Return the whole record."""
        invocation, call = self.fixed
        return InvocationRecord(invocation=invocation, call=call, state=state or self.state, side=self.side)

    def changed(self, fields: Document) -> Held:
        """Return it with other fields; those that are None are gone."""
        return Held({name: value for name, value in {**self.document, **fields}.items() if value is not None})


def new_version() -> int:
    """Return a version that no other write has: also one made from a state of before a purge never fits what came after it."""
    return random.getrandbits(52)


def new_document(new: NewInvocation, now: float) -> Document:
    """Return the document of an invocation to register."""
    record, entry = registered(new, now)
    invocation, state = record.invocation, record.state
    document: Document = {
        "_id": invocation.invocation_id,
        "id": invocation.invocation_id,
        "version": new_version(),
        "queue": invocation.queue,
        "place": invocation.rank,
        "labels": sorted(set(_labels(invocation))),
        "body": Binary(encode((invocation, record.call))),
        "began": now,
        "limited": True if invocation.limits else None,
        "unique_key": invocation.unique_key or None,
        "unique_until": invocation.unique_until if invocation.unique_key else None,
        **state_fields(invocation, state, [as_entry(entry)], 0, now),
    }
    return {name: value for name, value in document.items() if value is not None}


def state_fields(invocation: InvocationDTO, state: State, entries: Sequence[Entry], before: int, now: float) -> Document:
    """Return the fields that follow from a state and the entries inside, `before` of which are kept elsewhere; None is absent."""
    status, final = state.status, state.status in FINAL
    later = status in CLAIMABLE and state.due is not None and state.due > now
    claimable = LATER if later else READY if status in CLAIMABLE else ""
    fields: Document = {
        "state": Binary(encode(state)),
        "status": str(status),
        "phase": claimable or (FINISHED if final else OWN if status in OWNED else WAITS),
        "claim": state.claim,
        "runner": state.runner_id or None,
        "due": state.due if later else None,
        "outbox": True if state.outbox else None,
        "ended": ended_at(invocation, state) if final else None,
        "entries": Binary(encode(list(entries))),
        "before": before,
        "last": math.ceil(entries[-1][0] * MICROSECONDS),
    }
    if final and invocation.unique_until is None:
        fields["unique_key"] = None
    return fields


def as_entry(entry: InvocationHistory) -> Entry:
    """Return a history entry as it is kept."""
    status = entry.status_record
    return entry.at, str(status.status), status.runner_id, status.claim, status.reason, entry.runner_context_id, entry.registered_by


def from_entries(invocation_id: str, before: int, entries: Iterable[Entry]) -> Iterator[InvocationHistory]:
    """Yield history entries; `before` is the number of the one before the first."""
    for seq, (at, status, runner, claim, reason, by, registered_by) in enumerate(entries, before + 1):
        yield InvocationHistory(invocation_id, seq, at, StatusRecord(Status(status), runner, claim, reason), by, registered_by)


def _labels(invocation: InvocationDTO) -> Iterator[str]:
    for field in _LABELS:
        if value := getattr(invocation, field):
            yield label(field, value)
    yield label("workflow_id", invocation.workflow.workflow_id)
    yield label("workflow_type", invocation.workflow.workflow_type)
    for limit in invocation.limits:
        yield label("limit_key", limit.key)


@lru_cache(maxsize=4096)
def label(field: str, value: str) -> str:
    """Return what stands among an invocation's labels for the value of a field."""
    return hashlib.blake2b(f"{field}={value}".encode(), digest_size=9).hexdigest()
