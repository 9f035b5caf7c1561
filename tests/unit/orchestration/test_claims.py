"""What a runner that claims by itself is handed: suspects only where they run alone, what is awaited only when it asks so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc_core import Pynenc
from pynenc_core.model import InvocationRecord, Mark
from pynenc_core.status import Status
from unit.orchestration.stage import Stage, sqlite_url, stage


@pytest.fixture(params=["memory", "sqlite"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """Return a stage on each kind of store."""
    with stage("memory://" if request.param == "memory" else sqlite_url(tmp_path)) as opened:
        yield opened


def crash_of_two(scene: Stage) -> None:
    """Leave two suspects: they were running in one process when it died."""
    scene.queue(2)
    dead = scene.worker("Dead")
    assert len(scene.claim(dead, 2)) == 2
    assert scene.app.orchestrator.hand_on(dead.runner_id, "exit signal 9") == 2


def stored(scene: Stage, record: InvocationRecord) -> InvocationRecord:
    """Return what the store holds of it now."""
    return scene.app.orchestrator.record(record.invocation_id)


def test_an_isolated_runner_starts_suspects(scene: Stage) -> None:
    crash_of_two(scene)
    worker = scene.worker()
    records = scene.app.orchestrator.get_invocations_to_run(2, worker, isolated=True)
    assert [record.state.status for record in records] == [Status.RUNNING] * 2
    assert [stored(scene, record).state for record in records] == [record.state for record in records]
    for record in records:
        scene.app.orchestrator.run_invocation(record, worker)
        ended = stored(scene, record).state
        assert (ended.status, ended.suspect, ended.crashes) == (Status.SUCCESS, False, 0)


def test_another_runner_leaves_them_alone_for_a_second(scene: Stage) -> None:
    crash_of_two(scene)
    (other,) = scene.queue()
    worker = scene.worker()
    assert [record.invocation_id for record in scene.claim(worker, 3)] == [other.invocation_id]
    assert scene.claim(worker, 3) == []
    scene.clock.advance(0.9)
    assert scene.claim(worker, 3) == []
    scene.clock.advance(0.2)
    isolated = scene.app.orchestrator.get_invocations_to_run(3, worker, isolated=True)
    assert len(isolated) == 2
    statuses = [entry.status_record.status for entry in scene.app.state_backend.get_history(isolated[0].invocation_id)]
    assert statuses[-5:] == [Status.PENDING, Status.REROUTED, Status.SCHEDULED, Status.PENDING, Status.RUNNING]


def test_only_what_is_awaited(scene: Stage) -> None:
    first, second = scene.queue(2)
    worker = scene.worker()
    assert scene.app.orchestrator.get_invocations_to_run(2, worker, awaited_only=True) == ()
    scene.engine.state.mark([Mark(invocation_id=second.invocation_id, boost=0.0)])
    (record,) = scene.app.orchestrator.get_invocations_to_run(2, worker, awaited_only=True)
    assert record.invocation_id == second.invocation_id
    assert [each.invocation_id for each in scene.claim(worker, 2)] == [first.invocation_id]


def test_an_unknown_task_is_parked_also_for_an_isolated_runner(tmp_path: Path) -> None:
    with stage(sqlite_url(tmp_path)) as scene:
        (invocation,) = scene.queue()
        elsewhere = Pynenc(sqlite_url(tmp_path), app_id=scene.app.app_id, clock=scene.clock)
        assert elsewhere.orchestrator.get_invocations_to_run(1, scene.worker(), isolated=True) == ()
        assert invocation.status is Status.PARKED
        elsewhere.close()
