"""The decisions around a claim: pure functions that every store asks."""

from __future__ import annotations

import attrs
import pytest

from pynenc_core.model import (
    Ask,
    Change,
    Expect,
    InvocationDTO,
    Limit,
    Mark,
    Side,
    Signal,
    SignalKind,
    State,
    WorkflowIdentity,
    boosts,
    ended_at,
    full_limit,
    hands_on,
    marked,
    may_claim,
    put_aside,
    starts,
)
from pynenc_core.status import Owner, Status

NOW = 1000.0
ASK = Ask(runner_id="r1", limit=9, start=2)
INVOCATION = InvocationDTO(invocation_id="i1", call_id="c", task_id="shop:bill", workflow=WorkflowIdentity("i1", "shop:bill"))
RUNNING = State(status=Status.RUNNING, runner_id="r1", claim=3, outbox=("x", "y"))
FULL = Limit("k", 2)


def test_what_waits_and_is_due_may_be_claimed() -> None:
    assert may_claim(State(), None, ASK, NOW)
    assert may_claim(State(status=Status.SCHEDULED, due=NOW), None, ASK, NOW)
    assert not may_claim(State(status=Status.SCHEDULED, due=NOW + 1), None, ASK, NOW)
    assert not may_claim(RUNNING, None, ASK, NOW)
    awaited = attrs.evolve(ASK, awaited_only=True)
    assert (may_claim(State(), None, awaited, NOW), may_claim(State(), 1.0, awaited, NOW)) == (False, True)


@pytest.mark.parametrize(
    ("expires", "drops", "full", "expected"),
    [
        (None, False, None, None),
        (NOW, False, None, None),
        (NOW - 1, False, FULL, (Status.CANCELLED, "expired")),
        (None, False, FULL, (Status.CONCURRENCY_CONTROLLED, "limit 'k' of 2 is full")),
        (None, True, FULL, (Status.CONCURRENCY_CONTROLLED_FINAL, "limit 'k' of 2 is full")),
    ],
)
def test_who_may_not_be_claimed_is_put_aside(
    expires: float | None, *, drops: bool, full: Limit | None, expected: tuple[Status, str] | None
) -> None:
    assert put_aside(attrs.evolve(INVOCATION, expires=expires, drop_when_limited=drops), NOW, full) == expected


def test_suspects_unknown_tasks_and_more_than_asked_are_not_started() -> None:
    known = attrs.evolve(ASK, known_tasks=frozenset({"shop:bill"}))
    assert starts(INVOCATION, State(), known, 1)
    assert not starts(INVOCATION, State(), known, 2)
    assert not starts(INVOCATION, State(suspect=True), known, 0)
    assert not starts(attrs.evolve(INVOCATION, task_id="shop:else"), State(), known, 0)


def test_the_first_limit_without_room_counts() -> None:
    held = {"a": 1, "b": 2, "c": 5}
    assert full_limit((Limit("a", 2), Limit("b", 2), Limit("c", 5)), held.__getitem__) == Limit("b", 2)
    assert full_limit((Limit("a", 2),), held.__getitem__) is None


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (Status.RUNNING, Status.SUCCESS, True),
        (Status.PAUSED, Status.REROUTED, True),
        (Status.RUNNING, Status.PAUSED, False),
        (Status.PENDING, Status.RUNNING, False),
        (Status.REROUTED, Status.CANCELLED, True),
        (Status.REROUTED, Status.CONCURRENCY_CONTROLLED, True),
        (Status.REROUTED, Status.PENDING, False),
        (Status.REROUTED, Status.REROUTED, False),
        (Status.REGISTERED, Status.CANCELLED, False),
    ],
)
def test_a_place_is_handed_on_by_who_leaves_it_or_was_called_for_it(before: Status, after: Status, *, expected: bool) -> None:
    assert hands_on(State(status=before), State(status=after)) is expected


def test_a_pause_boosts_what_it_awaits() -> None:
    pause = Change(invocation_id="i1", expect=Expect(Status.RUNNING), through=(Status.PAUSED,), by="r1", awaits=("a", "b"), boost=1.5)
    assert boosts(pause) == (Mark(invocation_id="a", boost=1.5), Mark(invocation_id="b", boost=1.5))
    assert boosts(attrs.evolve(pause, boost=None)) == boosts(attrs.evolve(pause, through=(Status.SUCCESS,))) == ()


class TestMarked:
    def test_what_is_not_given_stays(self) -> None:
        side = Side(boost=2.0, published_at=5.0, signal=Signal(invocation_id="i1", kind=SignalKind.CANCEL), progress=b"half")
        assert marked(RUNNING, side, Mark(invocation_id="i1")) == (RUNNING, side)
        assert marked(RUNNING, side, Mark(invocation_id="i1", boost=3.0, progress=b"")) == (RUNNING, attrs.evolve(side, progress=b""))
        assert marked(RUNNING, side, Mark(invocation_id="i1", boost=1.0)) == (RUNNING, attrs.evolve(side, boost=1.0))

    def test_a_stranger_is_refused(self) -> None:
        assert marked(RUNNING, Side(), Mark(invocation_id="i1", owner=Owner("r1", 2), progress=b"1")) is None
        assert marked(RUNNING, Side(), Mark(invocation_id="i1", owner=Owner("r1", 3), progress=b"1")) == (RUNNING, Side(progress=b"1"))

    def test_a_request_for_another_claim_leaves_the_present_one(self) -> None:
        cancel = Signal(invocation_id="i1", kind=SignalKind.CANCEL)
        stale, fitting = (Signal(invocation_id="i1", kind=SignalKind.DEADLOCK, claim=claim) for claim in (2, 3))
        assert marked(RUNNING, Side(signal=cancel), Mark(invocation_id="i1", signal=stale)) == (RUNNING, Side(signal=cancel))
        assert marked(RUNNING, Side(signal=cancel), Mark(invocation_id="i1", signal=fitting)) == (RUNNING, Side(signal=fitting))
        assert (cancel.concerns(RUNNING), stale.concerns(RUNNING), fitting.concerns(RUNNING)) == (True, False, True)
        assert not cancel.concerns(attrs.evolve(RUNNING, status=Status.SUCCESS))

    def test_what_was_carried_out_leaves_the_outbox(self) -> None:
        after = marked(RUNNING, Side(), Mark(invocation_id="i1", drop_outbox=("x", "z")))
        assert after == (attrs.evolve(RUNNING, outbox=("y",)), Side())


def test_a_key_with_a_window_keeps_its_invocation_in_use() -> None:
    over = State(status=Status.SUCCESS, since=5.0)
    assert ended_at(INVOCATION, over) == 5.0
    assert ended_at(attrs.evolve(INVOCATION, unique_until=9.0), over) == 9.0
    assert ended_at(attrs.evolve(INVOCATION, unique_until=2.0), over) == 5.0
