"""How many processes there are: always the most, or as many as there is work for."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from pynenc_core.ports.runner import BaseRunner
from pynenc_core.status import Status
from pynenc_testkit.contracts.runner_subject import MakeProject, making_projects
from pynenc_testkit.projects import START
from pynenc_testkit.stores import eventually


@pytest.fixture
def projects() -> Iterator[MakeProject]:
    with making_projects("multi-thread") as make:
        yield make


def living(runner: BaseRunner) -> list[int]:
    """The pids of its workers that are alive."""
    return [child.pid for child in runner.children() if child.alive]


def test_the_greatest_number_runs_from_the_start_where_it_is_enforced(projects: MakeProject) -> None:
    with projects(max_processes=3).running() as runner:
        eventually(lambda: len(living(runner)) == 3, "three workers")


def test_work_that_waits_brings_more_processes_and_idleness_ends_them(projects: MakeProject) -> None:
    project = projects(enforce_max_processes=False, min_processes=1, max_processes=3, max_threads=2, idle_timeout_process_sec=0.5)
    with project.running() as runner:
        eventually(lambda: len(living(runner)) == 1, "the least number of workers", START)
        group = project.jobs.wait_for_gate.parallelize([(f"g{number}",) for number in range(5)])
        eventually(lambda: len(project.ledger()) == 5, "five at once on three workers with two threads each", START)
        assert len(living(runner)) == 3
        project.open_gate()
        assert sorted(group.iter_results(START)) == [f"g{number}" for number in range(5)]
        eventually(lambda: len(living(runner)) == 1, "idle workers to end", START)
        eventually(lambda: len(runner.children()) == 1, "the others, which ended as they should, to be forgotten", START)
        assert project.jobs.add(1, 2).get_result(START) == 3


def test_no_more_processes_start_than_work_waits_for(projects: MakeProject) -> None:
    project = projects(enforce_max_processes=False, max_processes=4, max_threads=2)
    with project.running() as runner:
        project.jobs.wait_for_gate.parallelize([(f"g{number}",) for number in range(3)])
        eventually(lambda: len(project.ledger()) == 3, "three at once", START)
        assert len(living(runner)) == 2
        project.open_gate()


def test_a_dead_process_is_replaced_and_its_work_handed_on_at_once(projects: MakeProject) -> None:
    project = projects(max_processes=1, max_threads=2)
    with project.running() as runner:
        first, second = project.jobs.wait_for_gate("one"), project.jobs.wait_for_gate("two")
        project.noted("+ one")
        project.noted("+ two")
        (before,) = living(runner)
        os.kill(before, signal.SIGKILL)
        # Both are suspects: from now on they run one at a time, until each has ended once.
        eventually(lambda: len(project.ledger()) == 3, "one of the two to run again", START)
        project.open_gate()
        assert {first.get_result(START), second.get_result(START)} == {"one", "two"}
        assert living(runner) != [before]
        assert [Status.RUNNING_RECOVERY in [entry.status_record.status for entry in each.history] for each in (first, second)] == [
            True,
            True,
        ]
        assert (first.record.state.crashes, second.record.state.crashes) == (0, 0)
