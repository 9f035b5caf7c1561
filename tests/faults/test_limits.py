"""Time limits and cancellations among other work: each is stopped in time, and nothing else is lost or charged."""

from __future__ import annotations

from typing import Any

import pytest

from faults.conftest import MakeScenario
from faults.scenario import Scenario
from pynenc_core.model import InvocationHistory
from pynenc_core.status import Status

LATEST = 1.0  # seconds after its limit, or after the request, until it is told
IN_PROCESSES = {"persistent-process", "multi-thread", "process"}


def first(history: tuple[InvocationHistory, ...], status: Status) -> float:
    """When it first entered a status, by the store's clock."""
    return next(entry.at for entry in history if entry.status_record.status is status)


def run_f33(it: Scenario, slots: int, each: int) -> None:
    """Run overrunning tasks of each kind beside normal ones; all of them end well at their second attempt."""
    jobs = it.project.jobs
    ways = ["python", "sleep", *(["c"] if it.runner in IN_PROCESSES else [])]
    it.fleet.start(it.runner, slots)
    overrunning = it.accept(jobs.limited(way) for _ in range(each) for way in ways)
    overrunning += it.accept(jobs.limited_coroutine() for _ in range(each))
    normal = it.accept(it.jobs.work.parallelize([(number, 0.02) for number in range(40)]))
    it.wait_until_final(120.0)
    late = sorted(told_after(one) - jobs.LIMIT for one in overrunning)
    starves = it.runner == "multi-thread"  # the time of one passes while another one beside it keeps the interpreter's lock
    for one in overrunning:
        state = it.record(one).state
        assert (state.status, state.crashes) == (Status.SUCCESS, 0)
        assert state.attempts == 1 or (starves and state.attempts > 1)
    for one in normal:
        state = it.record(one).state
        assert (state.status, state.attempts, state.crashes) == (Status.SUCCESS, 0, 0)
    assert late[0] >= 0.0
    assert late[-1] <= LATEST * it.strain
    it.finish(extra=len(overrunning) * (1 + 4 * starves), late=round(late[-1], 2))


def told_after(invocation: Any) -> float:
    """Return how many seconds after its start it was told that the first attempt had failed."""
    history = invocation.history
    failed = first(history, Status.RETRY)
    started = [entry.at for entry in history if entry.status_record.status is Status.RUNNING and entry.at < failed]
    return float(failed - started[-1])  # it may have been interrupted before, by the end of one beside it


def run_f34(it: Scenario, slots: int) -> None:
    """Cancel what runs and what is queued behind it; the queued never start."""
    it.fleet.start(it.runner, slots, {"PYNENC__RUNNER__MAX_PROCESSES": "1"} if it.runner == "multi-thread" else None)
    ways = ["python", "sleep"] * slots
    running = it.accept(it.project.jobs.deaf(way) for way in ways[:slots])
    for one in running:
        it.when(one, Status.RUNNING)
    queued = it.accept(it.jobs.work.parallelize([(number, 0.0) for number in range(50)]))
    assert {str(one.cancel()) for one in queued} == {"cancelled"}
    asked = it.project.app.orchestrator.engine.state.now()
    assert {str(one.cancel()) for one in running} == {"requested"}
    after = it.accept([it.jobs.work(1, 0.0)])
    it.wait_until_final(30.0)
    told = max(first(one.history, Status.CANCELLED) - asked for one in running)
    assert told <= LATEST * it.strain
    assert {str(it.record(one).state.status) for one in (*running, *queued)} == {"CANCELLED"}
    assert not {line.invocation for line in it.ledger.lines(task="work")} & {one.invocation_id for one in queued}
    assert it.record(after[0]).state.status is Status.SUCCESS
    it.finish(told=round(told, 2))


@pytest.mark.smoke
@pytest.mark.parametrize(("runner", "slots"), [("persistent-process", 2), ("thread", 4)])
def test_what_overruns_among_other_work(scenario: MakeScenario, runner: str, slots: int) -> None:
    with scenario("F33", runner) as it:
        run_f33(it, slots, each=2)


@pytest.mark.full
@pytest.mark.parametrize(
    ("runner", "slots"), [("persistent-process", 2), ("thread", 4), ("multi-thread", 2), ("process", 2), ("asyncio", 4)]
)
def test_much_that_overruns_in_each_runner(scenario: MakeScenario, runner: str, slots: int) -> None:
    with scenario("F33-full", runner) as it:
        run_f33(it, slots, each=6)


@pytest.mark.smoke
@pytest.mark.parametrize(("runner", "slots"), [("persistent-process", 2), ("thread", 2)])
def test_what_is_cancelled_runs_no_more(scenario: MakeScenario, runner: str, slots: int) -> None:
    with scenario("F34", runner) as it:
        run_f34(it, slots)


@pytest.mark.full
@pytest.mark.parametrize("runner", ["multi-thread", "process", "asyncio"])
def test_what_is_cancelled_runs_no_more_in_the_others(scenario: MakeScenario, runner: str) -> None:
    with scenario("F34-full", runner) as it:
        run_f34(it, 2)
