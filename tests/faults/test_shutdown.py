"""Runners that are asked to stop: what can end does, the rest runs elsewhere, and nobody is charged."""

from __future__ import annotations

import time
from itertools import pairwise
from random import Random

import pytest

from faults.conftest import MakeScenario
from faults.fleet import Host
from faults.runners import runners
from faults.scenario import Scenario
from faults.stores import pairs
from pynenc_core.model import InvocationHistory
from pynenc_core.status import Status
from pynenc_testkit.stores import eventually

GIVEN_BACK = frozenset({Status.KILLED, Status.REROUTED})


def histories(it: Scenario) -> list[tuple[InvocationHistory, ...]]:
    return [each.history for each in it.accepted]


def gaps(it: Scenario) -> list[float]:
    """Return the seconds between each handing back and the next start."""
    found = []
    for entries in histories(it):
        for before, after in pairwise(entries):
            if before.status_record.status is Status.REROUTED and after.status_record.status is Status.PENDING:
                found.append(after.at - before.at)
    return found


def claims_later_than(it: Scenario, host: Host, instant: float) -> int:
    """Return how often a runner or its workers claimed after an instant."""
    entries = [entry for each in histories(it) for entry in each if entry.status_record.status is Status.PENDING]
    return sum(entry.at > instant and f"-{host.pid}-" in entry.status_record.runner_id for entry in entries)


@runners("persistent-process")
def test_a_stop_drains_hands_back_and_exits_with_0(scenario: MakeScenario, runner: str) -> None:
    with scenario("sigterm", runner, grace=2.0) as it:
        host = it.fleet.start(runner, 3)
        short, long = it.accept([it.jobs.gated("short"), it.jobs.gated("long")])
        (parent,) = it.accept([it.jobs.waits_for_gate("long")])
        it.when(parent, Status.PAUSED)
        it.ledger.wait_for(3, task="gated")
        (waiting,) = it.accept([it.jobs.gated("short")])
        asked = host.ask_to_stop()
        it.project.open_gate("short")
        it.when(short, Status.SUCCESS)
        assert host.wait(10.0) == 0
        states = [it.record(each).state for each in (long, parent, waiting)]
        assert [state.status for state in states] == [Status.REROUTED, Status.REROUTED, waiting.status]
        assert waiting.status in {Status.REGISTERED, Status.REROUTED, Status.SUCCESS}
        assert [state.interruptions for state in states[:2]] == [1, 1]
        assert claims_later_than(it, host, asked + it.strain) == 0
        it.project.open_gate("long")
        it.fleet.start(runner, 3)
        it.wait_until_final()
        counters = {(state.crashes, state.attempts) for state in (it.record(each).state for each in it.accepted)}
        assert counters == {(0, 0)}
        it.finish(extra=4)


@runners("process")
def test_a_second_signal_hands_back_at_once(scenario: MakeScenario, runner: str) -> None:
    with scenario("sigterm-twice", runner, grace=1000.0) as it:
        host = it.fleet.start(runner, 2)
        held = it.accept([it.jobs.gated("gate"), it.jobs.waits_for_gate("gate")])
        it.ledger.wait_for(3)
        host.ask_to_stop()
        eventually(lambda: "sigterm" in host.said(), "the report of the first signal")
        asked = host.ask_to_stop()
        assert host.wait(10.0) == 0
        took = time.time() - asked
        assert {each.status for each in held} == {Status.REROUTED}
        assert {it.record(each).state.interruptions for each in held} == {1}
        it.project.open_gate("gate")
        it.fleet.start(runner, 2)
        it.wait_until_final()
        it.finish(extra=2, exit_after=round(took, 2))
        assert took < 2.0 * it.strain


@pytest.mark.smoke
@pairs("asyncio-sqlite", "multi-thread-redis")
def test_rolling_replacement(scenario: MakeScenario, runner: str, store: str) -> None:
    with scenario("F25", runner, store, seed=25, grace=0.5) as it:
        roll(it, hosts=2, tasks=15, longest=2.0)


@pytest.mark.full
@pairs()
def test_rolling_replacement_of_four(scenario: MakeScenario, runner: str, store: str) -> None:
    with scenario("F25-full", runner, store, seed=25, grace=1.0) as it:
        roll(it, hosts=4, tasks=80, longest=6.0)


def roll(it: Scenario, hosts: int, tasks: int, longest: float) -> None:
    """Replace each runner by a new one while tasks of 0.1 s up to `longest` run, so many for each slot of a host."""
    slots = it.kind.crowd
    old = [it.fleet.start(it.runner, slots, ready=False) for _ in range(hosts)]
    for host in old:
        eventually(host.is_ready, "the start of a runner", 30.0)
    lengths = Random(it.seed).choices(  # noqa: S311 - lengths that can be repeated
        [0.1, 0.3, longest / 2, longest], weights=[6, 3, 1, 1], k=tasks * slots
    )
    it.accept(it.jobs.work.parallelize([(number, seconds) for number, seconds in enumerate(lengths)]))
    it.ledger.wait_for(hosts * slots)
    stops = []
    for host in old:
        it.fleet.start(it.runner, slots)
        stops.append((host, host.ask_to_stop()))
        assert host.wait(10.0) == 0
    it.wait_until_final(90.0)
    states = [it.record(each).state for each in it.accepted]
    assert {(state.attempts, state.crashes) for state in states} == {(0, 0)}
    assert [claims_later_than(it, host, asked + it.strain) for host, asked in stops] == [0] * hosts
    handed = sum(state.interruptions for state in states)
    waits = sorted(gaps(it))
    it.finish(extra=hosts * slots, handed_back=handed, longest_gap=round(waits[-1], 3) if waits else 0.0)
    # What is handed back keeps its place in front of the queue, and is taken as soon as a slot is free.
    assert not waits or waits[-1] <= 2.0 * it.strain
