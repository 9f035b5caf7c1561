"""Workers and whole runners are killed; what they ran runs again, and nothing else does."""

from __future__ import annotations

import math
import time
from random import Random

import pytest

from faults.conftest import MakeScenario
from faults.fleet import SWEEPS_ONLY, Host
from faults.processes import state_of
from faults.project import LEASE, SWEEP
from faults.runners import ALONE, POOLS, runners
from faults.scenario import Scenario
from faults.stores import pairs
from pynenc_core.status import Status
from pynenc_testkit.stores import eventually

HANDED_ON = 1.0
"""Seconds within which what ran in a child that died runs again."""
RECOVERED = LEASE + SWEEP + 0.6
"""The same of what ran in a runner that died, where another one sweeps."""


@runners("persistent-process", of=POOLS)
def test_a_worker_killed_amid_500_tasks(scenario: MakeScenario, runner: str) -> None:
    with scenario("kill-one-of-500", runner) as it:
        host = it.fleet.start(it.runner, 2)
        group = it.accept(it.jobs.work.parallelize([(number, 0.01) for number in range(500)]))
        it.ledger.wait_for(100)
        host.kill(eventually(lambda: host.workers, "a worker")[0])
        it.wait_until_final(60.0)
        assert [each.get_result() for each in group] == list(range(500))
        found = it.finish(extra=it.kind.together(2), recovery=HANDED_ON)
        alone = found.duplicated == 1  # who dies beside others is not charged
        assert sum(it.record(each).state.crashes for each in group) == alone


@runners("thread")
def test_a_whole_runner_killed_and_another_one_started(scenario: MakeScenario, runner: str) -> None:
    with scenario("kill-the-tree", runner) as it:
        host = it.fleet.start(runner, 2)
        it.accept(it.jobs.work.parallelize([(number, 0.05) for number in range(60)]))
        it.ledger.wait_for(20)
        host.kill()
        it.fleet.start(runner, 2)
        it.wait_until_final()
        it.finish(extra=2, recovery=LEASE + SWEEP + 2.0)


@runners("persistent-process", of=("persistent-process", "multi-thread"))
def test_only_the_runner_killed_its_workers_hand_back_and_end(scenario: MakeScenario, runner: str) -> None:
    with scenario("kill-the-parent", runner) as it:
        host = it.fleet.start(it.runner, 2)
        held = it.accept([it.jobs.gated("gate") for _ in range(2)])
        it.ledger.wait_for(2)
        workers = host.workers
        host.kill(host.pid)
        eventually(lambda: not any(map(state_of, workers)), "the end of the orphaned workers", 3.0)
        assert {each.status for each in held} == {Status.REROUTED}
        it.project.open_gate("gate")
        it.fleet.start(it.runner, 2)
        it.wait_until_final()
        it.finish(extra=2)
        assert {(s.interruptions, s.crashes, s.attempts) for s in (it.record(each).state for each in held)} == {(1, 0, 0)}


@pytest.mark.full
def test_only_the_runner_killed_its_forks_die_with_it(scenario: MakeScenario) -> None:
    with scenario("kill-the-parent", "process") as it:
        host = it.fleet.start(it.runner, 2)
        it.accept([it.jobs.gated("gate") for _ in range(2)])
        it.ledger.wait_for(2)
        below = [pid for pid in host.tree if pid != host.pid]
        host.kill(host.pid)
        eventually(lambda: not any(map(state_of, below)), "the end of the orphaned processes", 3.0)
        it.project.open_gate("gate")
        it.fleet.start(it.runner, 2)
        it.wait_until_final()
        it.finish(extra=2)


class Killer:
    """Kills a random worker every half second, and sees to it that there are always as many as in the beginning."""

    def __init__(self, it: Scenario, workers: int) -> None:
        self._it = it
        self._workers = workers
        self._random = Random(it.seed)  # noqa: S311 - which worker is killed can be repeated, and need not be a secret
        self._spared: list[Host] = []
        self.kills = 0

    def start(self) -> None:
        """Start the workers: those of one runner; or so many runners, beside one that lives on and sweeps.

        Where every runner dies, the next one has to be in contact with the store for a lease before it may judge.
        """
        if self._it.kind.pool:
            self._it.fleet.start(self._it.runner, self._workers * self._it.kind.crowd)
            return
        self._spared.append(self._it.fleet.start("thread", 1, SWEEPS_ONLY))
        for host in [self._it.fleet.start(self._it.runner, self._it.kind.crowd, ready=False) for _ in range(self._workers)]:
            eventually(host.is_ready, "the start of a runner", 30.0)

    def rage(self, seconds: float, least: int) -> None:
        """Kill for so long and so many, or until everything is final."""
        ends = time.monotonic() + seconds
        while (time.monotonic() < ends or self.kills < least) and not self._all_final_within(0.5):
            host = self._random.choice([host for host in self._it.fleet.living() if host not in self._spared])
            if workers := host.workers:
                host.kill(self._random.choice(workers))
                self.kills += 1
            if host.exit_code is not None:
                self._it.fleet.start(self._it.runner, self._it.kind.crowd, ready=False)
        for host in self._it.fleet.living():
            eventually(host.is_ready, "the start of a runner", 30.0)

    def _all_final_within(self, seconds: float) -> bool:
        return not self._it.project.app.wait(self._it.accepted, timeout=seconds)[1]


def rage_among(it: Scenario, tasks: int, length: float, seconds: float, timeout: float) -> None:
    """Kill workers for so long while tasks run, and wait until all have ended."""
    killer = Killer(it, 4)
    killer.start()
    it.accept(it.jobs.work.parallelize([(number, length * it.kind.crowd) for number in range(tasks)]))
    it.ledger.wait_for(4)  # not by all four: on a slow machine three may be through before the last one has started
    killer.rage(seconds, least=int(seconds * 1.5))
    it.wait_until_final(timeout)
    # Where whole runners are killed all the time there may be none at a moment: when it runs depends on how fast they start.
    recovery = RECOVERED if it.kind.pool else math.inf
    it.finish(extra=killer.kills * it.kind.crowd, recovery=recovery, requeued=RECOVERED, tasks=tasks)


@pytest.mark.smoke
@pairs("asyncio-sqlite", "multi-thread-redis", "process-sqlite")
def test_random_workers_killed_for_a_while(scenario: MakeScenario, runner: str, store: str) -> None:
    with scenario("F01", runner, store, seed=1) as it:
        rage_among(it, tasks=150 if it.kind.forks else 600, length=0.02, seconds=3.0, timeout=60.0)


@pytest.mark.full
@pairs()
def test_random_workers_killed_all_the_time(scenario: MakeScenario, runner: str, store: str) -> None:
    with scenario("F01-full", runner, store, seed=1) as it:
        rage_among(
            it,
            tasks=int(8000 * it.store.share * (0.25 if it.kind.forks else 1.0)),
            length=0.01,
            seconds=20.0,
            timeout=600.0,
        )


@pairs("persistent-process-sqlite", "persistent-process-redis", of=POOLS)
def test_a_worker_killed_between_effect_and_settlement(scenario: MakeScenario, runner: str, store: str) -> None:
    with scenario("F03", runner, store) as it:
        kill_each_once(it, victims=4)


@pytest.mark.full
@pairs(of=POOLS)
def test_100_workers_killed_between_effect_and_settlement(scenario: MakeScenario, runner: str, store: str) -> None:
    with scenario("F03-full", runner, store) as it:
        kill_each_once(it, victims=100)


def kill_each_once(it: Scenario, victims: int) -> None:
    """Let each task end its worker, in which it is alone, at its first execution; there is always another one that is ready."""
    it.fleet.start(it.runner, 2, crowd=1)
    for number in range(victims):
        both_run(it, f"gate-{number}")
        it.accept([it.jobs.killed_once(number)])
        it.wait_until_final()
    judge_f03(it, recovery=HANDED_ON, requeued=HANDED_ON)


def both_run(it: Scenario, gate: str) -> None:
    """Wait until both workers of a runner execute something at the same time: only then it is known that they are ready."""
    before = len(it.ledger.lines(task="gated"))
    group = it.jobs.gated.parallelize([(gate,)] * 2)
    it.ledger.wait_for(before + 2, task="gated", timeout=60.0)
    it.project.open_gate(gate)
    list(group.results)


@pairs("thread-sqlite", of=ALONE)
def test_a_runner_killed_between_effect_and_settlement(scenario: MakeScenario, runner: str, store: str) -> None:
    with scenario("F03", runner, store) as it:
        replace_each_killed(it, hosts=2, victims=4)


@pytest.mark.full
@pairs(of=ALONE)
def test_100_runners_killed_between_effect_and_settlement(scenario: MakeScenario, runner: str, store: str) -> None:
    with scenario("F03-full", runner, store) as it:
        replace_each_killed(it, hosts=3, victims=100)


def replace_each_killed(it: Scenario, hosts: int, victims: int) -> None:
    """Let each task end its runner at its first execution, and start another one in its place."""
    sweeper = it.fleet.start("thread", 1, SWEEPS_ONLY)
    it.accept(it.jobs.killed_once.parallelize([(number,) for number in range(victims)]))

    def all_final() -> bool:
        while len(list(it.fleet.living())) < 1 + hosts:
            it.fleet.start(it.runner, 1, ready=False)
        return not it.project.app.wait(it.accepted, timeout=0.05)[1]

    eventually(all_final, "the end of all tasks", 60.0 + 3.0 * victims)
    assert sweeper.exit_code is None
    judge_f03(it, requeued=RECOVERED)  # when it runs depends on how fast runners start, all of which are killed here


def judge_f03(it: Scenario, recovery: float = math.inf, requeued: float = math.inf) -> None:
    """Two effects each, the second one's result, one crash and no attempt charged."""
    effects = it.ledger.by_invocation()
    for each in it.accepted:
        first, second = effects[each.invocation_id]
        assert (first.claim, each.get_result()) == (1, f"{second.runner}/{second.claim}")
    states = [it.record(each).state for each in it.accepted]
    assert {(state.crashes, state.attempts, state.interruptions) for state in states} == {(1, 0, 0)}
    it.fleet.kills.update({line.pid: line.at for line in it.ledger.lines() if line.claim == 1})
    it.finish(extra=len(it.accepted), recovery=recovery, requeued=requeued)
