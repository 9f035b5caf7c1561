"""A process that submits is killed; and work that takes longer than any lease runs once."""

from __future__ import annotations

import threading
from collections import Counter
from random import Random

import pytest

from faults.conftest import MakeScenario
from faults.fleet import SWEEPS_ONLY
from faults.project import LEASE
from faults.runners import runners
from faults.scenario import Scenario
from faults.stores import stores
from pynenc_core.model import Query
from pynenc_core.status import Status
from pynenc_testkit.stores import eventually

BATCH = 200
PRODUCER = f"""
import os
from JOBS import FOLDER, work

acknowledged = os.open(FOLDER / "acknowledged", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
while True:
    ids = [each.invocation_id for each in work.parallelize([(0,)] * {BATCH})]
    os.write(acknowledged, "".join(each + "\\n" for each in ids).encode())
"""


@stores("sqlite", "redis")
@pytest.mark.parametrize("kills", [pytest.param(3, id="short"), pytest.param(50, marks=pytest.mark.full, id="full")])
def test_a_producer_killed_inside_a_batch(scenario: MakeScenario, kills: int, store: str) -> None:
    with scenario("F04", "thread", store, seed=4) as it:
        module = it.project.add_module("producer", PRODUCER)
        acknowledged = it.project.folder / "acknowledged"
        random = Random(it.seed)  # noqa: S311 - moments that can be repeated
        for _ in range(kills):
            before = acknowledged.stat().st_size if acknowledged.exists() else 0
            process = it.fleet.python("-m", module)
            eventually(lambda: acknowledged.exists() and acknowledged.stat().st_size > before, "a batch")  # noqa: B023 - asked at once
            threading.Event().wait(random.random() * 0.02)  # the moment of the kill
            process.kill()
            process.wait()
        ids = acknowledged.read_text().split()
        counts = Counter(record.invocation.batch_id for record in it.project.app.orchestrator.iterate(Query()))
        assert set(counts.values()) == {BATCH}
        assert sum(counts.values()) >= len(ids)
        it.accept(it.project.app.get_invocation(each) for each in ids[: int(2000 * it.store.share)])
        it.fleet.start("thread", 4)
        it.wait_until_final(60.0 / it.store.share)
        assert {each.status for each in it.accepted} == {Status.SUCCESS}
        it.finish(batches=len(counts), unacknowledged=len(counts) - len(ids) // BATCH)


@pytest.mark.full
@runners()
def test_a_task_of_five_leases(scenario: MakeScenario, runner: str) -> None:
    with scenario("F11", runner) as it:
        run_long(it, 5 * LEASE)


def run_long(it: Scenario, seconds: float) -> None:
    """A long task runs once, although another runner sweeps."""
    it.fleet.start(it.runner, 1)
    it.fleet.start("thread", 1, SWEEPS_ONLY)
    (long,) = it.accept([it.jobs.work(1, seconds)])
    it.wait_until_final(seconds + 20.0)
    assert it.record(long).state.claim == 1
    it.finish()
