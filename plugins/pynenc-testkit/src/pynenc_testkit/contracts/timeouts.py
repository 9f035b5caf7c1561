"""What a runner does with a task whose time is up, or that is cancelled: in Python code, in C code, in a sleeping call, in a coroutine.

Each test holds one cell of the table in the how-to page on timeouts.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from pynenc_core.errors.invocations import HardTimeoutError
from pynenc_core.status import Status
from pynenc_testkit.contracts.runner_subject import MakeProject, RunnerSubject
from pynenc_testkit.projects import START, Project
from pynenc_testkit.stores import eventually

LATEST = 1.0
"""Seconds after its limit within which an outcome is told, and after a request within which it is answered."""
LONG = START * 2
"""Seconds that a body takes which nobody ends."""
C_CALL = 3.0
"""Seconds of a call that must be waited for, since nothing can end it."""


def seconds_between(invocation: Any, first: Status, last: Status) -> float:
    """Return how long after its last entry into one status an invocation entered another, by the store's clock."""
    times = {entry.status_record.status: entry.at for entry in invocation.history}
    return float(times[last] - times[first])


def goes_on(project: Project) -> bool:
    """Return whether the runner works on other things."""
    return bool(project.jobs.add(1, 2).get_result(START) == 3)


def process_of(project: Project, name: str) -> int:
    """Return the process in which `take_time` of that name runs, or ran."""
    return int((project.folder / f"{name}.pid").read_text())


def is_alive(pid: int) -> bool:
    """Return whether there is such a process; one that has ended and was not buried yet is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class TimeoutRules(RunnerSubject):
    """Time limits: one slot, so that a runner that does not get it back does not go on."""

    def _overruns(self, project: Project, invocation: Any) -> float:
        """Wait for the outcome of one that overruns; return how many seconds after its limit it was told."""
        with pytest.raises(HardTimeoutError, match="was stopped"):
            invocation.get_result(LONG)
        state = invocation.record.state
        assert (state.status, state.attempts, state.crashes, state.interruptions) == (Status.FAILED, 1, 0, 0)
        return seconds_between(invocation, Status.RUNNING, Status.FAILED) - float(project.jobs.LIMIT)

    def test_python_code_is_stopped_at_its_hard_limit(self, projects: MakeProject) -> None:
        project = projects(1)
        project.start()
        late = self._overruns(project, project.jobs.limited("loop", "python", LONG))
        assert 0.0 <= late < LATEST
        project.noted("- loop")
        assert goes_on(project)

    def test_a_coroutine_is_stopped_at_its_hard_limit(self, projects: MakeProject) -> None:
        project = projects(1)
        project.start()
        late = self._overruns(project, project.jobs.async_limited("coroutine", LONG))
        assert 0.0 <= late < LATEST
        project.noted("- coroutine")
        assert goes_on(project)

    def test_a_sleeping_call_is_left_behind_at_its_hard_limit_and_its_process_replaced(self, projects: MakeProject) -> None:
        project = projects(1)
        runner = project.start()
        late = self._overruns(project, project.jobs.limited("sleeper", "sleep", LONG))
        assert 0.0 <= late < LATEST
        assert goes_on(project)
        if self.own_processes:
            eventually(lambda: not is_alive(process_of(project, "sleeper")), "the end of its process", START)
        assert runner.exit_code is None
        assert runner.stop() == 0
        assert "- sleeper" not in project.ledger()

    def test_c_code_that_keeps_the_interpreters_lock_is_killed_or_waited_for(self, projects: MakeProject) -> None:
        project = projects(1)
        runner = project.start()
        late = self._overruns(project, project.jobs.limited("sum", "c", LONG if self.own_processes else C_CALL))
        if self.own_processes:
            assert 0.0 <= late < LATEST
            eventually(lambda: not is_alive(process_of(project, "sum")), "the end of its process", START)
            assert "- sum" not in project.ledger()
        else:
            assert late > project.jobs.LIMIT  # told when it has returned, whatever it returned
        assert goes_on(project)
        assert runner.exit_code is None

    def test_what_runs_beside_it_is_not_charged(self, projects: MakeProject) -> None:
        project = projects(2)
        project.start()
        beside = project.jobs.wait_for_gate("beside")
        project.noted("+ beside")
        if self.most_slots == 1:
            project.open_gate()  # nothing runs beside anything there
        self._overruns(project, project.jobs.limited("sum", "c", C_CALL))
        assert goes_on(project)
        project.open_gate()
        assert beside.get_result(START) == "beside"
        state = beside.record.state
        assert (state.attempts, state.crashes) == (0, 0)

    def test_the_soft_limit_is_raised_in_python_code(self, projects: MakeProject) -> None:
        project = projects(1)
        project.start()
        invocation = project.jobs.asked_to_end("loop", "python", LONG)
        assert invocation.get_result(LONG) == "told"
        assert 0.0 <= seconds_between(invocation, Status.RUNNING, Status.SUCCESS) - project.jobs.LIMIT < LATEST

    def test_the_soft_limit_is_raised_where_a_coroutine_awaits(self, projects: MakeProject) -> None:
        project = projects(1)
        project.start()
        invocation = project.jobs.async_asked_to_end("coroutine", LONG)
        assert invocation.get_result(LONG) == "told"
        assert 0.0 <= seconds_between(invocation, Status.RUNNING, Status.SUCCESS) - project.jobs.LIMIT < LATEST

    @pytest.mark.parametrize("way", ["sleep", "c"])
    def test_the_soft_limit_is_raised_when_a_call_returns(self, projects: MakeProject, way: str) -> None:
        project = projects(1)
        project.start()
        invocation = project.jobs.asked_to_end("call", way, 1.5)
        assert invocation.get_result(LONG) == "told"
        assert seconds_between(invocation, Status.RUNNING, Status.SUCCESS) > 2 * project.jobs.LIMIT

    def test_waiting_for_others_takes_no_time(self, projects: MakeProject) -> None:
        project = projects(1)
        project.start()
        assert project.jobs.waits("child", 3 * project.jobs.LIMIT).get_result(START) == "child"


class CancelRules(RunnerSubject):
    """A request to cancel: what is queued never starts, what runs is told within a second."""

    def _cancelled(self, project: Project, invocation: Any, name: str) -> None:
        """Cancel one that runs, and wait until the answer is stored."""
        project.noted(f"+ {name}")
        assert str(invocation.cancel("enough")) == "requested"
        eventually(lambda: invocation.status is Status.CANCELLED, "the answer", LATEST + 0.5)

    def test_what_is_queued_never_starts(self, projects: MakeProject) -> None:
        project = projects(1)
        project.start()
        runs = project.jobs.wait_for_gate("runs")
        project.noted("+ runs")
        queued = [project.jobs.add(number, 0) for number in range(5)]
        assert {str(each.cancel()) for each in queued} == {"cancelled"}
        project.open_gate()
        assert runs.get_result(START) == "runs"
        assert goes_on(project)
        assert project.ledger() == ["+ runs", "- runs", "add 1 2"]

    def test_python_code_is_told(self, projects: MakeProject) -> None:
        project = projects(1)
        project.start()
        self._cancelled(project, project.jobs.unlimited("loop", "python", LONG), "loop")
        project.noted("- loop")
        assert goes_on(project)

    def test_a_coroutine_is_told(self, projects: MakeProject) -> None:
        project = projects(1)
        project.start()
        self._cancelled(project, project.jobs.async_unlimited("coroutine", LONG), "coroutine")
        project.noted("- coroutine")
        assert goes_on(project)

    def test_a_sleeping_call_is_left_behind_after_a_while(self, projects: MakeProject) -> None:
        project = projects(1)
        runner = project.start()
        self._cancelled(project, project.jobs.unlimited("sleeper", "sleep", LONG), "sleeper")
        assert goes_on(project)
        if self.own_processes:
            eventually(lambda: not is_alive(process_of(project, "sleeper")), "the end of its process", START)
        assert runner.exit_code is None
        assert runner.stop() == 0
        assert "- sleeper" not in project.ledger()

    def test_c_code_that_keeps_the_interpreters_lock_is_told_when_it_returns(self, projects: MakeProject) -> None:
        project = projects(1)
        project.start()
        invocation = project.jobs.unlimited("sum", "c", C_CALL)
        project.noted("+ sum")
        assert str(invocation.cancel()) == "requested"
        eventually(lambda: invocation.is_final, "the answer or the result", START)
        assert goes_on(project)
        assert project.ledger().count("+ sum") == 1
