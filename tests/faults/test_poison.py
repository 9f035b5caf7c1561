"""Tasks that kill their worker are set aside after three times; what ran beside them is not charged."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from typing import Any

import attrs
import pytest

from faults.conftest import MakeScenario
from faults.runners import ALONE, POOLS, Kind, runners
from faults.scenario import Scenario
from pynenc_core.errors.invocations import InvocationQuarantinedError
from pynenc_core.invocation import Invocation
from pynenc_core.status import Status
from pynenc_testkit.stores import eventually

SECONDS = 0.05  # of a normal task
MANY = {"poisons": 5, "normals": 200}


@attrs.frozen(kw_only=True)
class Size:
    """How much there is of what."""

    poisons: int
    normals: int
    hosts: int = 1
    slots: int = 2
    crowd: int = 1


def few(kind: Kind) -> Size:
    """Return a small size; where each crash ends the runner, one of two, and not so many crashes."""
    return Size(poisons=2, normals=60) if kind.pool else Size(poisons=1, normals=100, hosts=2, slots=4)


def keep(it: Scenario, size: Size) -> None:
    """Start another runner in the place of each that a task has killed, as a service manager would, until all is done."""

    def look() -> bool:
        codes = {host.exit_code for host in it.fleet.hosts} - {None, -signal.SIGABRT}
        assert not codes, f"a runner ended by itself: {codes}"
        while len(list(it.fleet.living())) < size.hosts:
            it.fleet.start(it.runner, size.slots, crowd=size.crowd, ready=False)
        return not it.project.app.wait(it.accepted, timeout=0.05)[1]

    eventually(look, "the end of all tasks", 150.0)


def run_normal(it: Scenario, size: Size) -> float:
    """Run the normal ones alone; return how many began in a second."""
    normal = it.accept(it.jobs.work.parallelize([(number, SECONDS) for number in range(size.normals)]))
    keep(it, size)
    return rate(it, normal)


def run_f13(it: Scenario, size: Size, usual: float = 0.0) -> float:
    """Run both kinds at once, the poisonous ones in front; return the throughput of the normal ones as a share of the usual one."""
    poisonous = it.accept(it.jobs.poison.parallelize([()] * size.poisons))
    normal = it.accept(it.jobs.work.parallelize([(number, SECONDS) for number in range(size.normals)]))
    keep(it, size)
    for each in poisonous:
        with pytest.raises(InvocationQuarantinedError, match=r"crashed its worker 3 times; .*"):
            each.get_result()
        state = it.record(each).state
        assert (state.status, state.crashes, state.attempts) == (Status.QUARANTINED, 3, 0)
        if it.kind.pool:
            assert "SIGABRT" in state.reason
    charged = {(s.status, s.crashes, s.attempts) for s in (it.record(each).state for each in normal)}
    assert charged == {(Status.SUCCESS, 0, 0)}
    beside = size.hosts * (it.kind.together(size.slots, size.crowd) - 1)  # in the process, at the crash that made all of them suspects
    share = rate(it, normal) / (usual or size.hosts * size.slots / SECONDS)
    it.finish(extra=2 * size.poisons * (1 + beside), poisons=size.poisons, throughput=round(share, 2))
    return share


def rate(it: Scenario, invocations: Iterable[Invocation[Any]]) -> float:
    """Return how many began in a second, from the first to the last of them."""
    effects = it.ledger.by_invocation()
    begun = [line.at for each in invocations for line in effects[each.invocation_id]]
    return len(begun) / (max(begun) - min(begun) + SECONDS)


@pytest.mark.smoke
@runners("persistent-process", "thread")
def test_poison_among_normal_tasks(scenario: MakeScenario, runner: str) -> None:
    with scenario("F13", runner) as it:
        run_f13(it, few(it.kind))


@pytest.mark.full
@runners(of=POOLS)
def test_five_poisons_among_200_of_a_pool(scenario: MakeScenario, runner: str) -> None:
    with scenario("F13-full", runner) as it:
        size = Size(**MANY)
        share = run_f13(it, size, usual=run_normal(it, size))
        assert share >= 0.8 / it.look_at_strain()  # what it costs is the start of processes


@pytest.mark.full
@runners(of=ALONE)
def test_five_poisons_among_200(scenario: MakeScenario, runner: str) -> None:
    """Each crash ends the whole process, whose work waits for the end of its lease: no throughput is promised there."""
    with scenario("F13-full", runner) as it:
        run_f13(it, Size(**MANY, hosts=2, slots=4))


@pytest.mark.full
def test_five_poisons_among_200_on_threads_of_two_processes(scenario: MakeScenario) -> None:
    with scenario("F13-crowd", "multi-thread") as it:
        run_f13(it, Size(**MANY, slots=8, crowd=4))
