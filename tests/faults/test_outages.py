"""The store goes away and comes back, or only the way to it is cut: everybody goes on, and nobody alive is taken for dead."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from faults.conftest import MakeScenario
from faults.fleet import Host
from faults.outages import NO_BEAT, OUTAGES, Outage, Place, outages
from faults.runners import runners
from faults.scenario import Scenario
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.status import Status
from pynenc_testkit.stores import eventually

AWAY = 3.0
"""Seconds: more than a lease."""
CONSUMES = 2.0
"""Seconds within which waiting work is taken after the store is back."""


@outages("sqlite-held", "redis-killed")
def test_an_outage_ends_no_runner_and_recovers_no_living_workers_work(scenario: MakeScenario, outage: str, tmp_path: Path) -> None:
    chosen = OUTAGES[outage]
    with chosen.opened(tmp_path) as place, scenario("F14", "persistent-process", chosen.store, url=place.url, **chosen.sections) as it:
        be_away(it, place, chosen, AWAY)


@pytest.mark.full
@runners()
def test_work_is_taken_soon_after_a_long_outage(scenario: MakeScenario, runner: str, tmp_path: Path) -> None:
    chosen = OUTAGES["redis-killed"]
    with chosen.opened(tmp_path) as place, scenario("F14-long", runner, chosen.store, url=place.url) as it:
        be_away(it, place, chosen, 4 * AWAY)


def be_away(it: Scenario, place: Place, outage: Outage, seconds: float) -> None:
    """Let the store go away for so long while some tasks run and others wait."""
    hosts = [it.fleet.start(it.runner, 2) for _ in range(2)]
    runs = it.accept(it.jobs.gated.parallelize([("gate",)] * 4))
    it.ledger.wait_for(4)
    waits = it.accept(it.jobs.work.parallelize([(number,) for number in range(20)]))
    with place.away():
        live_through(it, hosts, outage, seconds)
    back = time.time()
    it.wait_until_final()
    took = min(line.at for line in it.ledger.lines(task="work")) - back
    states = [it.record(each).state for each in (*runs, *waits)]
    assert {(state.status, state.claim, state.crashes) for state in states} == {(Status.SUCCESS, 1, 0)}
    for host in hosts:
        assert host.exit_code is None
        assert host.said().count(NO_BEAT) <= 1
        assert "Traceback" not in host.said()
    it.finish(away=seconds, consuming_again=round(took, 2))
    assert took <= CONSUMES * it.strain


def live_through(it: Scenario, hosts: list[Host], outage: Outage, seconds: float) -> None:
    """While the store is away, let what runs come to its end, and the lease of everybody as well."""
    began = time.monotonic()
    if outage.said:
        eventually(lambda: all(NO_BEAT in host.said() for host in hosts), "a word about the outage")
    it.project.open_gate("gate")
    it.ledger.wait_for(4, what="passed")
    eventually(lambda: time.monotonic() > began + seconds, "the end of the outage", 2 * seconds)
    if outage.said:
        with pytest.raises(BackendUnavailableError, match=outage.said):
            it.jobs.work(99)
