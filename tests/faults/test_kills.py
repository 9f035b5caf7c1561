"""Workers and whole runners are killed; what they ran runs again, and nothing else does."""

from __future__ import annotations

import pytest

from faults.conftest import MakeScenario
from faults.project import LEASE, SWEEP
from pynenc_core.status import Status
from pynenc_testkit.stores import eventually

BOTH = ("persistent-process", "thread")


def test_a_worker_killed_amid_500_tasks(scenario: MakeScenario) -> None:
    with scenario("kill-one-of-500", "persistent-process") as it:
        host = it.fleet.start(it.runner, 2)
        group = it.accept(it.jobs.work.parallelize([(number, 0.01) for number in range(500)]))
        it.ledger.wait_for(100)
        host.kill(host.workers[0])
        it.wait_until_final()
        assert [each.get_result() for each in group] == list(range(500))
        found = it.finish(extra=1, recovery=1.0)
        assert sum(it.record(each).state.crashes for each in group) == found.duplicated


@pytest.mark.parametrize("runner", BOTH)
def test_a_whole_runner_killed_and_another_one_started(scenario: MakeScenario, runner: str) -> None:
    with scenario("kill-the-tree", runner) as it:
        host = it.fleet.start(runner, 2)
        it.accept(it.jobs.work.parallelize([(number, 0.05) for number in range(60)]))
        it.ledger.wait_for(20)
        host.kill()
        it.fleet.start(runner, 2)
        it.wait_until_final()
        it.finish(extra=2, recovery=LEASE + SWEEP + 2.0)
