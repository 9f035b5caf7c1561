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
from faults.scenario import Scenario
from pynenc_core.status import Status
from pynenc_testkit.stores import eventually

RUNNERS = ("persistent-process", "thread", "asyncio")


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


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_whole_runner_killed_and_another_one_started(scenario: MakeScenario, runner: str) -> None:
    with scenario("kill-the-tree", runner) as it:
        host = it.fleet.start(runner, 2)
        it.accept(it.jobs.work.parallelize([(number, 0.05) for number in range(60)]))
        it.ledger.wait_for(20)
        host.kill()
        it.fleet.start(runner, 2)
        it.wait_until_final()
        it.finish(extra=2, recovery=LEASE + SWEEP + 2.0)


def test_only_the_runner_killed_its_workers_hand_back_and_end(scenario: MakeScenario) -> None:
    with scenario("kill-the-parent", "persistent-process") as it:
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


class Killer:
    """Kills a random worker every half second, and sees to it that there are always as many as in the beginning."""

    def __init__(self, it: Scenario, workers: int) -> None:
        self._it = it
        self._workers = workers
        self._random = Random(it.seed)  # noqa: S311 - which worker is killed can be repeated, and need not be a secret
        self._spared: list[Host] = []
        self.kills = 0

    def start(self) -> None:
        """Start the workers: the children of one runner; or so many runners, beside one that lives on and sweeps.

        Where every runner dies, the next one has to be in contact with the store for a lease before it may judge.
        """
        if self._it.runner == "persistent-process":
            self._it.fleet.start(self._it.runner, self._workers)
            return
        self._spared.append(self._it.fleet.start("thread", 1, SWEEPS_ONLY))
        for host in [self._it.fleet.start(self._it.runner, 1, ready=False) for _ in range(self._workers)]:
            eventually(host.is_ready, "the start of a runner", 30.0)

    def rage(self, seconds: float) -> None:
        """Kill for so long, or until everything is final."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and not self._all_final_within(0.5):
            host = self._random.choice([host for host in self._it.fleet.living() if host not in self._spared])
            if host.workers:
                host.kill(self._random.choice(host.workers))
                self.kills += 1
            if host.exit_code is not None:
                self._it.fleet.start(self._it.runner, 1, ready=False)

    def _all_final_within(self, seconds: float) -> bool:
        return not self._it.project.app.wait(self._it.accepted, timeout=seconds)[1]


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize(
    ("tasks", "seconds"),
    [pytest.param(600, 3.0, marks=pytest.mark.smoke, id="smoke"), pytest.param(8000, 20.0, marks=pytest.mark.full, id="full")],
)
def test_random_workers_killed_all_the_time(scenario: MakeScenario, runner: str, tasks: int, seconds: float) -> None:
    with scenario("F01", runner, seed=1) as it:
        killer = Killer(it, 4)
        killer.start()
        it.accept(it.jobs.work.parallelize([(number, 0.01) for number in range(tasks)]))
        killer.rage(seconds)
        it.wait_until_final(60.0)
        it.finish(extra=killer.kills, recovery=LEASE + SWEEP + 0.6, tasks=tasks)


@pytest.mark.parametrize(
    "victims",
    [pytest.param(6, marks=pytest.mark.smoke, id="smoke"), pytest.param(100, marks=pytest.mark.full, id="full")],
)
def test_a_worker_killed_between_effect_and_settlement(scenario: MakeScenario, victims: int) -> None:
    with scenario("F03", "persistent-process") as it:
        it.fleet.start(it.runner, 2)
        it.accept(it.jobs.killed_once.parallelize([(number,) for number in range(victims)]))
        it.wait_until_final(90.0)
        judge_f03(it, recovery=1.0)


@pytest.mark.parametrize(
    ("hosts", "victims"),
    [pytest.param(2, 4, marks=pytest.mark.smoke, id="smoke"), pytest.param(3, 50, marks=pytest.mark.full, id="full")],
)
def test_a_runner_killed_between_effect_and_settlement(scenario: MakeScenario, hosts: int, victims: int) -> None:
    with scenario("F03", "thread") as it:
        sweeper = it.fleet.start("thread", 1, SWEEPS_ONLY)
        it.accept(it.jobs.killed_once.parallelize([(number,) for number in range(victims)]))

        def all_final() -> bool:
            while len(list(it.fleet.living())) < 1 + hosts:
                it.fleet.start("thread", 1, ready=False)
            return not it.project.app.wait(it.accepted, timeout=0.05)[1]

        eventually(all_final, "the end of all tasks", 90.0)
        assert sweeper.exit_code is None
        judge_f03(it, requeued=LEASE + SWEEP + 0.6)  # when it runs depends on how fast runners start, all of which are killed here


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
