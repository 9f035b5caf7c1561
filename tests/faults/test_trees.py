"""Trees of tasks that wait for each other finish on one slot, and stay small."""

from __future__ import annotations

import pytest

from faults.conftest import MakeScenario
from faults.processes import peak_memory
from faults.scenario import Scenario
from pynenc_core.model import Query
from pynenc_core.status import Status

RUNNERS = ("persistent-process", "thread", "asyncio")
MOST = 300.0  # MiB


def finish_counted(it: Scenario, expected: int) -> None:
    """Everything below the accepted ones ended once as well, in the memory promised."""
    memory = max(peak_memory(pid) for host in it.fleet.living() for pid in host.tree)
    counts = it.project.app.state_backend.count(Query())
    assert counts == {Status.SUCCESS: expected}
    it.finish(invocations=expected, peak_mib=round(memory))
    assert memory < MOST


@pytest.mark.smoke
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_tree_of_depth_10_on_one_slot(scenario: MakeScenario, runner: str) -> None:
    with scenario("F20", runner) as it:
        it.fleet.start(runner, 1)
        (root,) = it.accept([it.jobs.tree(10, 2)])
        it.wait_until_final(90.0)
        assert root.get_result() == 2047
        finish_counted(it, 2047)


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("slots", [1, 4])
def test_a_parent_of_2000_children(scenario: MakeScenario, runner: str, slots: int) -> None:
    with scenario(f"F21-{slots}", runner) as it:
        it.fleet.start(runner, slots)
        (parent,) = it.accept([it.jobs.parent_of(2000)])
        it.wait_until_final(60.0)
        assert parent.get_result() == sum(range(2000))
        finish_counted(it, 2001)
