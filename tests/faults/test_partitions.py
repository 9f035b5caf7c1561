"""The way between a runner and the store is cut without a sign of it: the runner notices, its work goes elsewhere, it comes back."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import pytest

from faults.conftest import MakeScenario
from faults.outages import NO_BEAT
from faults.project import LEASE, SWEEP
from faults.scenario import Scenario
from faults.stores import pairs, stores
from faults.test_zombies import refused_by
from pynenc_core.status import Status
from pynenc_testkit.servers.proxy import Proxy
from pynenc_testkit.stores import eventually

NOTICED = 10.0
"""Seconds within which a connection that has gone silent is noticed."""
STALL = 20.0
SLOTS = 2
RETAKEN = LEASE + SWEEP + 0.6
"""Seconds within which the work of a runner that is cut off runs elsewhere, as of one that died."""
UNTOLD = 5.0
"""Seconds after which a runner looks for work by itself: one that is cut off with a free slot may be told of it in its stead."""
QUICKLY = {"redis": {"reply_timeout_sec": 1.5}, "mongo": {"reply_timeout_sec": 1.5}}


@stores("redis", of=("redis", "mongo"))
def test_a_runner_cut_off_from_the_store(scenario: MakeScenario, store: str) -> None:
    with scenario("F17", "persistent-process", store, **{store: QUICKLY[store]}) as it:
        cut_off(it, seconds=0.0)


@pytest.mark.full
@pairs(over=("redis", "mongo"))
def test_a_runner_cut_off_from_the_store_for_20_s(scenario: MakeScenario, store: str, runner: str) -> None:
    with scenario("F17-full", runner, store, **{store: {}}) as it:  # whatever the defaults are
        cut_off(it, seconds=STALL)


def cut_off(it: Scenario, seconds: float) -> None:
    """Stall the connections of a runner that has work, for so long at least, until another one has taken that over."""
    port = urlsplit(it.project.url).port
    assert port is not None
    with Proxy(port) as proxy:
        cut = it.fleet.start(it.runner, SLOTS, {"PYNENC__URL": it.project.url.replace(str(port), str(proxy.port))}, crowd=1)
        count = SLOTS // it.kind.together(SLOTS, crowd=1)  # of several that ran together, only one is run again at a time
        held = it.accept([it.project.jobs.gated_by_claim("gate") for _ in range(count)])
        first = {line.runner for line in it.ledger.wait_for(count)}
        other = it.fleet.start(it.runner, SLOTS, crowd=1)
        with proxy.stalled():
            began = time.time()
            it.project.open_gate("gate-1")
            eventually(lambda: NO_BEAT in cut.said(), "a word about the silence", 3 * NOTICED)
            silent = time.time() - began
            retaken = it.ledger.wait_for(2 * count)[-1].at - began
            eventually(lambda: time.time() > began + seconds, "the end of the stall", seconds + 1.0)
        eventually(lambda: refused_by(cut) == set(it.ids), "a refusal of what the cut one did", 30.0)
        it.checker.remember(it.ids)
        it.project.open_gate("gate-2")
        it.wait_until_final()
        assert not {each.get_result().partition("/")[0] for each in held} & first
        assert other.stop() == 0
        again = it.accept([it.jobs.work(number) for number in range(2 * SLOTS)])
        it.wait_until_final()
        assert {each.status for each in again} == {Status.SUCCESS}
        assert cut.exit_code is None
        assert "Traceback" not in cut.said()
        it.finish(extra=count, noticed=round(silent, 2), retaken=round(retaken, 2), stalled=seconds)
    assert silent <= NOTICED
    assert retaken <= (RETAKEN + UNTOLD * (count < SLOTS)) * it.strain
