"""The clocks of time limits on a clock that stands still, what a gauge shows of them, and what a parent makes of that."""

from __future__ import annotations

import threading

import pytest

from pynenc_core.errors.invocations import HardTimeoutError
from pynenc_core.model import InvocationRecord, RunnerContext
from pynenc_core.orchestration.current import Job
from pynenc_core.orchestration.executing.interrupting import UserCode
from pynenc_core.orchestration.executing.timeouts import Overrun, TimeLimits
from pynenc_core.ports.gauge import Gauge
from pynenc_core.status import Status
from pynenc_testkit.clock import ManualClock
from unit.orchestration.stage import Stage, stage

SOFT, HARD = 5.0, 10.0


class Watched:
    """The limits of one process, whose thread finds nothing to do: the test asks by itself what is over."""

    def __init__(self, scene: Stage) -> None:
        self.scene = scene
        self.clock = ManualClock()
        self.gauge = Gauge()
        self.limits = TimeLimits(self.clock, self.gauge)
        self.limits._closed = True  # no thread beside the test

    def job(self, *, soft: float = 0.0, hard: float = 0.0) -> Job:
        """Return a job under these limits."""
        (record,) = self.scene.claim(self.scene.worker()) or self._claimed()
        options = self.scene.task.definition.options
        job = Job(record, self.scene.worker(), self.scene.engine)
        self.limits.allow(job, type(options)(soft_timeout=soft, timeout=hard))
        return job

    def _claimed(self) -> list[InvocationRecord]:
        self.scene.queue()
        return self.scene.claim(self.scene.worker())

    def pass_time(self, seconds: float) -> list[tuple[Job, Overrun]]:
        """Let time pass; return what is over."""
        self.clock.advance(seconds)
        return self.limits.turn(self.clock.monotonic())[0]

    @property
    def shown(self) -> tuple[float, str]:
        """The deadline that the gauge shows, from now on, and whose it is."""
        deadline = self.gauge.deadline
        return (deadline - self.clock.monotonic() if deadline else 0.0), self.gauge.deadline_of


@pytest.fixture
def watched() -> Watched:
    with stage() as scene:
        return Watched(scene)


def test_each_limit_is_told_once_and_what_does_not_end_then_is_stuck(watched: Watched) -> None:
    job = watched.job(soft=SOFT, hard=HARD)
    code = UserCode(job)
    code.__enter__()
    assert watched.pass_time(4.9) == []
    assert watched.pass_time(0.1) == [(job, Overrun.SOFT)]
    assert watched.pass_time(4.9) == []
    assert watched.pass_time(0.1) == [(job, Overrun.HARD)]
    assert watched.pass_time(0.2) == []
    assert watched.pass_time(0.2) == [(job, Overrun.STUCK)]
    assert watched.pass_time(100) == []
    with pytest.raises(HardTimeoutError):
        code.__exit__(None, None, None)


def test_time_stands_still_while_the_job_waits(watched: Watched) -> None:
    job = watched.job(soft=SOFT, hard=HARD)
    with UserCode(job):
        assert job.allowance is not None
        watched.pass_time(4)
        job.allowance.hold()
        assert watched.pass_time(1000) == []
        assert watched.shown == (0.0, "")
        job.allowance.go_on()
        assert watched.shown == (6.0, job.invocation_id)
        assert watched.pass_time(0.5) == []
        assert watched.pass_time(0.5) == [(job, Overrun.SOFT)]
        assert watched.pass_time(4.9) == []


def test_a_hard_limit_that_met_a_pause_is_told_again_when_the_job_goes_on(watched: Watched) -> None:
    job = watched.job(hard=HARD)
    code = UserCode(job)
    code.__enter__()
    assert job.allowance is not None
    assert watched.pass_time(HARD) == [(job, Overrun.HARD)]
    job.timed_out = True
    job.allowance.hold()
    assert job.timed_out is False
    assert watched.pass_time(1) == []
    job.allowance.go_on()
    assert watched.pass_time(0) == [(job, Overrun.HARD)]
    with pytest.raises(HardTimeoutError):
        code.__exit__(None, None, None)


def test_what_ends_too_late_has_timed_out_though_nobody_could_tell_it(watched: Watched) -> None:
    job = watched.job(hard=HARD)
    with pytest.raises(HardTimeoutError, match="ran longer than 10 s"), UserCode(job):
        watched.clock.advance(HARD)
    assert watched.shown == (0.0, "")
    in_time = watched.job(hard=HARD)
    with UserCode(in_time):
        watched.clock.advance(HARD - 0.1)


def test_a_job_without_limits_has_none(watched: Watched) -> None:
    job = watched.job()
    assert job.allowance is None
    with UserCode(job):
        assert watched.pass_time(1e6) == []


def test_a_gauge_shows_the_first_deadline_and_whose_it_is(watched: Watched) -> None:
    slow, quick = watched.job(hard=20.0), watched.job(hard=HARD)
    assert watched.shown == (0.0, "")
    with UserCode(slow):
        assert watched.shown == (20.0, slow.invocation_id)
        with UserCode(quick):
            assert watched.shown == (10.0, quick.invocation_id)
        assert watched.shown == (20.0, slow.invocation_id)
        watched.limits.expect_end(slow, 5.0)
        assert watched.shown == (5.0, slow.invocation_id)
        watched.limits.forget(slow)
        assert watched.shown == (0.0, "")
    watched.limits.expect_leave(3.0)
    assert watched.shown == (3.0, "")


def test_what_was_told_to_end_has_a_while_for_it(watched: Watched) -> None:
    job = watched.job()
    with UserCode(job):
        watched.limits.expect_end(job, 5.0)
        assert watched.pass_time(4.9) == []
        assert watched.pass_time(0.1) == [(job, Overrun.STUCK)]
        assert watched.pass_time(100) == []


def test_a_thread_tells_what_is_over_and_is_woken_by_a_nearer_deadline() -> None:
    told: list[tuple[str, Overrun]] = []
    both = threading.Event()
    clock = ManualClock(ticking=True)

    def overran(job: Job, what: Overrun) -> None:
        told.append((job.invocation_id, what))
        if len(told) == 2:
            both.set()

    with stage() as scene:
        watched = Watched(scene)
        limits = TimeLimits(clock, watched.gauge)
        limits.overran = overran
        far, near = watched.job(), watched.job()
        limits.expect_end(far, 0.3)
        limits.expect_end(near, 0.05)
        assert both.wait(5)
        limits.close()
    assert told == [(near.invocation_id, Overrun.STUCK), (far.invocation_id, Overrun.STUCK)]


def overdue_stage(scene: Stage, **options: object) -> tuple[RunnerContext, str, str]:
    """Return a worker that runs one invocation of a task with these options and another one, with both ids."""
    scene.task.definition.options = type(scene.task.definition.options)(**options)  # type: ignore[arg-type] # whatever a test gives
    worker = scene.worker()
    scene.queue(2)
    overdue, beside = scene.claim(worker, 2)
    return worker, overdue.invocation_id, beside.invocation_id


def test_a_parent_ends_what_overran_and_hands_back_what_ran_beside_it() -> None:
    with stage() as scene:
        worker, overdue, beside = overdue_stage(scene, timeout=2.0)
        assert scene.app.orchestrator.end_overdue(worker.runner_id, overdue) == 2
        with pytest.raises(HardTimeoutError, match="ran longer than 2 s"):
            scene.app.get_invocation(overdue).get_result(5)
        failed, handed = (scene.app.orchestrator.record(each).state for each in (overdue, beside))
        assert (failed.status, failed.attempts, failed.crashes, failed.interruptions) == (Status.FAILED, 1, 0, 0)
        assert (handed.status, handed.attempts, handed.crashes, handed.interruptions) == (Status.REROUTED, 0, 0, 1)
        assert scene.app.orchestrator.end_overdue(worker.runner_id, overdue) == 0


def test_a_parent_lets_what_overran_be_tried_again_if_its_task_says_so() -> None:
    with stage() as scene:
        worker, overdue, _ = overdue_stage(scene, timeout=2.0, max_retries=1, retry_for=(TimeoutError,), retry_delay_sec=60.0)
        scene.app.orchestrator.end_overdue(worker.runner_id, overdue)
        state = scene.app.orchestrator.record(overdue).state
        assert (state.status, state.attempts) == (Status.SCHEDULED, 1)


@pytest.mark.parametrize("case", ["settled", "claimed by another", "the process itself", "purged"])
def test_a_parent_writes_nothing_over_what_came_first(case: str) -> None:
    with stage() as scene:
        worker, overdue, beside = overdue_stage(scene, timeout=2.0)
        named = {"the process itself": "", "purged": "nobody"}.get(case, overdue)
        if case == "settled":
            scene.move(scene.app.get_invocation(overdue), Status.SUCCESS)
        if case == "claimed by another":
            scene.app.orchestrator.kill_and_reroute(overdue, worker.runner_id)
            scene.claim(scene.worker("Other"))
        before = scene.app.orchestrator.record(overdue)
        scene.app.orchestrator.end_overdue(worker.runner_id, named)
        after = scene.app.orchestrator.record(overdue)
        if case in {"settled", "claimed by another"}:
            assert after == before
        else:
            assert (after.state.status, after.state.interruptions, after.state.attempts) == (Status.REROUTED, 1, 0)
        assert scene.app.orchestrator.record(beside).state.status is Status.REROUTED


@pytest.mark.parametrize(("settle_batch", "ends"), [(1, Status.FAILED), (8, Status.REROUTED)])
def test_a_parent_ends_what_has_certainly_overrun_as_well(settle_batch: int, ends: Status) -> None:
    """With several on hand for a slot nobody but the worker knows which of them has begun."""
    with stage(runner={"settle_batch": settle_batch}) as scene:
        worker, overdue, beside = overdue_stage(scene, timeout=2.0)
        scene.clock.advance(2.1)
        assert scene.app.orchestrator.end_overdue(worker.runner_id, overdue) == 2
        assert scene.app.orchestrator.record(overdue).state.status is Status.FAILED
        assert scene.app.orchestrator.record(beside).state.status is ends
