"""Time limits of tasks in a thread runner: soft and hard, in plain code, in coroutines, while others are waited for."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial

import pytest

from pynenc_core.errors.invocations import HardTimeoutError, SoftTimeoutError
from pynenc_core.errors.runners import TaskCancelled
from pynenc_core.invocation import Invocation
from pynenc_core.model import RunnerContext
from pynenc_core.status import Status
from unit.app.running import PATIENCE, Gate, app_of_its_own, eventually, runner_of, statuses, working_app

HARD, SOFT = 0.3, 0.2
LATEST = 1.0
"""Seconds after its limit within which an outcome is told."""


def spin(seconds: float = PATIENCE) -> None:
    """Compute, in Python, for so long."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pass


def test_plain_code_is_stopped_at_its_hard_limit() -> None:
    told: list[str] = []
    with working_app(threads=1) as app:

        @app.task(timeout=HARD)
        def endless() -> None:
            try:
                spin()
            except TaskCancelled as error:
                told.append(str(error))
                raise

        @app.task
        def other() -> int:
            return 1

        began = time.monotonic()
        invocation = endless()
        with pytest.raises(HardTimeoutError, match=r"endless ran longer than 0.3 s, its `timeout`") as caught:
            invocation.get_result(PATIENCE)
        assert HARD <= time.monotonic() - began < HARD + LATEST
        assert isinstance(caught.value, TimeoutError)
        assert "in spin" in caught.value.remote_traceback  # type: ignore[attr-defined] # set by the decoder
        assert other().get_result(5) == 1
        assert told == [f"invocation {invocation.invocation_id} is cancelled: its `timeout` is over"]
        state = invocation.record.state
        assert (state.status, state.attempts, state.crashes, state.interruptions) == ("FAILED", 1, 0, 0)


def test_what_it_returns_when_it_was_told_to_end_counts_for_nothing() -> None:
    with working_app(threads=1) as app:

        @app.task(timeout=HARD)
        def stubborn() -> str:
            try:
                spin()
            except TaskCancelled:
                return "as if nothing had happened"
            return "not told"

        with pytest.raises(HardTimeoutError):
            stubborn().get_result(PATIENCE)


def test_a_call_that_does_not_return_is_left_behind_and_its_slot_serves_others(caplog: pytest.LogCaptureFixture) -> None:
    ends = threading.Event()
    with working_app(threads=1) as app:

        @app.task(timeout=HARD)
        def deaf() -> str:
            ends.wait(PATIENCE)
            return "late"

        @app.task
        def other() -> int:
            return 1

        began = time.monotonic()
        invocation = deaf()
        with pytest.raises(HardTimeoutError) as caught:
            invocation.get_result(PATIENCE)
        assert time.monotonic() - began < HARD + LATEST
        assert "ends.wait(PATIENCE)" in "".join(caught.value.__notes__)
        assert other().get_result(5) == 1
        assert "deaf did not end when it was told to, in invocation" in caplog.text
        assert "it is left behind, and its slot serves others" in caplog.text
        ends.set()
        assert [other().get_result(5) for _ in range(20)] == [1] * 20
        assert statuses(invocation)[-1] == "FAILED"


def test_an_attempt_that_took_too_long_is_tried_again_like_any_that_failed() -> None:
    runs: list[int] = []
    with working_app(threads=1) as app:

        @app.task(timeout=HARD, max_retries=2, retry_for=(TimeoutError,))
        def second_time() -> int:
            runs.append(1)
            if len(runs) == 1:
                spin()
            return len(runs)

        invocation = second_time()
        assert invocation.get_result(PATIENCE) == 2
        assert invocation.record.state.attempts == 1
        assert "HardTimeoutError" in str([entry.status_record.reason for entry in invocation.history])


def test_the_soft_limit_is_an_exception_that_plain_code_may_catch() -> None:
    with working_app(threads=1) as app:

        @app.task(soft_timeout=SOFT, timeout=PATIENCE)
        def orderly() -> str:
            try:
                spin()
            except SoftTimeoutError as error:
                spin(0.1)
                return f"in order: {error.limit}"
            return "not told"

        @app.task(soft_timeout=SOFT)
        def disorderly() -> None:
            spin()

        assert orderly().get_result(PATIENCE) == "in order: 0.2"
        invocation = disorderly()
        with pytest.raises(SoftTimeoutError, match=r"has run for 0.2 s, its `soft_timeout`") as caught:
            invocation.get_result(PATIENCE)
        assert type(caught.value) is SoftTimeoutError
        assert isinstance(caught.value, TimeoutError)
        assert invocation.record.state.attempts == 1


def test_a_soft_limit_that_is_caught_leaves_the_hard_one() -> None:
    with working_app(threads=1) as app:

        @app.task(soft_timeout=SOFT, timeout=HARD)
        def goes_on() -> None:
            try:
                spin()
            except SoftTimeoutError:
                spin()

        with pytest.raises(HardTimeoutError):
            goes_on().get_result(PATIENCE)


def test_waiting_for_others_takes_no_time() -> None:
    gate = Gate()
    with working_app(threads=2) as app:

        @app.task
        def child() -> int:
            gate.pass_through()
            return 1

        @app.task(soft_timeout=SOFT, timeout=HARD)
        def parent() -> int:
            return child().result + child().result

        @app.task(timeout=HARD)
        def waits_and_spins() -> int:
            spin(0.2)
            value = child().result
            spin()
            return value

        invocation, endless = parent(), waits_and_spins()
        gate.wait_for(2)
        eventually(lambda: (invocation.status, endless.status) == ("PAUSED", "PAUSED"))
        assert app.wait([invocation, endless], timeout=2 * HARD)[0] == []
        gate.open()
        assert invocation.get_result(PATIENCE) == 2
        with pytest.raises(HardTimeoutError):
            endless.get_result(PATIENCE)


def test_a_soft_limit_that_ends_during_a_wait_is_raised_when_the_task_goes_on() -> None:
    with working_app(threads=2) as app:

        @app.task
        def child() -> int:
            threading.Event().wait(3 * SOFT)
            return 1

        @app.task(soft_timeout=SOFT)
        def parent() -> str:
            spin(SOFT / 2)
            child().get_result()
            try:
                spin()
            except SoftTimeoutError:
                return "told"
            return "not told"

        assert parent().get_result(PATIENCE) == "told"


def test_a_coroutine_is_stopped_where_it_awaits_and_its_loop_serves_others() -> None:
    told: list[int] = []
    with working_app(threads=1) as app:

        @app.task(timeout=HARD)
        async def endless() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                told.append(1)
                raise

        @app.task(soft_timeout=SOFT)
        async def orderly() -> str:
            try:
                await asyncio.Event().wait()
            except SoftTimeoutError:
                await asyncio.sleep(0.01)
            return "in order"

        @app.task(soft_timeout=SOFT)
        async def disorderly() -> None:
            await asyncio.Event().wait()

        with pytest.raises(HardTimeoutError):
            endless().get_result(PATIENCE)
        assert told == [1]
        assert orderly().get_result(PATIENCE) == "in order"
        with pytest.raises(SoftTimeoutError):
            disorderly().get_result(PATIENCE)
        assert orderly().get_result(PATIENCE) == "in order"


def test_a_cancelled_one_that_does_not_end_gives_its_slot_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pynenc_core.orchestration.executing.calling_off._ENDING", 0.3)
    reached, ends = threading.Event(), threading.Event()
    with working_app(threads=1) as app:

        @app.task
        def deaf() -> None:
            reached.set()
            ends.wait(PATIENCE)

        @app.task
        def other() -> int:
            return 1

        invocation = deaf()
        assert reached.wait(PATIENCE)
        invocation.cancel()
        assert other().get_result(5) == 1
        assert invocation.status == "CANCELLED"
        ends.set()


def test_a_stop_while_a_limit_is_over_keeps_its_outcome() -> None:
    ends = threading.Event()
    app = app_of_its_own(threads=1, runner={"grace_period_sec": 10.0})

    @app.task(timeout=HARD)
    def deaf() -> None:
        ends.wait(PATIENCE)

    with runner_of(app) as runner:
        invocation = deaf()
        eventually(lambda: invocation.status == "RUNNING")
        runner.stop_runner_loop()
        assert runner.wait_until_stopped(5)
    assert invocation.status == "FAILED"
    ends.set()
    app.close()


def test_a_suspect_that_is_stuck_lets_the_next_one_have_its_turn() -> None:
    ends = threading.Event()
    app = app_of_its_own(threads=2)

    @app.task(timeout=HARD)
    def deaf(n: int) -> int:
        ends.wait(PATIENCE)
        return n

    @app.task
    def other() -> int:
        return 1

    suspects = [deaf(1), deaf(2)]
    dead = RunnerContext.of_this_process("Dead")
    assert len(app.orchestrator.get_invocations_to_run(2, dead)) == 2
    assert app.orchestrator.hand_on(dead.runner_id, "exit signal 9") == 2
    with runner_of(app):
        for each in suspects:
            with pytest.raises(HardTimeoutError):
                each.get_result(PATIENCE)
            state = each.record.state
            assert (state.suspect, state.attempts, state.crashes) == (False, 1, 0)
        assert other().get_result(5) == 1
        ends.set()
    app.close()


def test_a_limit_and_a_request_to_cancel_at_once_make_one_outcome() -> None:
    with working_app(threads=4) as app:

        @app.task(timeout=HARD, max_retries=3, retry_for=(TimeoutError,), retry_delay_sec=3600)
        def endless() -> None:
            try:
                spin()
            finally:
                spin(0.05)

        for wait in (0.0, 0.1, 0.2, 0.3):
            invocation = endless()
            eventually(partial(has_one_of, invocation, Status.RUNNING))
            threading.Event().wait(wait)
            invocation.cancel()
            eventually(partial(has_one_of, invocation, Status.CANCELLED, Status.SCHEDULED))
            invocation.cancel()
            history = statuses(invocation)
            assert history.count(Status.CANCELLED) == 1
            assert history[-1] is Status.CANCELLED


def has_one_of(invocation: Invocation[None], *expected: Status) -> bool:
    return invocation.status in expected


def test_a_runner_that_claims_by_itself_keeps_the_limits_too() -> None:
    ends = threading.Event()
    app = app_of_its_own()

    @app.task(timeout=HARD)
    def endless() -> None:
        spin()

    @app.task(timeout=HARD)
    def deaf() -> None:
        ends.wait(PATIENCE)

    @app.task(soft_timeout=SOFT)
    def orderly() -> str:
        try:
            spin()
        except SoftTimeoutError:
            return "in order"
        return "not told"

    own = RunnerContext.of_this_process("Own")

    def run_one() -> None:
        (record,) = app.orchestrator.get_invocations_to_run(1, own)
        app.orchestrator.run_invocation(record, own)

    stopped = endless()
    run_one()
    assert stopped.status == "FAILED"
    told = orderly()
    run_one()
    assert told.get_result(10) == "in order"
    stuck = deaf()
    thread = threading.Thread(target=run_one)
    thread.start()
    with pytest.raises(HardTimeoutError):
        stuck.get_result(PATIENCE)
    assert thread.is_alive()
    ends.set()
    thread.join(PATIENCE)
    assert statuses(stuck) == ["REGISTERED", "PENDING", "RUNNING", "FAILED"]
    app.close()
