"""Tasks that kill their worker are set aside after three times; what ran beside them is not charged."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from faults.conftest import MakeScenario
from faults.scenario import Scenario
from pynenc_core.errors.invocations import InvocationQuarantinedError
from pynenc_core.status import Status
from pynenc_testkit.stores import eventually

SECONDS = 0.05  # of a normal task


def keep(it: Scenario, hosts: int, slots: int, done: Callable[[], bool], timeout: float) -> None:
    """Start another runner in the place of each that a task has killed, as a service manager would, until all is done."""

    def look() -> bool:
        codes = {host.exit_code for host in it.fleet.hosts} - {None, -signal.SIGABRT}
        assert not codes, f"a runner ended by itself: {codes}"
        while len(list(it.fleet.living())) < hosts:
            it.fleet.start(it.runner, slots, ready=False)
        return done()

    eventually(look, "the end of all tasks", timeout)


def run_f13(it: Scenario, poisons: int, normals: int, hosts: int, slots: int, timeout: float) -> float:
    """Run both kinds at once, the poisonous ones in front; return the throughput of the normal ones as a share of what the slots can do."""
    poisonous = it.accept(it.jobs.poison.parallelize([()] * poisons))
    normal = it.accept(it.jobs.work.parallelize([(number, SECONDS) for number in range(normals)]))
    keep(it, hosts, slots, lambda: not it.project.app.wait(it.accepted, timeout=0.05)[1], timeout)
    for each in poisonous:
        with pytest.raises(InvocationQuarantinedError, match=r"crashed its worker 3 times; .*"):
            each.get_result()
        state = it.record(each).state
        assert (state.status, state.crashes, state.attempts) == (Status.QUARANTINED, 3, 0)
        if it.runner == "persistent-process":
            assert "SIGABRT" in state.reason
    charged = {(s.status, s.crashes, s.attempts) for s in (it.record(each).state for each in normal)}
    assert charged == {(Status.SUCCESS, 0, 0)}
    beside = hosts * (slots - 1) if it.runner == "thread" else 0  # others in the process, at the crash that made all of them suspects
    share = throughput(it, hosts * slots)
    it.finish(extra=2 * poisons + 2 * beside * poisons, poisons=poisons, throughput=round(share, 2))
    return share


def throughput(it: Scenario, slots: int) -> float:
    """Return how much of what the slots can do was done, until the last normal task began."""
    begun = [line.at for line in it.ledger.lines(task="work")]
    return len(begun) * SECONDS / slots / (max(begun) - min(begun) + SECONDS)


@pytest.mark.smoke
def test_poison_among_processes(scenario: MakeScenario) -> None:
    with scenario("F13", "persistent-process") as it:
        run_f13(it, poisons=2, normals=100, hosts=1, slots=2, timeout=30.0)


@pytest.mark.smoke
def test_poison_among_threads(scenario: MakeScenario) -> None:
    with scenario("F13", "thread") as it:
        run_f13(it, poisons=1, normals=100, hosts=2, slots=4, timeout=40.0)


@pytest.mark.full
@pytest.mark.parametrize(("runner", "hosts", "slots"), [("persistent-process", 1, 2), ("thread", 2, 4)])
def test_five_poisons_among_200(scenario: MakeScenario, runner: str, hosts: int, slots: int) -> None:
    with scenario("F13-full", runner) as it:
        share = run_f13(it, poisons=5, normals=200, hosts=hosts, slots=slots, timeout=90.0)
        # Among threads each crash ends the whole process, whose work waits for the end of its lease: no share is promised there.
        assert share >= 0.8 or runner == "thread"
