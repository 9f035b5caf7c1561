"""A runner that stood still past its lease comes back: what was recovered is no longer its own."""

from __future__ import annotations

import re
import time

import pytest

from faults.conftest import MakeScenario
from faults.fleet import SWEEPS_ONLY, Host
from faults.project import LEASE
from faults.runners import POOLS
from faults.scenario import Scenario
from faults.stores import pairs, stores
from pynenc_core.status import Status
from pynenc_testkit.stores import eventually

_LATE = re.compile("outcomes came too late.*: (.*)")


def stand_still(it: Scenario, host: Host, *pids: int) -> None:
    """Stop processes at a moment at which none of them holds a lock of the store's, which would stop everybody else as well."""
    host.stop_clock(*pids)
    while not it.store.free(it.project.url):
        host.go_on()
        host.stop_clock(*pids)


def refused_by(host: Host) -> set[str]:
    """Return the invocations whose outcome a runner says was refused."""
    return {invocation for line in _LATE.findall(host.said()) for invocation in line.split(", ")}


@pytest.mark.smoke
@stores("redis")
def test_a_zombie_writes_nothing(scenario: MakeScenario, store: str) -> None:
    with scenario("F07", "thread", store) as it:
        come_back(it, 50, crowd=1)


@pairs()
def test_a_zombie_of_50_writes_nothing(scenario: MakeScenario, runner: str, store: str) -> None:
    with scenario("F07-full", runner, store) as it:
        come_back(it, 50, crowd=10)


def come_back(it: Scenario, count: int, crowd: int) -> None:
    """Let a runner stand still for three leases while it runs so many."""
    zombie = it.fleet.start(it.runner, count, crowd=crowd)
    held = it.accept(it.jobs.gated.parallelize([("gate",)] * count))
    first = {line.runner for line in it.ledger.wait_for(count, timeout=180.0)}
    it.fleet.start("thread", count)
    stand_still(it, zombie)
    stopped = time.monotonic()
    it.project.open_gate("gate")
    it.wait_until_final()
    it.checker.remember(it.ids)
    eventually(lambda: time.monotonic() > stopped + 3 * LEASE, "the end of three leases", 4 * LEASE)
    zombie.go_on()
    it.ledger.wait_for(2 * count, what="passed")
    eventually(lambda: refused_by(zombie) == set(it.ids), "a refusal of each of its outcomes")
    assert not {each.get_result().partition("/")[0] for each in held} & first
    again = it.accept([it.jobs.gated("gate") for _ in range(count)])
    it.wait_until_final(60.0)
    assert {each.status for each in again} == {Status.SUCCESS}
    it.finish(extra=count, refused=len(refused_by(zombie)))


@stores()
def test_a_zombie_that_claimed_the_same_invocation_again(scenario: MakeScenario, store: str) -> None:
    with scenario("F07-same-runner", "thread", store) as it:
        zombie = it.fleet.start("thread", 4)
        (held,) = it.accept([it.jobs.gated_by_claim("gate")])
        (first,) = it.ledger.wait_for(1)
        it.fleet.start("thread", 1, SWEEPS_ONLY)
        stand_still(it, zombie)
        it.when(held, Status.REROUTED)
        zombie.go_on()
        _, second = it.ledger.wait_for(2)
        assert (second.runner, second.claim) == (first.runner, 2)
        it.project.open_gate("gate-1")
        eventually(lambda: refused_by(zombie) == {held.invocation_id}, "the refusal of the first claim's result")
        assert (it.record(held).state.status, it.record(held).state.claim) == (Status.RUNNING, 2)
        it.project.open_gate("gate-2")
        it.wait_until_final()
        assert held.get_result() == f"{first.runner}/2"
        it.finish(extra=1)


@stores("sqlite")
def test_a_zombie_hands_back_what_it_claimed_again(scenario: MakeScenario, store: str) -> None:
    with scenario("F07-same-runner-stops", "thread", store, grace=0.2) as it:
        zombie = it.fleet.start("thread", 4)
        (held,) = it.accept([it.jobs.gated_by_claim("gate")])
        it.ledger.wait_for(1)
        it.fleet.start("thread", 1, SWEEPS_ONLY)
        stand_still(it, zombie)
        it.when(held, Status.REROUTED)
        zombie.go_on()
        it.ledger.wait_for(2)
        it.project.open_gate("gate-1")
        eventually(lambda: refused_by(zombie) == {held.invocation_id}, "the refusal of the first claim's result")
        assert zombie.stop() == 0
        state = it.record(held).state
        assert (state.status, state.interruptions, state.claim) == (Status.REROUTED, 1, 2)
        it.fleet.start("thread", 1)
        it.project.open_gate("gate-3")
        it.wait_until_final()
        it.finish(extra=2)


@pairs("persistent-process-sqlite")
def test_a_waiting_parent_that_was_recovered_and_claimed_again(scenario: MakeScenario, runner: str, store: str) -> None:
    with scenario("F07-paused", runner, store) as it:
        zombie = it.fleet.start(runner, 1)
        (parent,) = it.accept([it.jobs.waits_for_gate("gate")])
        it.when(parent, Status.PAUSED)
        it.ledger.wait_for(1, task="gated")
        it.fleet.start("thread", 1, SWEEPS_ONLY)
        stand_still(it, zombie)
        it.when(parent, Status.REROUTED)
        it.project.open_gate("gate")
        zombie.go_on()
        it.wait_until_final()
        assert parent.status is Status.SUCCESS
        assert it.record(parent).state.crashes == 0
        it.finish(extra=1)


@pairs(of=POOLS)
def test_workers_of_a_runner_that_stands_still(scenario: MakeScenario, runner: str, store: str) -> None:
    """The parent gives their heartbeats: while it stands, its workers count as dead, and may not go on claiming."""
    with scenario("F07-parent-only", runner, store) as it:
        zombie = it.fleet.start(runner, 2)
        tasks = it.accept(it.jobs.work.parallelize([(number, 0.5) for number in range(36)]))
        it.ledger.wait_for(4)
        it.fleet.start("thread", 2)
        stand_still(it, zombie, zombie.pid)
        it.wait_until_final()
        zombie.go_on()
        assert {each.status for each in tasks} == {Status.SUCCESS}
        assert sum(it.record(each).state.crashes for each in tasks) <= 2
        it.finish(extra=2)
