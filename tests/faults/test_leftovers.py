"""What is finished is removed when its time is over, and leaves nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest

from faults.conftest import MakeScenario
from faults.project import PROFILE
from faults.scenario import Scenario
from faults.stores import stores
from pynenc_core.model import Query
from pynenc_testkit.stores import eventually

BATCH = 500
KEPT = 1.0
"""Seconds that a final invocation is kept."""
logger = logging.getLogger(__name__)
SECTIONS: Mapping[str, Mapping[str, object]] = {
    "orchestrator": {**PROFILE["orchestrator"], "auto_final_invocation_purge_hours": KEPT / 3600}
}


@stores("redis")
@pytest.mark.parametrize("tasks", [pytest.param(200, id="short"), pytest.param(20_000, marks=pytest.mark.full, id="full")])
def test_finished_tasks_leave_nothing(scenario: MakeScenario, store: str, tasks: int) -> None:
    with scenario("F24", "persistent-process", store, **SECTIONS) as it:
        count = int(tasks * it.store.share)
        host = it.fleet.start(it.runner, 2)
        run_and_forget(it, 100)
        services = it.project.app.state_backend.list_values
        eventually(lambda: "purging" in dict(services("service_execution")), "a note of the purge")  # it stays
        before = it.store.size(it.project.url, it.project.app.app_id)
        run_and_forget(it, count)
        baseline = {name: size * 1.01 for name, size in before.items()}
        try:
            eventually(lambda: not grown(it, baseline), f"the size from before, {before},", 30.0)
        finally:
            after = it.store.size(it.project.url, it.project.app.app_id)
            logger.info("what is stored: %s", after)
        assert host.stop() == 0
        it.conclude(leaked=it.fleet.leaked(), tasks=count, before=before, after=after)


def grown(it: Scenario, baseline: Mapping[str, float]) -> list[str]:
    """Return of what there is more than before."""
    now = it.store.size(it.project.url, it.project.app.app_id)
    return [name for name, size in now.items() if size > baseline.get(name, 0)]


def run_and_forget(it: Scenario, count: int) -> None:
    """Run so many tasks, until the store knows none of them."""
    expected = it.ledger.length
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        it.jobs.work.parallelize([(number,) for number in range(size // 2)])
        it.jobs.fails_once.parallelize([(number,) for number in range(size - size // 2)])
        expected += size // 2 + 2 * (size - size // 2)
    eventually(lambda: it.ledger.length >= expected, "the end of each", 300.0)
    eventually(lambda: not it.project.app.state_backend.count(Query()), "the end of what is kept", 120.0)
    assert it.ledger.length == expected
