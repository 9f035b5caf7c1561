"""What a runner that claims by itself is handed: suspects only where they run alone, what is awaited only when it asks so."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pynenc_core import Pynenc
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.model import Ask, Change, InvocationRecord, Mark, RunnerContext, SettleReply
from pynenc_core.orchestration import hand_claims
from pynenc_core.status import Status
from pynenc_testkit.flaky import FlakyDispatcher, Lost, Outage
from unit.app.running import app_of_its_own
from unit.orchestration.stage import LEASE, Stage, job, sqlite_url, stage


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


class TestLostReplies:
    """What a call has claimed whose reply never came is not lost, and nothing else is handed back for it."""

    def test_a_later_call_brings_it(self, scene: Stage) -> None:
        scene.queue(3)
        worker, outage = scene.worker(), Outage()
        (running,) = scene.claim(worker)
        object.__setattr__(scene.engine, "dispatcher", FlakyDispatcher(scene.engine.dispatcher, outage))
        with outage.begin("reply"), pytest.raises(BackendUnavailableError):
            scene.claim(worker)
        records = scene.claim(worker, 9)
        assert [(record.state.claim, record.state.interruptions) for record in records] == [(2, 0), (1, 0)]
        assert stored(scene, running).state == running.state

    def test_one_that_is_carried_out_late_as_well(self, scene: Stage) -> None:
        (invocation,) = scene.queue()
        worker, outage = scene.worker(), Outage()
        real = scene.engine.dispatcher
        object.__setattr__(scene.engine, "dispatcher", FlakyDispatcher(real, outage))
        with outage.begin("request"), pytest.raises(BackendUnavailableError):
            scene.claim(worker)
        assert scene.app.orchestrator.get_invocations_to_run(0, worker) == ()
        real.claim(Ask(runner_id=worker.runner_id, limit=1, start=1, known_tasks=scene.engine.tasks.ids))
        assert scene.claim(worker) == []
        scene.clock.advance(LEASE + 1)
        (record,) = scene.claim(worker)
        assert (record.invocation_id, record.state.claim) == (invocation.invocation_id, 2)

    def test_a_suspect_whose_start_was_not_answered(self, scene: Stage) -> None:
        crash_of_two(scene)
        worker = scene.worker()
        object.__setattr__(scene.engine, "dispatcher", NoAnswer(scene.engine.dispatcher))
        with pytest.raises(BackendUnavailableError):
            scene.app.orchestrator.get_invocations_to_run(2, worker, isolated=True)
        records = scene.app.orchestrator.get_invocations_to_run(2, worker, isolated=True)
        assert [(record.state.status, record.state.crashes) for record in records] == [(Status.RUNNING, 0)] * 2

    @pytest.mark.parametrize("lost", ["request", "reply"])
    def test_an_outcome_that_could_not_be_written_goes_with_the_next_claim(self, scene: Stage, lost: Lost) -> None:
        (invocation,) = scene.queue()
        worker, outage = scene.worker(), Outage()
        (record,) = scene.claim(worker)
        object.__setattr__(scene.engine, "dispatcher", FlakyDispatcher(scene.engine.dispatcher, outage))
        with outage.begin(lost), pytest.raises(BackendUnavailableError):
            scene.app.orchestrator.run_invocation(record, worker)
        assert scene.claim(worker) == []
        assert (invocation.status, invocation.result) == (Status.SUCCESS, 0)


class NoAnswer(FlakyDispatcher):
    """Settles, and does not answer the first time."""

    answers = False

    def settle(self, changes: Sequence[Change], *, ask: Ask | None = None) -> SettleReply:
        reply = super().settle(changes, ask=ask)
        if not self.answers:
            self.answers = True
            raise BackendUnavailableError("the store", "no answer")
        return reply


def test_claims_that_are_over_are_forgotten(scene: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand_claims, "_TIDY_AT", 3)
    scene.queue(9)
    worker = scene.worker()
    (kept,) = scene.claim(worker)
    for _ in range(8):
        (record,) = scene.claim(worker)
        scene.app.orchestrator.run_invocation(record, worker)
    assert len(scene.app.orchestrator._handed) <= 3
    assert (kept.invocation_id, 1) in scene.app.orchestrator._handed


def test_waiting_for_work_ends_when_something_becomes_due(tmp_path: Path) -> None:
    app = app_of_its_own(sqlite_url(tmp_path))
    invocation = app.task(delay=0.2)(job)(1)
    worker = RunnerContext.of_this_process("Worker")
    began = time.monotonic()
    while not (records := app.orchestrator.get_invocations_to_run(1, worker)):
        assert app.orchestrator.await_work(20.0)
    assert [record.invocation_id for record in records] == [invocation.invocation_id]
    assert 0.1 < time.monotonic() - began < 10
    app.close()
