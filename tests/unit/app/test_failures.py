"""What a task raises: results that fail, attempts, retries, and exits that must not take the worker along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pynenc_core.errors.invocations import InvocationQuarantinedError, InvocationTimeoutError, RetryError
from pynenc_core.errors.serialization import ResultEncodingError
from pynenc_core.orchestration.codec import CallCodec
from unit.app.running import Gate, app_of_its_own, eventually, runner_of, statuses, working_app


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise ValueError


class CustomError(Exception):
    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(f"{code}: {hint}")
        self.code, self.hint = code, hint


class Opaque:
    """Nothing that JSON can carry."""


def test_an_exception_comes_back_as_its_class_with_the_traceback_of_the_worker() -> None:
    with working_app() as app:

        @app.task
        def divide(n: int) -> float:
            return 1 / n

        with pytest.raises(ZeroDivisionError, match="division by zero") as raised:
            divide(0).get_result(5)
        assert "return 1 / n" in "".join(raised.value.__notes__)


def test_one_with_a_constructor_of_its_own_never_becomes_a_type_error() -> None:
    with working_app() as app:

        @app.task
        def fail() -> None:
            raise CustomError(7, hint="low tide")

        with pytest.raises(Exception, match="7: low tide") as raised:
            fail().get_result(5)
        assert not isinstance(raised.value, TypeError)


def test_one_whose_message_cannot_be_made_ends_failed() -> None:
    with working_app() as app:

        @app.task
        def fail() -> None:
            raise UnprintableError

        invocation = fail()
        eventually(lambda: invocation.is_final)
        assert invocation.status == "FAILED"
        with pytest.raises(Exception):  # noqa: B017, PT011 - which class it comes back as is the serializer's
            invocation.get_result(10)


@pytest.mark.parametrize("leaving", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_leaving_the_process_ends_the_task_and_not_the_worker(leaving: type[BaseException]) -> None:
    with working_app(threads=1) as app:

        @app.task
        def leaves() -> None:
            raise leaving

        @app.task
        def other() -> int:
            return 1

        invocation = leaves()
        assert other().get_result(5) == 1
        assert invocation.status == "FAILED"


def test_a_result_that_cannot_be_encoded_ends_failed_and_names_the_task() -> None:
    with working_app(threads=1) as app:

        @app.task
        def opaque() -> Any:
            return Opaque()

        @app.task
        def other() -> int:
            return 1

        invocation = opaque()
        with pytest.raises(ResultEncodingError, match="opaque"):
            invocation.get_result(5)
        assert invocation.status == "FAILED"
        assert other().get_result(5) == 1


def test_a_result_that_contradicts_its_annotation_ends_failed() -> None:
    with working_app() as app:

        @app.task
        def wrong() -> int:
            return "seven"  # type: ignore[return-value] # the point of the test

        with pytest.raises(ResultEncodingError):
            wrong().get_result(5)


def test_a_bounded_wait_says_where_the_invocation_is() -> None:
    app = app_of_its_own()

    @app.task
    def one() -> int:
        return 1

    invocation = one()
    with pytest.raises(InvocationTimeoutError, match=r"is still REGISTERED after 0\.05 s"):
        invocation.get_result(0.05)
    with pytest.raises(TimeoutError):
        invocation.get_result(0)


def test_it_is_tried_as_often_as_allowed_and_each_attempt_is_counted() -> None:
    runs: list[int] = []
    with working_app() as app:

        @app.task(max_retries=2, retry_for=(OSError,))
        def unsteady(good_at: int) -> int:
            runs.append(1)
            if len(runs) < good_at:
                raise OSError(len(runs))
            return len(runs)

        succeeding = unsteady(3)
        assert succeeding.get_result(5) == 3
        assert succeeding.record.state.attempts == 2
        assert statuses(succeeding) == [
            "REGISTERED", "PENDING", "RUNNING", "RETRY", "PENDING", "RUNNING", "RETRY", "PENDING", "RUNNING", "SUCCESS",
        ]  # fmt: skip
        runs.clear()
        failing = unsteady(9)
        with pytest.raises(OSError, match="3"):
            failing.get_result(5)
        state = failing.record.state
        assert (state.attempts, state.crashes, state.interruptions) == (3, 0, 0)


def test_only_what_is_named_is_tried_again() -> None:
    runs: list[int] = []
    with working_app() as app:

        @app.task(max_retries=5, retry_for=(OSError,))
        def wrong() -> None:
            runs.append(1)
            raise LookupError

        with pytest.raises(LookupError):
            wrong().get_result(5)
        assert runs == [1]


def test_a_task_asks_to_be_tried_again_after_a_time() -> None:
    app = app_of_its_own()

    @app.task(max_retries=1)
    def later() -> None:
        raise RetryError(delay=3600)

    invocation = later()
    with runner_of(app):
        eventually(lambda: invocation.status == "SCHEDULED")
        state = invocation.record.state
        assert state.due is not None
        assert 3590 < state.due - state.since <= 3600
        assert state.attempts == 1


def test_what_is_due_after_a_short_delay_runs_without_anybody_asking() -> None:
    runs: list[int] = []
    with working_app() as app:

        @app.task(max_retries=1)
        def later() -> int:
            runs.append(1)
            if len(runs) == 1:
                raise RetryError(delay=0.2)
            return len(runs)

        assert later().get_result(10) == 2


def test_a_backoff_too_large_for_a_number_is_the_longest_delay() -> None:
    with working_app() as app:

        @app.task(max_retries=3, retry_for=(OSError,), retry_delay_sec=0.01, retry_backoff=1e300, retry_max_delay_sec=0.02)
        def failing() -> None:
            raise OSError("too large")

        invocation = failing()
        with pytest.raises(OSError, match="too large"):
            invocation.get_result(10)
        assert invocation.record.state.attempts == 4


@pytest.mark.parametrize(("asked", "least"), [(float("inf"), 90.0), (float("nan"), 90.0), (-5.0, 0.0)])
def test_a_time_that_is_none_is_not_slept(asked: float, least: float) -> None:
    app = app_of_its_own()

    @app.task(max_retries=1, retry_max_delay_sec=90.0)
    def later() -> None:
        raise RetryError(delay=asked)

    invocation = later()
    with runner_of(app):
        eventually(lambda: invocation.record.state.attempts > 0)
        state = invocation.record.state
        assert (state.due or state.since) - state.since == pytest.approx(least, abs=1.0)


def test_a_retry_that_would_come_too_late_is_not_waited_for() -> None:
    with working_app() as app:

        @app.task(max_retries=3, expires=60.0)
        def later() -> None:
            raise RetryError("the tide is out", delay=3600)

        invocation = later()
        with pytest.raises(RetryError, match="the tide is out"):
            invocation.get_result(10)
        assert (invocation.status, invocation.record.state.attempts) == ("FAILED", 1)


def test_an_error_of_the_executor_is_charged_like_a_crash_and_does_not_go_on_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no longer whole")

    runs: list[int] = []
    with working_app() as app:
        monkeypatch.setattr(CallCodec, "encode_error", fail)

        @app.task
        def wrong() -> None:
            runs.append(1)
            raise LookupError

        invocation = wrong()
        with pytest.raises(InvocationQuarantinedError, match="the executor failed, 3 times by now"):
            invocation.get_result(10)
        assert (len(runs), invocation.record.state.crashes, invocation.record.state.attempts) == (3, 3, 0)
    assert "no longer whole" in caplog.text


def test_a_shutdown_is_no_failed_attempt() -> None:
    gate = Gate()
    app = app_of_its_own(runner={"grace_period_sec": 0.05})

    @app.task
    def long() -> int:
        gate.pass_through()
        return 1

    invocation = long()
    with runner_of(app):
        gate.wait_for()
    state = invocation.record.state
    assert (state.status, state.attempts, state.crashes, state.interruptions) == ("REROUTED", 0, 0, 1)
    gate.open()
    with runner_of(app):
        assert invocation.get_result(5) == 1


def test_work_handed_back_at_a_stop_is_not_settled_by_who_lost_it() -> None:
    gate, second = Gate(), Gate()
    app = app_of_its_own(runner={"grace_period_sec": 0.05})
    gates = [gate, second]

    @app.task
    def long() -> str:
        mine = gates.pop(0)
        mine.pass_through()
        return "first" if mine is gate else "second"

    invocation = long()
    with runner_of(app):
        gate.wait_for()
    with runner_of(app):
        second.wait_for()
        gate.open()
        second.open()
        assert invocation.get_result(5) == "second"


def test_arguments_that_no_longer_fit_are_set_aside_with_the_reason(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    old = app_of_its_own(url)
    new = app_of_its_own(url, app_id=old.app_id)

    def job(n: int) -> int:
        return n

    made = old.task(job)(1)

    def changed(m: str) -> str:
        return m

    changed.__qualname__ = job.__qualname__
    new.task(changed)
    with runner_of(new):
        eventually(lambda: made.is_final)
    assert made.status == "QUARANTINED"
    with pytest.raises(InvocationQuarantinedError, match="job"):
        made.get_result(10)
    old.close()
    new.close()
