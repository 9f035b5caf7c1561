"""Time limits and cancellations among other work: each is stopped in time, and nothing else is lost or charged."""

from __future__ import annotations

from typing import Any

import pytest

from faults.conftest import MakeScenario
from faults.runners import ALONE, KINDS, runners
from faults.scenario import Scenario
from pynenc_core.errors.invocations import HardTimeoutError
from pynenc_core.invocation import Invocation
from pynenc_core.model import InvocationHistory
from pynenc_core.status import Status

SLOTS = 4
LATEST = 1.0  # seconds after its limit, or after the request, until it is told


def first(history: tuple[InvocationHistory, ...], status: Status) -> float:
    """When it first entered a status, by the store's clock."""
    return next(entry.at for entry in history if entry.status_record.status is status)


@pytest.mark.smoke
@runners(*KINDS)
def test_what_overruns_among_other_work(scenario: MakeScenario, runner: str) -> None:
    with scenario("F33", runner) as it:
        run_f33(it, each=1, normals=40)


@pytest.mark.full
@runners()
def test_much_that_overruns(scenario: MakeScenario, runner: str) -> None:
    with scenario("F33-full", runner) as it:
        run_f33(it, each=20, normals=200)


def run_f33(it: Scenario, each: int, normals: int) -> None:
    """Run overrunning tasks of each kind beside normal ones; all of them end well at their second attempt."""
    jobs = it.project.jobs
    ways = ["python", "sleep", *(["c"] if it.kind.pool else [])]
    host = it.fleet.start(it.runner, SLOTS)
    overrunning = it.accept(jobs.limited(way) for _ in range(each) for way in ways)
    overrunning += it.accept(jobs.limited_coroutine() for _ in range(each))
    normal = it.accept(it.jobs.work.parallelize([(number, 0.02) for number in range(normals)]))
    it.wait_until_final(180.0)
    late = sorted(told_after(one) - jobs.LIMIT for one in overrunning)
    starves = it.kind.pool and it.kind.together(SLOTS) > 1  # the time of one passes while one beside it keeps the interpreter's lock
    for one in overrunning:
        state = it.record(one).state
        assert (state.status, state.crashes) == (Status.SUCCESS, 0)
        assert state.attempts == 1 or (starves and state.attempts > 1)
    for one in normal:
        state = it.record(one).state
        assert (state.status, state.attempts, state.crashes) == (Status.SUCCESS, 0, 0)
    assert host.exit_code is None
    assert late[0] >= 0.0
    assert late[-1] <= LATEST * it.strain
    it.finish(extra=len(overrunning) * (1 + 4 * starves), overran=len(overrunning), late=round(late[-1], 2))


def told_after(invocation: Invocation[Any]) -> float:
    """Return how many seconds after its start it was told that the first attempt had failed."""
    history = invocation.history
    failed = first(history, Status.RETRY)
    started = [entry.at for entry in history if entry.status_record.status is Status.RUNNING and entry.at < failed]
    return failed - started[-1]  # it may have been interrupted before, by the end of one beside it


@pytest.mark.full
@runners(of=ALONE)
def test_c_code_that_nothing_can_stop_holds_up_its_runner_and_ends_all_the_same(scenario: MakeScenario, runner: str) -> None:
    with scenario("F33-standstill", runner) as it:
        host = it.fleet.start(it.runner, SLOTS)
        (still,) = it.accept([it.jobs.stands_still(1.0)])
        normal = it.accept(it.jobs.work.parallelize([(number, 0.02) for number in range(40)]))
        it.wait_until_final()
        with pytest.raises(HardTimeoutError):
            still.get_result()
        states = [it.record(each).state for each in normal]
        assert {(state.status, state.attempts, state.crashes) for state in states} == {(Status.SUCCESS, 0, 0)}
        assert host.exit_code is None
        it.finish()


@pytest.mark.smoke
@runners("thread", "process")
def test_what_is_cancelled_runs_no_more(scenario: MakeScenario, runner: str) -> None:
    with scenario("F34", runner) as it:
        run_f34(it, queued=50)


@pytest.mark.full
@runners()
def test_much_that_is_cancelled_runs_no_more(scenario: MakeScenario, runner: str) -> None:
    with scenario("F34-full", runner) as it:
        run_f34(it, queued=500)


def run_f34(it: Scenario, queued: int) -> None:
    """Cancel what runs and what is queued behind it; the queued never start."""
    it.fleet.start(it.runner, SLOTS)
    jobs = it.project.jobs
    running = it.accept([jobs.endless("python"), jobs.endless("sleep"), jobs.endless_coroutine(), jobs.endless_coroutine()])
    it.ledger.wait_for(SLOTS)
    waiting = it.accept(it.jobs.work.parallelize([(number,) for number in range(queued)]))
    assert {str(one.cancel()) for one in waiting} == {"cancelled"}
    asked = it.project.app.state_backend.now()
    assert {str(one.cancel()) for one in running} == {"requested"}
    it.wait_until_final()
    told = max(first(one.history, Status.CANCELLED) - asked for one in running)
    assert {one.status for one in it.accepted} == {Status.CANCELLED}
    it.ledger.wait_for(SLOTS - 1, what="told")  # no word reaches a sleeping call
    (after,) = it.accept([it.jobs.work(1)])
    it.wait_until_final()
    assert after.status is Status.SUCCESS
    assert {line.invocation for line in it.ledger.lines()} == {one.invocation_id for one in [*running, after]}
    it.finish(told=round(told, 2), cancelled=len(running) + queued)
    assert told <= LATEST * it.strain
