"""Records as data: through JSON and MessagePack and back, with what they say of themselves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynenc_core.model import (
    FORMAT,
    Ask,
    Batch,
    Blob,
    CallDTO,
    Change,
    Expect,
    InvocationDTO,
    InvocationHistory,
    InvocationRecord,
    Lease,
    Limit,
    NewInvocation,
    Payload,
    Query,
    RunnerBeat,
    RunnerContext,
    Side,
    Signal,
    SignalKind,
    State,
    StatusRecord,
    WorkflowIdentity,
)
from pynenc_core.status import Owner, Status

LARGE = Payload(blob="ab" * 32, size=5000)
CALL = CallDTO(call_id="c", task_id="shop.bill", arguments=(("x", Payload(b"\x00\xff", size=2)), ("y", LARGE)), serializer="json")
INVOCATION = InvocationDTO(
    invocation_id="i1",
    call_id="c",
    task_id="shop.bill",
    workflow=WorkflowIdentity("i0", "shop.open", "w"),
    parent_id="i0",
    queue="fast",
    rank=-2.5,
    expires=9.5,
    limits=(Limit("k", 2), Limit("l", 1)),
    drop_when_limited=True,
    unique_key="u",
    batch_id="b",
    replay_of="old",
    registered_by="r0",
)
STATE = State(
    status=Status.PAUSED,
    runner_id="r1",
    claim=3,
    attempts=1,
    crashes=2,
    interruptions=3,
    suspect=True,
    due=1.5,
    outcome=LARGE,
    reason="ümlaut",
    seq=9,
    since=2.5,
    awaits=("a", "b"),
    outbox=("x",),
)
SIGNAL = Signal(invocation_id="i1", kind=SignalKind.DEADLOCK, by="r2", reason="circle", circle=("i1", "i2", "i1"))
RECORD = InvocationRecord(
    invocation=INVOCATION, call=CALL, state=STATE, side=Side(boost=-3.0, published_at=1.5, signal=SIGNAL, progress=b"\x01")
)
CHANGE = Change(
    invocation_id="i1",
    expect=Expect(Status.RUNNING, "r1", 3),
    through=(Status.RETRY, Status.SCHEDULED),
    by="ctx",
    blobs=(Blob("ab" * 32, (b"1", b"2"), 60.0),),
    due=5.0,
)
HISTORY = InvocationHistory("i1", 4, 1_700_000_000.125, StatusRecord(Status.RUNNING, "r1", 3, "why"), "ctx", "parent")
CONTEXT = RunnerContext(
    class_name="Worker",
    runner_id="Worker@h-2-x",
    host="h",
    pid=2,
    thread="MainThread",
    parent=RunnerContext(class_name="Pool", runner_id="Pool@h-1-y", host="h", pid=1),
)
EVERYTHING: list[Any] = [
    RECORD,
    CHANGE,
    HISTORY,
    CONTEXT,
    Batch(batch_id="b", invocations=(NewInvocation(invocation=INVOCATION, call=CALL, due=3.0),), blobs=CHANGE.blobs),
    Query(statuses=frozenset({Status.PAUSED}), limit_key="k"),
    Ask(runner_id="r1", limit=3, known_tasks=frozenset({"shop.bill"})),
    RunnerBeat(runner_id="r1", first_at=1.0, last_at=2.0, alive_until=3.0, may_serve=True),
    Lease("role", "r1", 3, 9.0),
]
INSTANTS = st.floats(min_value=0, max_value=4e9).map(lambda seconds: round(seconds, 6))


@pytest.mark.parametrize("value", EVERYTHING, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack], ids=["json", "msgpack"])
def test_records_survive_their_codec(value: Any, codec: Any) -> None:
    assert codec.decode(codec.encode(value), type=type(value)) == value


def test_a_record_of_a_newer_version_is_read_without_what_it_adds() -> None:
    data = msgspec.to_builtins(RECORD)
    data["invocation"] |= {"mood": "good", "format": FORMAT + 1}
    data["state"]["weather"] = "fair"
    read = msgspec.convert(data, InvocationRecord)
    assert read == attrs.evolve(RECORD, invocation=attrs.evolve(INVOCATION, format=FORMAT + 1))


def test_a_record_of_an_older_version_gets_defaults() -> None:
    oldest = {
        "invocation": {"invocation_id": "i", "call_id": "c", "task_id": "t", "workflow": {"workflow_id": "i", "workflow_type": "t"}},
        "call": {"call_id": "c", "task_id": "t"},
        "state": {},
    }
    read = msgspec.convert(oldest, InvocationRecord)
    assert (read.state, read.side, read.invocation.queue, read.call.serializer) == (State(), Side(), "default", "json")


def test_records_are_frozen() -> None:
    for value in EVERYTHING:
        name = attrs.fields(type(value))[0].name
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, name, "changed")


@pytest.mark.parametrize(("rank", "boost", "counts"), [(5.0, None, 5.0), (5.0, 3.0, 3.0), (5.0, 7.0, 5.0), (-1.0, 0.0, -1.0)])
def test_the_lower_of_rank_and_boost_counts(rank: float, boost: float | None, counts: float) -> None:
    assert attrs.evolve(RECORD, invocation=attrs.evolve(INVOCATION, rank=rank), side=Side(boost=boost)).rank == counts


@pytest.mark.parametrize("status", Status, ids=str)
def test_an_owner_is_shown_only_where_there_is_one(status: Status) -> None:
    shown = attrs.evolve(STATE, status=status).owner
    assert shown == (Owner("r1", 3) if status in {"PENDING", "RUNNING", "PAUSED"} else None)


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


class TestHistory:
    def test_it_survives_json_and_shows_its_time(self) -> None:
        data = HISTORY.to_json()
        assert InvocationHistory.from_json(data) == HISTORY
        assert InvocationHistory.from_json(data.decode()) == HISTORY
        shown = json.loads(data)
        assert shown["timestamp"] == "2023-11-14T22:13:20.125000+00:00"
        assert shown["status_record"] == {"status": "RUNNING", "runner_id": "r1", "claim": 3, "reason": "why"}

    @given(INSTANTS)
    def test_any_time_survives_exactly(self, at: float) -> None:
        entry = attrs.evolve(HISTORY, at=at)
        assert InvocationHistory.from_json(entry.to_json()).at == at

    @pytest.mark.parametrize(
        "written",
        ["2023-11-14T22:13:20.125", "2023-11-14T22:13:20.125+00:00", "2023-11-14T22:13:20.125Z", "2023-11-15T07:13:20.125+09:00"],
    )
    @pytest.mark.usefixtures("in_tokyo")
    def test_a_timestamp_alone_is_enough_and_a_naive_one_is_utc(self, written: str) -> None:
        data = json.loads(HISTORY.to_json())
        del data["at"]
        data["timestamp"] = written
        assert InvocationHistory.from_json(json.dumps(data)) == HISTORY

    def test_its_time_is_shown_in_utc(self) -> None:
        assert HISTORY.timestamp == datetime(2023, 11, 14, 22, 13, 20, 125_000, tzinfo=UTC)

    @pytest.mark.parametrize(
        "data", ["[]", "{}", '{"invocation_id": "i1", "seq": 1, "at": "soon", "status_record": {"status": "RUNNING"}}']
    )
    def test_anything_else_is_refused(self, data: str) -> None:
        with pytest.raises(msgspec.ValidationError):
            InvocationHistory.from_json(data)


class TestRunnerContext:
    def test_it_survives_json_with_its_parents(self) -> None:
        assert RunnerContext.from_json(CONTEXT.to_json()) == CONTEXT
        assert CONTEXT.lineage() == (CONTEXT, CONTEXT.parent)

    def test_what_a_newer_version_adds_is_passed_over(self) -> None:
        data = json.loads(CONTEXT.to_json()) | {"mood": "good"}
        assert RunnerContext.from_json(json.dumps(data)) == CONTEXT

    def test_anything_else_is_refused(self) -> None:
        with pytest.raises(msgspec.ValidationError):
            RunnerContext.from_json(b'{"class_name": "Worker"}')

    def test_one_of_this_process_is_another_each_time_but_for_the_outside(self) -> None:
        one, other = RunnerContext.of_this_process("Worker"), RunnerContext.of_this_process("Worker", parent=CONTEXT)
        assert one.runner_id != other.runner_id
        assert (one.parent, other.parent, one.pid == other.pid) == (None, CONTEXT, True)
        assert RunnerContext.external() == RunnerContext.external()
        assert RunnerContext.external().class_name == "ExternalRunner"
