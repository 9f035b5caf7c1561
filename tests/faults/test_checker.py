"""What judges the scenarios finds what it is there to find."""

from __future__ import annotations

import subprocess
import sys

import attrs
import pytest

from faults.checker import flips, overlaps, recoveries
from faults.conftest import MakeScenario
from faults.fleet import Fleet
from faults.ledger import Line
from faults.processes import state_of
from pynenc_core.model import InvocationHistory, StatusRecord
from pynenc_core.status import Status


def entries(*steps: tuple[Status, int]) -> list[InvocationHistory]:
    """Return a history of statuses, each under a claim."""
    return [
        InvocationHistory("i", number, float(number), StatusRecord(*step), "r") for number, step in enumerate(as_records(steps), start=1)
    ]


def as_records(steps: tuple[tuple[Status, int], ...]) -> list[tuple[Status, str, int]]:
    return [(status, "r", claim) for status, claim in steps]


RAN = ((Status.REGISTERED, 0), (Status.PENDING, 1), (Status.RUNNING, 1))


class TestHistories:
    def test_a_life_with_a_recovery_is_in_order(self) -> None:
        again = ((Status.RUNNING_RECOVERY, 1), (Status.REROUTED, 1), (Status.PENDING, 2), (Status.RUNNING, 2), (Status.SUCCESS, 2))
        assert (overlaps(entries(*RAN, *again)), flips(entries(*RAN, *again))) == (0, 0)

    def test_a_note_changes_no_status(self) -> None:
        assert overlaps(entries(*RAN, (Status.RUNNING, 1), (Status.SUCCESS, 1))) == 0

    def test_a_claim_of_what_somebody_owns_overlaps(self) -> None:
        assert overlaps(entries(*RAN, (Status.PENDING, 2))) > 0

    def test_a_write_under_an_older_claim_overlaps(self) -> None:
        recovered = ((Status.RUNNING_RECOVERY, 1), (Status.REROUTED, 1), (Status.PENDING, 2), (Status.RUNNING, 2))
        assert overlaps(entries(*RAN, *recovered, (Status.SUCCESS, 1))) > 0

    def test_whatever_follows_a_final_status_is_a_flip(self) -> None:
        assert flips(entries(*RAN, (Status.SUCCESS, 1), (Status.FAILED, 1))) == 1


class TestJudgement:
    def test_what_was_accepted_and_is_not_final_is_lost(self, scenario: MakeScenario) -> None:
        with scenario("checker", "") as it:
            it.accept([it.jobs.work(1), it.jobs.work(2)])
            assert it.checker.judge([*it.ids, "gone"], {}, {}).lost == 3
            it.accepted[0].cancel()
            assert it.checker.judge(it.ids, {}, {}).lost == 1
            it.accepted[1].cancel()
            it.finish()

    def test_effects_are_counted_and_two_under_one_claim_overlap(self, scenario: MakeScenario) -> None:
        with scenario("checker-effects", "") as it:
            (invocation,) = it.accept([it.jobs.work(1)])
            invocation.cancel()
            lines = [line(invocation.invocation_id, claim, pid, at) for claim, pid, at in ((1, 10, 1.0), (2, 20, 4.0), (2, 21, 5.0))]
            found = it.checker.judge(it.ids, {invocation.invocation_id: lines}, {10: 2.5})
            assert (found.duplicated, found.overlaps, found.recovery, found.recovery_p99) == (2, 1, (1.5,), 1.5)
            it.finish()

    def test_a_changed_outcome_is_a_flip(self, scenario: MakeScenario) -> None:
        with scenario("checker-outcomes", "") as it:
            (invocation,) = it.accept([it.jobs.work(1)])
            invocation.cancel()
            it.checker.remember(it.ids)
            assert it.checker.judge(it.ids, {}, {}).flips == 0
            it.project.app.purge()
            assert it.checker.judge(it.ids, {}, {}).flips == 1
            it.accepted.clear()
            it.conclude()

    def test_a_scenario_that_is_not_as_promised_fails(self, scenario: MakeScenario) -> None:
        with scenario("checker-fails", "") as it:
            it.accept([it.jobs.work(1)])
            with pytest.raises(AssertionError, match='"ok": false, "lost": 1'):
                it.finish()


def test_who_is_killed_between_claim_and_effect_counts_from_there() -> None:
    claims = [*RAN, (Status.REROUTED, 1), (Status.PENDING, 2), (Status.REROUTED, 2), (Status.PENDING, 3), (Status.RUNNING, 3)]
    history = [attrs.evolve(each, status_record=named(each.status_record)) for each in entries(*claims)]
    lines = [line("i", 1, 10, 1.0), line("i", 3, 30, 9.0)]
    assert list(recoveries(history, lines, {10: 2.0})) == [7.0]
    assert list(recoveries(history, lines, {10: 2.0, 20: 6.0})) == [3.0]
    assert list(recoveries(history, lines, {10: 2.0, 20: 6.0, 99: 8.0})) == [3.0]


def named(record: StatusRecord) -> StatusRecord:
    return attrs.evolve(record, runner_id=f"Runner@host-{10 * record.claim}-nonce")


def line(invocation_id: str, claim: int, pid: int, at: float) -> Line:
    return Line("effect", "work", invocation_id, "r", claim, pid, at)


def test_what_outlives_its_runner_is_found_and_ended(scenario: MakeScenario) -> None:
    with scenario("checker-leak", "") as it:
        fleet = Fleet(it.project)
        with fleet:
            stray = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=fleet.variables())
            assert fleet.leaked() == [stray.pid]
        assert stray.wait(10.0) == -9
        assert state_of(stray.pid) == ""
        assert stray.stdin is not None
        stray.stdin.close()
        it.conclude()
