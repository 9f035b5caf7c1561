"""What `BaseRunner` promises those who subclass it, sentence by sentence."""

from __future__ import annotations

import asyncio
import logging
import pickle
import signal
import threading
from typing import Any

import pytest

from pynenc_core.config import RunnerSettings
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.errors.runners import AppLocatorError
from pynenc_core.model import RunnerContext
from pynenc_core.orchestration.current import current_context, current_runner
from pynenc_core.ports.runner import BaseRunner
from unit.ports.tiny import TinyRunner, View, new_view, raising

START = [
    "store TinyRunner",
    "import_task_modules",
    "register_core_tasks",
    "register_deferred_triggers",
    "duties.start",
    "announce",
    "_on_start",
]
END = ["_on_stop_runner_loop", "duties.stand_down", "_on_stop", "duties.stop", "retire"]


@pytest.fixture
def view() -> View:
    """Return an app that notes what is asked of it."""
    return new_view()


@pytest.fixture
def runner(view: View) -> TinyRunner:
    """Return a runner that would stop in its first iteration."""
    return TinyRunner(view)


class TestItsLife:
    """From the start to the release of who waits for its end."""

    def test_a_run_has_this_order(self, view: View, runner: TinyRunner) -> None:
        runner.run()
        assert view.notes == [*START, "report_shutdown None", *END]

    def test_it_is_the_current_one_from_before_the_start_to_the_very_end(self, runner: TinyRunner, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[tuple[object, object]] = []
        for name in ("init_trigger_tasks_modules", "_on_start", "runner_loop_iteration", "_log_shutdown", "_on_stop"):
            monkeypatch.setattr(TinyRunner, name, _watched(getattr(TinyRunner, name), seen))
        runner.run()
        assert seen == [(runner, runner.runner_context)] * 5
        assert (current_runner.get(), current_context.get()) == (None, None)

    def test_waiters_are_released_last(self, view: View, runner: TinyRunner) -> None:
        begun, seen = threading.Event(), list[str]()

        def wait() -> None:
            begun.wait(10)
            if runner.wait_until_stopped(10):
                seen.extend(view.notes)

        waiting = threading.Thread(target=wait)
        waiting.start()
        runner.steps = [begun.set, lambda: seen.extend([] if runner.wait_until_stopped(0) else ["it runs"])]
        runner.run()
        waiting.join(10)
        assert seen == ["it runs", *view.notes]

    def test_one_that_never_started_is_stopped(self, runner: TinyRunner) -> None:
        assert runner.wait_until_stopped(0.0)
        assert not runner.running

    def test_one_that_is_stopped_before_it_starts_starts_nothing(self, view: View, runner: TinyRunner) -> None:
        runner.stop_runner_loop()
        runner.run()
        assert view.notes == ["report_shutdown None", *END]
        assert runner.wait_until_stopped(0.0)

    def test_a_stop_while_it_starts_is_not_forgotten(self, view: View, runner: TinyRunner, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(TinyRunner, "_on_start", lambda self: self.stop_runner_loop(signal.SIGTERM))
        runner.steps = [lambda: view.notes.append("an iteration")]
        runner.run()
        assert view.notes == [*START[:-1], f"report_shutdown {signal.SIGTERM!r}", *END]


class TestErrors:
    """What an iteration raises."""

    def test_an_unreachable_store_is_said_once_and_waited_for_longer_and_longer(
        self, runner: TinyRunner, caplog: pytest.LogCaptureFixture
    ) -> None:
        gone = [
            raising(BackendUnavailableError("the store", "gone")),
            raising(ConnectionResetError("gone")),
            raising(ConnectionRefusedError()),
        ]
        runner.steps = [*gone, *gone, lambda: None, *gone]
        runner.run()
        assert runner.pauses == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 0.1, 0.2, 0.4]
        assert len([record for record in caplog.records if "waits for its store" in record.getMessage()]) == 2
        assert not runner.steps

    def test_an_error_of_one_invocation_is_logged_with_it_and_does_not_make_the_loop_spin(
        self, view: View, runner: TinyRunner, caplog: pytest.LogCaptureFixture
    ) -> None:
        runner.steps = [raising(AppLocatorError("shop:app", "of invocation 4711")), lambda: view.notes.append("next")]
        runner.run()
        (told,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert told.exc_info is not None
        assert "of invocation 4711" in str(told.exc_info[1])
        assert "next" in view.notes
        assert runner.pauses == [RunnerSettings().runner_loop_sleep_time_sec]

    def test_a_keyboard_interrupt_is_a_clean_stop(self, view: View, runner: TinyRunner) -> None:
        runner.steps = [raising(KeyboardInterrupt())]
        runner.run()
        assert view.notes == [*START, f"report_shutdown {signal.SIGINT!r}", *END]

    @pytest.mark.parametrize("error", [ZeroDivisionError("a defect"), SystemExit(3)])
    def test_anything_else_is_logged_and_raised_after_everything_was_stopped(
        self, view: View, runner: TinyRunner, error: BaseException, caplog: pytest.LogCaptureFixture
    ) -> None:
        runner.steps = [raising(error)]
        with pytest.raises(type(error)):
            runner.run()
        assert view.notes[-5:] == END
        assert runner.wait_until_stopped(0.0)
        assert any(record.exc_info and record.exc_info[1] is error for record in caplog.records)

    def test_so_is_what_its_start_raises(self, view: View, runner: TinyRunner, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(TinyRunner, "_on_start", lambda _: raising(OSError("no threads left"))())
        with pytest.raises(OSError, match="no threads left"):
            runner.run()
        assert view.notes[-5:] == END
        assert runner.wait_until_stopped(0.0)

    def test_what_its_stop_raises_releases_the_waiters_all_the_same(
        self, view: View, runner: TinyRunner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(TinyRunner, "_on_stop", lambda _: raising(OSError("cannot stop"))())
        with pytest.raises(OSError, match="cannot stop"):
            runner.run()
        assert view.notes[-2:] == ["duties.stop", "retire"]
        assert runner.wait_until_stopped(0.0)


class TestSignals:
    """A handler may interrupt whoever holds any lock."""

    def test_a_signal_ends_the_loop_and_is_told(self, view: View, runner: TinyRunner) -> None:
        runner.steps = [lambda: signal.raise_signal(signal.SIGTERM), lambda: view.notes.append("too late")]
        runner.run()
        assert view.notes == [*START, f"report_shutdown {int(signal.SIGTERM)}", *END]

    def test_it_may_be_registered_as_a_handler(self, view: View, runner: TinyRunner) -> None:
        def interrupted() -> None:
            with view.orchestrator.lock:  # which waking the runner takes
                signal.raise_signal(signal.SIGUSR1)

        before = signal.signal(signal.SIGUSR1, runner.stop_runner_loop)
        try:
            runner.steps = [interrupted, lambda: view.notes.append("too late")]
            runner.run()
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert view.notes == [*START, f"report_shutdown {int(signal.SIGUSR1)}", *END]
        assert runner._woken.wait(10)

    def test_a_second_request_makes_it_hurry(self, runner: TinyRunner) -> None:
        runner.stop_runner_loop(signal.SIGTERM)
        assert not runner.hurry.is_set()
        runner.stop_runner_loop(signal.SIGINT)
        assert runner.hurry.is_set()
        assert runner.stop_signal == signal.SIGTERM

    def test_outside_the_main_thread_they_are_left_alone_with_a_warning(self, runner: TinyRunner, caplog: pytest.LogCaptureFixture) -> None:
        before = signal.getsignal(signal.SIGTERM)
        seen: list[Any] = []
        runner.steps = [lambda: seen.append(signal.getsignal(signal.SIGTERM))]
        thread = threading.Thread(target=runner.run)
        thread.start()
        thread.join(10)
        assert seen == [before]
        assert any("signals are left alone" in record.getMessage() for record in caplog.records)


class TestPickling:
    """A copy is the same runner, which does not run."""

    def test_of_one_that_runs(self, runner: TinyRunner) -> None:
        copies: list[TinyRunner] = []
        runner.steps = [lambda: copies.append(_copied(runner))]
        runner.run()
        (copy,) = copies
        assert (copy.runner_id, copy.running, copy.stops_asked) == (runner.runner_id, False, 0)
        assert copy.wait_until_stopped(0.0)
        copy.run()
        assert copy.wait_until_stopped(0.0)

    def test_a_cache_of_its_own_making_is_made_again(self, view: View, runner: TinyRunner) -> None:
        runner.cache["number"] = 1
        copy = _copied(runner)
        assert copy.cache == {"of": runner.runner_id}
        assert view.caches == 2

    def test_a_cache_that_was_given_travels_along(self, view: View) -> None:
        runner = TinyRunner(view, runner_cache={"number": 1})
        assert _copied(runner).cache == {"number": 1}
        assert view.caches == 0


class TestChildren:
    """What a runner with processes asks for."""

    def test_a_new_child_is_stored_and_has_a_heartbeat_before_anybody_lists_it(self, view: View, runner: TinyRunner) -> None:
        child = RunnerContext.of_this_process("Child", parent=runner.runner_context)
        runner._register_new_child_runner_context(child)
        assert view.notes == ["store Child", f"beat {child.runner_id}"]

    def test_all_share_the_cache_of_the_first(self, view: View, runner: TinyRunner) -> None:
        child = TinyRunner(view, runner_context=RunnerContext.of_this_process("Child", parent=runner.runner_context))
        assert child.cache == runner.cache == {"of": runner.runner_id}

    def test_an_invocation_is_handed_back_for_itself_or_for_a_child(self, view: View, runner: TinyRunner) -> None:
        child = RunnerContext.of_this_process("Child", parent=runner.runner_context)
        assert runner._kill_and_reroute("running")
        assert not runner._kill_and_reroute("final", child)
        assert view.notes == [f"reroute running of {runner.runner_id}", f"reroute final of {child.runner_id}"]

    def test_heartbeats_and_services_can_be_asked_for_now(self, view: View, runner: TinyRunner) -> None:
        runner._report_child_runner_heartbeats()
        runner._check_atomic_services()
        assert view.notes == ["duties.beat_now", "duties.check_services"]


class TestWaiting:
    """Inside an invocation as the runner says; outside of one for a bounded time."""

    def test_inside_it_is_the_subclass_that_waits(self, runner: TinyRunner) -> None:
        assert runner.waiting_for_results("me", ["a", "b"], {"timeout": 1.0}) == {"me", "a", "b", "timeout"}
        assert asyncio.run(runner.async_waiting_for_results("me", ["a"])) == {"me", "a"}

    def test_outside_the_wait_is_bounded(self, view: View, runner: TinyRunner) -> None:
        for arguments in (None, {"timeout": 0.5}, {"timeout": 60}):
            assert runner.waiting_for_results("", ["a"], arguments) == frozenset()
            assert asyncio.run(runner.async_waiting_for_results("", ["a"], arguments)) == frozenset()
        assert view.orchestrator.waits == [5.0, 5.0, 0.5, 0.5, 5.0, 5.0]


def _copied(runner: TinyRunner) -> TinyRunner:
    runner.steps, steps = [], runner.steps
    try:
        copy = pickle.loads(pickle.dumps(runner))  # noqa: S301 - our own, made a moment ago
    finally:
        runner.steps = steps
    assert isinstance(copy, TinyRunner)
    return copy


def _watched(method: Any, seen: list[tuple[object, object]]) -> Any:
    def watched(self: BaseRunner, *arguments: object) -> object:
        seen.append((current_runner.get(), current_context.get()))
        return method(self, *arguments)

    return watched
