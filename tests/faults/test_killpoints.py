"""A process ends before or after any single write of any operation: everything still comes to its end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import count
from typing import Any

import attrs
import pytest

from faults.conftest import MakeScenario
from faults.fleet import PATIENCE
from faults.runners import KINDS
from faults.scenario import Scenario
from faults.stores import stores
from pynenc_core.model import Ask, InvocationRecord, Query, RunnerContext
from pynenc_core.ports.transitions import change
from pynenc_core.status import Status
from pynenc_testkit.contracts.durability import in_child
from pynenc_testkit.killpoints import EXIT_CODE, KillPoint, kill_points
from pynenc_testkit.stores import eventually

BATCH = 5

ARMED = """
import os

from JOBS import *
from pynenc_testkit.killpoints import EXIT_CODE, KillPoint


class Reached(KillPoint):
    # Several threads write here: the count may pass the point between one thread's addition and its look.
    def begin(self):
        self.writes += 1
        if self.writes >= self.at and not self.after:
            os._exit(EXIT_CODE)

    def end(self):
        if self.writes >= self.at and self.after:
            os._exit(EXIT_CODE)


armed = Reached.from_environ().over(*CHOKES)
armed.__enter__()
"""


@attrs.frozen
class Situation:
    """What one operation is carried out on: an invocation that a runner without any heartbeat has claimed."""

    it: Scenario
    context: RunnerContext
    record: InvocationRecord
    number: int
    """Marks what the operation itself submits."""

    def settle(self, *through: Status, **details: Any) -> None:
        """Move the invocation on as its owner."""
        owner = self.record.state.owner
        self.it.project.app.orchestrator.settle(change(self.record, through, by=self.context.runner_id, owner=owner, **details))


def submit(at: Situation) -> None:
    at.it.jobs.work(at.number)


def submit_batch(at: Situation) -> None:
    at.it.jobs.work.parallelize([(at.number,)] * BATCH)


def claim(at: Situation) -> None:
    at.it.project.app.orchestrator.get_invocations_to_run(1, at.context)


def start(at: Situation) -> None:
    at.settle(Status.RUNNING)


def pause(at: Situation) -> None:
    at.settle(Status.PAUSED, awaits=(at.it.ids[0],), boost=-1.0)


def settle_success(at: Situation) -> None:
    owner = at.record.state.owner
    assert owner is not None
    at.it.project.app.orchestrator.set_invocation_result(at.record.invocation_id, at.number, owner)


def settle_retry(at: Situation) -> None:
    at.settle(Status.RETRY, attempts=1)


def reroute(at: Situation) -> None:
    at.it.project.app.orchestrator.reroute_invocations([at.record.invocation_id], at.context)


def recover(at: Situation) -> None:
    at.it.project.app.orchestrator.hand_on(at.context.runner_id, "it was killed")


# The last ones charge a crash, and nothing is claimed after them by anybody but the runner at the end.
OPERATIONS: tuple[Callable[[Situation], None], ...] = (
    submit,
    submit_batch,
    claim,
    start,
    pause,
    settle_success,
    settle_retry,
    reroute,
    recover,
)
SUBMITTING: Mapping[Callable[[Situation], None], int] = {submit: 1, submit_batch: BATCH}


def situations(it: Scenario, numbers: Iterator[int], *, started: bool) -> Iterator[Situation]:
    """Yield situations that are made beforehand, so that no operation is carried out on what another one has left."""
    it.accept(it.jobs.work.parallelize([(next(numbers),) for _ in range(it.store.points)]))
    dispatcher = it.project.app.orchestrator.engine.dispatcher
    made = []
    for _ in range(it.store.points):
        context = RunnerContext.of_this_process("Doomed")
        (record,) = dispatcher.claim(Ask(runner_id=context.runner_id, limit=1, start=int(started))).claimed
        made.append(Situation(it, context, record, next(numbers)))
    return iter(made)


def kill_everywhere(it: Scenario, operation: Callable[[Situation], None], numbers: Iterator[int]) -> int:
    """Carry the operation out in children that are killed at each of its writes; return at how many."""
    pool = situations(it, numbers, started=operation is not start)
    submitted: list[int] = []

    def run(point: KillPoint) -> int:
        situation = next(pool)
        submitted.append(situation.number)

        def work() -> None:
            state = it.project.app.state_backend
            state.prepare()
            state.get([])
            with point.over(*it.store.chokes):
                operation(situation)

        return in_child(work)

    points = len(list(kill_points(run)))
    if each := SUBMITTING.get(operation):
        whole_or_absent(it, submitted, each)
    return points


def whole_or_absent(it: Scenario, numbers: list[int], each: int) -> None:
    """Of what was submitted under a number, all is stored or nothing; the one that was not killed is there."""
    found = [it.project.app.get_invocation(record.invocation_id) for record in it.project.app.orchestrator.iterate(Query())]
    stored = [invocation for invocation in found if invocation.call.arguments["number"] in numbers]
    counts = Counter(invocation.call.arguments["number"] for invocation in stored)
    assert set(counts.values()) == {each}
    assert numbers[-1] in counts
    it.accept(stored)


def doctor(it: Scenario) -> dict[str, str]:
    """Return the state of each check, the worst where there are several of a name."""
    process, log = it.fleet.launch("--app", f"{it.project.name}:app", "doctor", "--json")
    process.wait(PATIENCE)
    said = log.read_text()
    checks = json.loads(said[said.index("{\n") :])["checks"]  # warnings of the store come before it
    ordered = sorted(checks, key=lambda check: ("ok", "note", "wrong").index(check["state"]))
    return {check["name"]: check["state"] for check in ordered}


def nothing_orphaned(it: Scenario) -> None:
    """The doctor finds nothing that somebody left behind."""
    found = doctor(it)
    assert found["orphans"] == "ok"
    assert "between steps" not in found


@pytest.mark.smoke
@stores("sqlite", "redis")
def test_killed_at_every_write_of_every_operation(scenario: MakeScenario, store: str) -> None:
    with scenario("F05", "persistent-process", store) as it:
        kill_and_converge(it, [it.runner])


@stores()
@pytest.mark.full
def test_what_was_killed_at_every_write_ends_in_every_runner(scenario: MakeScenario, store: str) -> None:
    with scenario("F05-full", "all", store) as it:
        kill_and_converge(it, KINDS)


def kill_and_converge(it: Scenario, runners: Collection[str]) -> None:
    """Kill processes at each write of each operation; then let runners bring everything to its end."""
    numbers = count()
    points = {operation.__name__: kill_everywhere(it, operation, numbers) for operation in OPERATIONS}
    assert min(points.values()) >= 2  # before and after a single call
    for host in [it.fleet.start(runner, 2, ready=False) for runner in runners]:
        eventually(host.is_ready, "the start of a runner", PATIENCE)
    it.wait_until_final(180.0)
    assert {it.record(each).state.status for each in it.accepted} == {Status.SUCCESS}
    nothing_orphaned(it)
    it.finish(points=sum(points.values()))


@stores()
@pytest.mark.timeout(110)
def test_a_runner_killed_at_any_of_its_writes(scenario: MakeScenario, store: str) -> None:
    with scenario("F05-life", "thread", store) as it:
        module = it.project.add_module("armed", ARMED.replace("CHOKES", repr(it.store.chokes)))
        points = [*range(1, min(60, it.store.calls), 3), *range(60, it.store.calls, 25)]
        for at in points:
            it.accept([it.jobs.fails_once(at), it.jobs.tree(2, 2), it.jobs.work(at)])
            host = it.fleet.start("thread", 2, KillPoint(at, after=at % 2 == 1).to_environ(), module=module, ready=False)
            assert host.wait() == EXIT_CODE
        it.fleet.start("thread", 4)
        it.wait_until_final(60.0)
        nothing_orphaned(it)
        it.finish(extra=2 * len(points), points=len(points))
