"""Who is listed as living, stopping or dead, under whom, and with how much."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pynenc_core.model import RunnerContext
from pynenc_core.orchestration.reporting.endings import note_end
from pynenc_core.orchestration.reporting.roster import RunnerEntry, roster
from unit.orchestration.stage import LEASE, Stage, stage


@pytest.fixture
def scene() -> Iterator[Stage]:
    with stage() as scene:
        yield scene


def known(scene: Stage, name: str, parent: RunnerContext | None = None) -> RunnerContext:
    """Return the context of a runner that is stored and has just given a heartbeat."""
    context = RunnerContext.of_this_process(name, parent=parent)
    scene.app.orchestrator.store_runner_context(context)
    scene.beat(context)
    return context


def listed(scene: Stage) -> dict[str, RunnerEntry]:
    """Return the entries by class name, in their order."""
    return {entry.class_name: entry for entry in roster(scene.engine.state).entries}


def test_children_stand_under_their_parent_with_what_they_have(scene: Stage) -> None:
    first = known(scene, "First")
    second, child = known(scene, "Second"), known(scene, "Child", parent=first)
    scene.queue(3)
    scene.claim(child, 2)
    scene.claim(second, 1)
    found = listed(scene)
    assert {name: (entry.state, entry.depth, entry.owned) for name, entry in found.items()} == {
        "First": ("alive", 0, 0),
        "Child": ("alive", 1, 2),
        "Second": ("alive", 0, 1),
    }
    assert list(found).index("Child") == list(found).index("First") + 1
    assert (found["Child"].parent_id, found["Child"].pid, found["Child"].host) == (first.runner_id, child.pid, child.host)


def test_one_whose_lease_is_over_is_dead_and_after_an_hour_nobody_speaks_of_it(scene: Stage) -> None:
    known(scene, "Gone")
    scene.pass_lease()
    (entry,) = listed(scene).values()
    assert (entry.state, entry.reason, entry.heard_at) == ("dead", "its heartbeats ended", scene.engine.state.now() - LEASE - 1)
    scene.clock.advance(3600)
    assert listed(scene) == {}


def test_a_child_whose_parent_is_gone_counts_as_dead(scene: Stage) -> None:
    parent = known(scene, "Parent")
    known(scene, "Child", parent=parent)
    scene.engine.state.forget_runners([parent.runner_id])
    assert {name: entry.state for name, entry in listed(scene).items()} == {"Parent": "dead", "Child": "dead"}


def test_a_child_that_its_parent_saw_die_is_listed_with_the_reason(scene: Stage) -> None:
    parent = known(scene, "Parent")
    killed, ended = known(scene, "Killed", parent=parent), known(scene, "Ended", parent=parent)
    scene.app.orchestrator.hand_on(killed.runner_id, "killed by SIGSEGV")
    scene.app.orchestrator.hand_on(ended.runner_id, "exit code 0")
    found = listed(scene)
    assert (found["Killed"].state, found["Killed"].reason, found["Killed"].depth) == ("dead", "killed by SIGSEGV", 1)
    assert "Ended" not in found, "what ended as it should is nobody's news"


def test_one_that_has_begun_to_stop_says_so_and_is_remembered_for_an_hour(scene: Stage) -> None:
    context = known(scene, "Stopping")
    note_end(scene.engine.state, context.runner_id, "sigterm", 5.0)
    assert (listed(scene)["Stopping"].state, listed(scene)["Stopping"].reason) == ("stopping", "sigterm")
    scene.engine.state.forget_runners([context.runner_id])
    assert (listed(scene)["Stopping"].state, listed(scene)["Stopping"].started_at) == ("dead", 5.0)
    scene.clock.advance(3601)
    assert listed(scene) == {}


def test_it_costs_few_calls_and_says_when_it_has_not_counted_all(scene: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pynenc_core.orchestration.reporting.roster._PAGE", 2)
    worker = known(scene, "Worker")
    scene.queue(30)
    scene.claim(worker, 30)
    found = roster(scene.engine.state)
    assert [(entry.owned, found.counted) for entry in found.entries] == [(10, False)]
