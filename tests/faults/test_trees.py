"""Trees of tasks that wait for each other finish on one slot, and stay small."""

from __future__ import annotations

import pytest

from faults.conftest import MakeScenario
from faults.processes import peak_memory
from faults.runners import runners
from faults.scenario import Scenario
from pynenc_core.model import Query
from pynenc_core.status import Status

MOST = 300.0  # MiB


def finish_counted(it: Scenario, expected: int) -> None:
    """Everything below the accepted ones ended once as well, in the memory promised."""
    memory = max(peak_memory(pid) for host in it.fleet.living() for pid in host.tree)
    counts = it.project.app.state_backend.count(Query())
    assert counts == {Status.SUCCESS: expected}
    it.finish(invocations=expected, peak_mib=round(memory))
    assert memory < MOST


@pytest.mark.smoke
@runners("asyncio", "persistent-process", "process")
def test_a_tree_on_one_slot(scenario: MakeScenario, runner: str) -> None:
    with scenario("F20", runner) as it:
        grow(it, depth=6 if it.kind.forks else 10)


@pytest.mark.full
@runners()
def test_a_tree_of_depth_10_on_one_slot(scenario: MakeScenario, runner: str) -> None:
    with scenario("F20-full", runner) as it:
        grow(it, depth=10)


def grow(it: Scenario, depth: int) -> None:
    """Run a tree of tasks, each of which waits for two others."""
    it.fleet.start(it.runner, 1)
    (root,) = it.accept([it.jobs.tree(depth, 2)])
    it.wait_until_final(600.0 if it.kind.forks else 90.0)
    nodes = 2 ** (depth + 1) - 1
    assert root.get_result() == nodes
    finish_counted(it, nodes)


@runners("thread", "multi-thread")
def test_a_parent_of_many_children(scenario: MakeScenario, runner: str) -> None:
    with scenario("F21", runner) as it:
        join(it, children=100 if it.kind.forks else 2000, slots=4)


@pytest.mark.full
@runners()
@pytest.mark.parametrize("slots", [1, 4])
def test_a_parent_of_2000_children(scenario: MakeScenario, runner: str, slots: int) -> None:
    with scenario(f"F21-{slots}", runner) as it:
        join(it, children=2000, slots=slots)


def join(it: Scenario, children: int, slots: int) -> None:
    """Run a task that waits for so many others."""
    it.fleet.start(it.runner, slots)
    (parent,) = it.accept([it.jobs.parent_of(children)])
    it.wait_until_final(600.0 if it.kind.forks else 60.0)
    assert parent.get_result() == sum(range(children))
    finish_counted(it, children + 1)
