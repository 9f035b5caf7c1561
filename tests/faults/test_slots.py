"""Slots of a concurrency key outlive nobody, and nothing waits behind a slow worker."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from faults.conftest import MakeScenario
from faults.fleet import SWEEPS_ONLY
from faults.ledger import Line
from faults.scenario import Scenario
from faults.stores import pairs
from pynenc_core.model import InvocationHistory
from pynenc_core.status import Status
from pynenc_testkit.stores import eventually

BACK = 3.0
"""Seconds within which as many as may hold a key's slots again after one of them was killed."""
KEYS = ("a", "b")
RUNNERS = ("persistent-process", "thread", "asyncio")


@pairs("persistent-process-redis", of=RUNNERS)
def test_holders_of_a_slot_are_killed(scenario: MakeScenario, runner: str, store: str) -> None:
    with scenario("F10", runner, store) as it:
        kill_holders(it, kills=2)


@pytest.mark.full
@pairs(of=RUNNERS)
def test_20_holders_of_a_slot_are_killed(scenario: MakeScenario, runner: str, store: str) -> None:
    with scenario("F10-full", runner, store) as it:
        kill_holders(it, kills=20)


def kill_holders(it: Scenario, kills: int) -> None:
    """Kill who holds a slot, as soon as all of the key are taken; never do more hold one, and soon as many again."""
    most = it.project.jobs.HOLDERS
    slots = most * len(KEYS) + 1  # somebody is free while another one starts in the place of who was killed
    hosts = 1 if it.kind.pool else slots
    it.fleet.start("thread", 1, SWEEPS_ONLY)
    for host in [it.fleet.start(it.runner, slots // hosts, crowd=1, ready=False) for _ in range(hosts)]:
        eventually(host.is_ready, "the start of a runner", 60.0)
    it.accept(it.project.jobs.holds.parallelize([(KEYS[number % 2], "gate") for number in range(kills + 12)]))
    back: list[float] = []
    for number in range(kills):
        key = KEYS[number % 2]
        victim = eventually(lambda: next(holders(it, key, most), None), "a full key", 30.0)  # noqa: B023 - asked at once
        assert victim is not None
        killed = kill(it, victim.pid)
        eventually(lambda: next(holders(it, key, most), None), "a key that is full again", 30.0)  # noqa: B023 - likewise
        back.append(time.time() - killed)
    it.project.open_gate("gate")
    it.wait_until_final(60.0)
    assert {it.record(each).state.status for each in it.accepted} == {Status.SUCCESS}
    assert {key: most_at_once(it, key) for key in KEYS} == dict.fromkeys(KEYS, most)
    it.finish(extra=kills, back=round(max(back), 2))
    assert max(back) <= BACK * it.strain


def kill(it: Scenario, pid: int) -> float:
    """Kill a worker, or the runner if that is what it is, and start another one in its place."""
    host = next(host for host in it.fleet.living() if pid in host.tree)
    killed = host.kill(pid)
    if pid == host.pid:
        it.fleet.start(it.runner, 1, ready=False)
    return killed


def holders(it: Scenario, key: str, most: int) -> Iterator[Line]:
    """Yield who holds a key's slots, if all are taken, and waits for the gate."""
    now = [line for line, ends in spans(it, key) if ends is None]
    if len(now) == most:
        yield from (line for line in now if line.claim == 1)


def spans(it: Scenario, key: str) -> list[tuple[Line, float | None]]:
    """Return each execution and when it ended, by itself or by a kill; None while it goes on."""
    passed = {(line.invocation, line.claim): line.at for line in it.ledger.lines("passed")}
    begun = [line for line in it.ledger.lines() if line.key == key]
    return [(line, passed.get((line.invocation, line.claim)) or it.fleet.kills.get(line.pid)) for line in begun]


def most_at_once(it: Scenario, key: str) -> int:
    """Return how many held a key's slots at most at any instant."""
    events = [event for line, ends in spans(it, key) for event in ((line.at, 1), (ends or float("inf"), -1))]
    held, most = 0, 0
    for _, step in sorted(events):
        held += step
        most = max(most, held)
    return most


@pairs("multi-thread-redis", of=("multi-thread", "persistent-process", "thread"))
def test_nothing_waits_behind_a_slow_worker(scenario: MakeScenario, runner: str, store: str) -> None:
    with scenario("F19", runner, store) as it:
        run_beside_a_slow_one(it, pace=2.5, tasks=150)


@pytest.mark.full
@pairs(of=("multi-thread", "persistent-process", "thread"))
def test_nothing_of_much_waits_behind_a_slow_worker(scenario: MakeScenario, runner: str, store: str) -> None:
    with scenario("F19-full", runner, store) as it:
        run_beside_a_slow_one(it, pace=6.0, tasks=2000)


def run_beside_a_slow_one(it: Scenario, pace: float, tasks: int) -> None:
    """Let two runners first run what takes no time, which makes them fetch ahead, and then what takes one of them long."""
    tasks = int(tasks * max(it.store.share, 0.3))
    slow, fast = (it.fleet.start(it.runner, it.kind.crowd, {"PYNENC_TEST_PACE": seconds}) for seconds in (f"{pace}", "0.01"))
    it.accept(it.jobs.work.parallelize([(number,) for number in range(tasks)]))
    it.wait_until_final(60.0)
    began = time.time()
    group = it.accept(it.jobs.paced.parallelize([(number,) for number in range(tasks)]))
    begun = it.ledger.wait_for(tasks, task="paced")
    waited = max(line.at for line in begun) - began
    it.wait_until_final(60.0)
    behind = max(kept_waiting(each.history) for each in group)
    taken = sum(f"-{slow.pid}-" in line.runner for line in begun)
    assert taken <= it.kind.crowd * (1 + waited // pace)
    assert fast.exit_code is None
    it.finish(pace=pace, last_began_after=round(waited, 2), claimed_before_start=round(behind, 3), taken_by_slow=taken)
    assert behind < pace / 2


def kept_waiting(entries: tuple[InvocationHistory, ...]) -> float:
    """Return the seconds from the first claim to the start."""
    at = {entry.status_record.status: entry.at for entry in reversed(entries)}
    return at[Status.RUNNING] - at[Status.PENDING]
