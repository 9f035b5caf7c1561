"""The pure functions that move a record on: what a store calls inside its atomic step."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from pynenc_core.model import (
    CallDTO,
    Change,
    Expect,
    InvocationDTO,
    InvocationHistory,
    NewInvocation,
    Payload,
    State,
    StatusRecord,
    WorkflowIdentity,
    applied,
    claimed,
    meets,
    registered,
)
from pynenc_core.status import FINAL, OWNED, Owner, Status

NOW = 1_700_000_000.25
WORKFLOW = WorkflowIdentity("i1", "shop.bill")
INVOCATION = InvocationDTO(
    invocation_id="i1", call_id="c", task_id="shop.bill", workflow=WORKFLOW, parent_id="parent", registered_by="outside"
)
CALL = CallDTO(call_id="c", task_id="shop.bill")
RUNNING = State(status=Status.RUNNING, runner_id="r1", claim=3, attempts=1, crashes=1, interruptions=1, seq=7, since=5.0)
MINE = Expect(Status.RUNNING, "r1", 3)


def change(*through: Status, expect: Expect = MINE, **fields: Any) -> Change:
    return Change(invocation_id="i1", expect=expect, through=through, by="ctx", **fields)


def entry(seq: int, status: Status, owner: str = "", claim: int = 3, reason: str = "") -> InvocationHistory:
    return InvocationHistory("i1", seq, NOW, StatusRecord(status, owner, claim, reason), "ctx")


class TestRegistered:
    def test_it_is_registered_now(self) -> None:
        record, first = registered(NewInvocation(invocation=INVOCATION, call=CALL), NOW)
        assert (record.invocation, record.call) == (INVOCATION, CALL)
        assert record.state == State(status=Status.REGISTERED, seq=1, since=NOW)
        assert first == InvocationHistory("i1", 1, NOW, StatusRecord(Status.REGISTERED), "outside", "parent")

    def test_what_is_due_later_is_scheduled(self) -> None:
        record, first = registered(NewInvocation(invocation=INVOCATION, call=CALL, due=NOW + 5), NOW)
        assert record.state == State(status=Status.SCHEDULED, due=NOW + 5, seq=1, since=NOW)
        assert first.status_record == StatusRecord(Status.SCHEDULED)

    def test_an_instant_of_zero_is_an_instant(self) -> None:
        assert registered(NewInvocation(invocation=INVOCATION, call=CALL, due=0.0), NOW)[0].state.status is Status.SCHEDULED


class TestClaimed:
    waiting = State(status=Status.SCHEDULED, claim=3, due=9.0, reason="backoff", seq=7, since=5.0, attempts=2)

    def test_a_claim_owns_it_under_a_higher_number(self) -> None:
        state, entries = claimed("i1", self.waiting, "r2", NOW, start=False)
        assert state == State(status=Status.PENDING, runner_id="r2", claim=4, seq=8, since=NOW, attempts=2)
        assert state.owner == Owner("r2", 4)
        assert entries == (InvocationHistory("i1", 8, NOW, StatusRecord(Status.PENDING, "r2", 4), "r2"),)

    def test_a_start_passes_through_pending_in_the_same_step(self) -> None:
        state, entries = claimed("i1", self.waiting, "r2", NOW, start=True)
        assert (state.status, state.owner, state.seq) == (Status.RUNNING, Owner("r2", 4), 9)
        assert [each.status_record for each in entries] == [StatusRecord(Status.PENDING, "r2", 4), StatusRecord(Status.RUNNING, "r2", 4)]
        assert [each.seq for each in entries] == [8, 9]

    def test_the_same_runner_claiming_again_is_another_owner(self) -> None:
        first, _ = claimed("i1", self.waiting, "r2", NOW, start=True)
        rerouted = attrs.evolve(first, status=Status.REROUTED, runner_id="")
        again, _ = claimed("i1", rerouted, "r2", NOW, start=True)
        assert first.owner != again.owner


class TestMeets:
    def test_all_three_must_be_as_expected(self) -> None:
        assert meets(RUNNING, MINE)

    @pytest.mark.parametrize(
        "wrong",
        [{"status": Status.PENDING}, {"runner_id": "r2"}, {"runner_id": ""}, {"claim": 2}, {"claim": 4}],
        ids=["status", "runner", "nobody", "older", "later"],
    )
    def test_anything_else_is_refused(self, wrong: dict[str, Any]) -> None:
        assert not meets(RUNNING, attrs.evolve(MINE, **wrong))

    def test_the_rest_does_not_matter(self) -> None:
        assert meets(attrs.evolve(RUNNING, attempts=9, seq=99, since=0.0, reason="x"), MINE)

    def test_with_a_number_the_history_must_be_as_long(self) -> None:
        assert meets(RUNNING, attrs.evolve(MINE, seq=7))
        assert not meets(RUNNING, attrs.evolve(MINE, seq=6))


class TestApplied:
    def test_an_outcome_comes_with_a_final_status(self) -> None:
        done = change(Status.SUCCESS, outcome=Payload(b"1", size=1), reason="well")
        state, entries = applied("i1", RUNNING, done, NOW)
        assert state == State(
            status=Status.SUCCESS,
            claim=3,
            attempts=1,
            crashes=1,
            interruptions=1,
            outcome=Payload(b"1", size=1),
            reason="well",
            seq=8,
            since=NOW,
        )
        assert (state.owner, state.final) == (None, True)
        assert entries == (entry(8, Status.SUCCESS, reason="well"),)

    def test_an_outcome_without_a_final_status_is_dropped(self) -> None:
        assert applied("i1", RUNNING, change(Status.RETRY, outcome=Payload(b"1")), NOW)[0].outcome is None

    def test_each_status_passed_through_leaves_an_entry_and_the_last_has_the_reason(self) -> None:
        state, entries = applied("i1", RUNNING, change(Status.KILLED, Status.REROUTED, interruptions=1, reason="stopped"), NOW)
        assert (state.status, state.runner_id, state.claim, state.interruptions, state.seq) == (Status.REROUTED, "", 3, 2, 9)
        assert entries == (entry(8, Status.KILLED), entry(9, Status.REROUTED, reason="stopped"))

    def test_counters_are_added(self) -> None:
        state, _ = applied("i1", RUNNING, change(Status.RUNNING_RECOVERY, attempts=2, crashes=3, interruptions=4), NOW)
        assert (state.attempts, state.crashes, state.interruptions) == (3, 4, 5)

    @pytest.mark.parametrize(("now", "said", "then"), [(False, True, True), (True, None, True), (True, False, False)])
    def test_a_suspicion_stays_until_something_is_said(self, *, now: bool, said: bool | None, then: bool) -> None:
        assert applied("i1", attrs.evolve(RUNNING, suspect=now), change(Status.RETRY, suspect=said), NOW)[0].suspect is then

    def test_a_pause_keeps_the_owner_and_says_what_it_waits_for(self) -> None:
        paused, entries = applied("i1", RUNNING, change(Status.PAUSED, awaits=("a", "b")), NOW)
        assert (paused.owner, paused.awaits) == (Owner("r1", 3), ("a", "b"))
        assert entries == (entry(8, Status.PAUSED, "r1"),)
        resumed, _ = applied("i1", paused, change(Status.RUNNING, expect=Expect(Status.PAUSED, "r1", 3)), NOW)
        assert (resumed.owner, resumed.awaits) == (Owner("r1", 3), ())

    def test_a_due_time_belongs_to_scheduled(self) -> None:
        later, _ = applied("i1", RUNNING, change(Status.RETRY, Status.SCHEDULED, due=NOW + 9), NOW)
        assert (later.status, later.due) == (Status.SCHEDULED, NOW + 9)
        back, _ = applied("i1", later, change(Status.REGISTERED, expect=Expect(Status.SCHEDULED, "", 3)), NOW)
        assert back.due is None
        assert applied("i1", RUNNING, change(Status.RETRY, due=NOW + 9), NOW)[0].due is None

    def test_causes_are_collected(self) -> None:
        state, _ = applied("i1", attrs.evolve(RUNNING, outbox=("a",)), change(Status.RETRY, outbox=("b", "c")), NOW)
        assert state.outbox == ("a", "b", "c")
        assert applied("i1", state, change(Status.RETRY, outbox=("d", "b", "d")), NOW)[0].outbox == ("a", "b", "c", "d")

    @pytest.mark.parametrize(
        "state",
        [
            RUNNING,
            attrs.evolve(RUNNING, status=Status.PAUSED, awaits=("a",)),
            State(status=Status.SCHEDULED, claim=3, due=NOW + 9, reason="backoff", seq=7),
            State(status=Status.SUCCESS, claim=3, outcome=Payload(b"1"), reason="well", seq=7),
        ],
        ids=lambda state: str(state.status),
    )
    def test_a_note_moves_nothing(self, state: State) -> None:
        expect = Expect(state.status, state.runner_id, state.claim)
        after, entries = applied("i1", state, change(expect=expect, reason="a note", attempts=1, suspect=True, outbox=("x",)), NOW)
        assert after == attrs.evolve(state, seq=8)
        assert entries == (entry(8, state.status, state.runner_id, reason="a note"),)

    def test_only_what_is_owned_names_an_owner(self) -> None:
        for status in Status:
            state, entries = applied("i1", RUNNING, change(status), NOW)
            assert (state.runner_id, entries[-1].status_record.runner_id) == (("r1", "r1") if status in OWNED else ("", ""))
            assert state.final == (status in FINAL)

    def test_a_change_ends_where_it_went_last(self) -> None:
        assert change(Status.KILLED, Status.REROUTED).to is Status.REROUTED
        assert change().to is Status.RUNNING
