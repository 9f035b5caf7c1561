"""What every runner does, shown by `pynenc runner start` in a process of its own."""

from __future__ import annotations

import itertools
import pickle
import stat
import time
from collections import Counter
from typing import Any, ClassVar

import pytest

from pynenc_core.ports.runner import BaseRunner
from pynenc_core.status import Status
from pynenc_testkit.contracts.runner_subject import MakeProject, RunnerSubject
from pynenc_testkit.contracts.timeouts import CancelRules, TimeoutRules
from pynenc_testkit.projects import START, Project
from pynenc_testkit.stores import Background, eventually

CLAIMS_NO_MORE = 1.0
"""Seconds after which a runner that was asked to stop claims nothing any more."""


class OutcomeRules(RunnerSubject):
    """Each invocation runs once and has one outcome, whatever its body does."""

    def test_each_of_many_runs_once_on_two_runners(self, projects: MakeProject) -> None:
        project = projects(2)
        project.start()
        project.start()
        group = project.jobs.add.parallelize([(number, number) for number in range(60)])
        assert group.ordered_results(START) == [2 * number for number in range(60)]
        assert Counter(project.ledger()) == Counter(f"add {number} {number}" for number in range(60))
        assert project.jobs.async_add(1, 2).get_result(START) == 3

    def test_no_more_run_at_once_than_there_are_slots(self, projects: MakeProject) -> None:
        project = projects(2)
        project.start()
        group = project.jobs.hold.parallelize([(f"h{number}", 0.1) for number in range(8)])
        assert sorted(group.iter_results(START)) == [f"h{number}" for number in range(8)]
        steps = [1 if line.startswith("+") else -1 for line in project.ledger()]
        assert max(itertools.accumulate(steps)) == min(2, self.most_slots or 2)

    def test_raising_and_exiting_bodies_end_in_failure_and_the_runner_goes_on(self, projects: MakeProject) -> None:
        project = projects(1)
        runner = project.start()
        failed, left = project.jobs.fail("told"), project.jobs.leave(3)
        with pytest.raises(ValueError, match="told"):
            failed.get_result(START)
        with pytest.raises(BaseException) as caught:  # noqa: PT011 - which error an exit is told as is the core's choice
            left.get_result(START)
        assert not isinstance(caught.value, AssertionError | KeyboardInterrupt)
        assert project.jobs.add(1, 1).get_result(START) == 2
        assert (failed.status, left.status, runner.exit_code) == (Status.FAILED, Status.FAILED, None)
        assert Counter(project.ledger()) == Counter(["fail told", "leave 3", "add 1 1"])

    def test_a_process_that_a_body_forks_has_no_say_and_can_be_terminated(self, projects: MakeProject) -> None:
        project = projects(1)
        project.start()
        ways = ("return", "exit", "terminate")
        assert [project.jobs.fork(way).get_result(START) for way in ways] == [0, 3, -15]
        assert project.jobs.async_fork("return").get_result(START) == 0

    def test_a_killed_body_is_charged_with_a_crash_and_runs_again(self, projects: MakeProject) -> None:
        project = projects(1)
        runner = project.start()
        killed = project.jobs.die_once("victim")
        project.noted("die_once victim")
        if not self.own_processes:
            assert runner.wait() == -9
            runner = project.start()
        assert killed.get_result(START) == "victim"
        state = killed.record.state
        assert (state.status, state.crashes, state.attempts, state.interruptions) == (Status.SUCCESS, 1, 0, 0)
        assert Status.RUNNING_RECOVERY in [entry.status_record.status for entry in killed.history]
        assert project.ledger() == ["die_once victim"] * 2
        assert runner.exit_code is None

    def test_what_is_registered_in_a_task_names_it_and_its_runner(self, projects: MakeProject) -> None:
        project = projects(1)
        project.start()
        invocation = project.jobs.parent(3)
        child_id, _ = invocation.get_result(START)
        child = project.app.get_invocation(child_id)
        assert child.get_result(START) == 6
        first, running = child.history[0], next(entry for entry in invocation.history if entry.status_record.status is Status.RUNNING)
        assert first.registered_by == invocation.invocation_id
        assert first.runner_context_id == running.status_record.runner_id
        assert child.workflow.workflow_id == invocation.invocation_id


class WaitRules(RunnerSubject):
    """Waiting for other invocations holds no slot."""

    tree: ClassVar[tuple[int, int]] = (10, 2)
    """Depth and width of the tree of tasks that must finish on one slot."""

    def test_a_tree_of_tasks_finishes_on_one_slot(self, projects: MakeProject) -> None:
        project = projects(1)
        runner = project.start()
        depth, width = self.tree
        expected = sum(width**level for level in range(depth + 1))
        assert project.jobs.tree(depth, width).get_result(START * 4) == expected
        assert runner.stop() == 0

    @pytest.mark.parametrize("slots", [1, 3])
    def test_a_tree_of_coroutines_and_plain_functions_finishes(self, projects: MakeProject, slots: int) -> None:
        project = projects(slots)
        project.start()
        coroutine, plain = project.jobs.async_tree(4, 2), project.jobs.plain_tree(3, 2)
        assert (coroutine.get_result(START * 4), plain.get_result(START * 4)) == (31, 15)
        passed = [entry.status_record.status for entry in coroutine.history]
        if slots == 1:  # where others have slots, what it awaits may be final before it has asked
            assert Status.PAUSED in passed, "a coroutine that awaits another invocation gives its slot up"


class StopRules(RunnerSubject):
    """A runner that is asked to stop claims nothing more, lets what runs end, hands back the rest, and leaves nothing."""

    def test_a_stop_drains_and_exits_with_0(self, projects: MakeProject) -> None:
        project = projects(1)
        runner = project.start()
        runs = project.jobs.wait_for_gate("runs")
        project.noted("+ runs")
        waits = project.jobs.add(1, 1)
        runner.ask_to_stop()
        asked = time.monotonic()
        eventually(lambda: time.monotonic() > asked + CLAIMS_NO_MORE, "the end of the second in which it may still claim", START)
        project.open_gate()
        assert runner.wait() == 0
        assert (runs.status, waits.status) in {(Status.SUCCESS, Status.REGISTERED), (Status.SUCCESS, Status.REROUTED)}
        assert project.ledger() == ["+ runs", "- runs"]
        assert runs.record.state.interruptions == 0

    def test_what_waits_ends_with_a_result_that_comes_during_the_grace(self, projects: MakeProject) -> None:
        project = projects(1)
        runner = project.start()
        waits = project.jobs.await_gate("runs")
        project.noted("+ runs")
        runner.ask_to_stop()
        eventually(lambda: "sigterm" in runner.log.read_text(), "the report of the stop", START)
        project.open_gate()
        assert runner.wait() == 0
        assert (waits.status, waits.record.state.interruptions) == (Status.SUCCESS, 0)

    def test_what_does_not_end_in_time_is_handed_back_and_runs_elsewhere(self, projects: MakeProject) -> None:
        project = projects(1, grace_period_sec=0.3)
        runner = project.start()
        stuck = project.jobs.wait_for_gate("stuck")
        project.noted("+ stuck")
        assert runner.stop() == 0
        state = stuck.record.state
        assert (state.status, state.interruptions, state.attempts, state.crashes) == (Status.REROUTED, 1, 0, 0)
        project.open_gate()
        project.start()
        assert stuck.get_result(START) == "stuck"
        assert project.ledger() == ["+ stuck", "+ stuck", "- stuck"]

    def test_a_second_signal_hands_back_at_once(self, projects: MakeProject) -> None:
        project = projects(1, grace_period_sec=1000.0)
        runner = project.start()
        stuck = project.jobs.wait_for_gate("stuck")
        project.noted("+ stuck")
        runner.ask_to_stop()
        eventually(lambda: "sigterm" in runner.log.read_text(), "the first signal's report", START)
        runner.ask_to_stop()
        assert runner.wait() == 0
        assert (stuck.status, stuck.record.state.interruptions) == (Status.REROUTED, 1)

    def test_nothing_is_left_behind(self, projects: MakeProject) -> None:
        project = projects(2)
        runner = project.start()
        assert project.jobs.add(1, 2).get_result(START) == 3
        assert runner.stop() == 0
        assert runner.leaves_nothing(), "processes of the runner are left"
        assert project.app.orchestrator.engine.state.beats() == (), "the runner still counts as alive"
        project.app.close()
        sockets = [path.name for path in project.folder.rglob("*") if stat.S_ISSOCK(path.stat().st_mode)]
        assert sockets == []

    def test_an_idle_runner_stops_at_once(self, projects: MakeProject) -> None:
        project = projects(2, idle_claim_timeout_sec=1000.0)
        runner = project.start()
        assert project.jobs.add(1, 2).get_result(START) == 3
        assert runner.stop() == 0


class ObjectRules(RunnerSubject):
    """The runner as an object in this process."""

    def _made(self, project: Project) -> BaseRunner:
        made = project.app.make_runner()
        assert isinstance(made, BaseRunner)
        return made

    def test_it_has_as_many_slots_as_it_was_given(self, projects: MakeProject) -> None:
        found = [self._made(projects(slots)).max_parallel_slots for slots in (1, 3)]
        assert found == [min(slots, self.most_slots or slots) for slots in (1, 3)]

    def test_wait_until_stopped_tells_whether_it_runs(self, projects: MakeProject) -> None:
        project = projects(1)
        runner = self._made(project)
        assert runner.wait_until_stopped(0.0)
        assert self._runs_one(project, runner) == 2
        assert runner.wait_until_stopped(0.0)

    def test_it_survives_pickling(self, projects: MakeProject) -> None:
        project = projects(1)
        runner = self._made(project)
        copy: Any = pickle.loads(pickle.dumps(runner))  # noqa: S301 - our own, made a moment ago
        assert (type(copy), copy.runner_id) == (type(runner), runner.runner_id)
        assert copy.wait_until_stopped(0.0)
        assert self._runs_one(project, copy) == 2

    def _runs_one(self, project: Project, runner: BaseRunner) -> object:
        runs = Background(runner.run)
        try:
            result = project.jobs.add(1, 1).get_result(START)
            assert not runner.wait_until_stopped(0.0)
        finally:
            runner.stop_runner_loop()
            runs.result(START)
        return result


class RunnerContract(OutcomeRules, WaitRules, StopRules, ObjectRules, TimeoutRules, CancelRules):
    """What every runner does; give `runner`, and `own_processes = False` where tasks run in the runner's own process."""
