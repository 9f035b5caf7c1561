"""Plugins around executions: scopes, decisions about retries, observers, and what becomes of one that raises."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

import pytest

from pynenc_core.model import Change, InvocationRecord
from pynenc_core.plugins import PluginManager, hookimpl
from pynenc_core.ports.retries import Failure, RetryDecision
from unit.app.running import app_of_its_own, eventually, runner_of

Scope = AbstractContextManager[Any] | AbstractAsyncContextManager[Any] | None


class Scoped:
    """A plugin with a scope around each invocation."""

    def __init__(self, make: Callable[[str], Scope]) -> None:
        self.make = make

    @hookimpl
    def pynenc_invocation_scope(self, invocation: object) -> Scope:
        assert isinstance(invocation, InvocationRecord)
        return self.make(invocation.invocation_id)


class Deciding:
    """A plugin that decides about retries."""

    def __init__(self, decide: Callable[[Failure], object]) -> None:
        self.decide = decide

    @hookimpl
    def pynenc_decide_retry(self, failure: object) -> object:
        assert isinstance(failure, Failure)
        return self.decide(failure)


class Observing:
    """A plugin that is told of changes."""

    def __init__(self, see: Callable[[Change], None]) -> None:
        self.see = see

    @hookimpl
    def pynenc_invocation_changed(self, change: object) -> None:
        assert isinstance(change, Change)
        self.see(change)


def plugins(*given: object) -> PluginManager:
    """Return the installed plugins and these."""
    manager = PluginManager()
    for number, plugin in enumerate(given):
        manager.register(plugin, f"plugin-{number}")
    return manager


class TestScopes:
    def test_a_plain_one_is_around_a_plain_function_and_around_a_coroutine(self) -> None:
        seen: list[str] = []

        @contextmanager
        def scope(name: str) -> Iterator[None]:
            seen.append(f"enter {name}")
            yield
            seen.append(f"leave {name}")

        app = app_of_its_own(threads=1, plugins=plugins(Scoped(scope)))

        @app.task
        def plain() -> int:
            seen.append("run")
            return 1

        @app.task
        async def coroutine() -> int:
            await asyncio.sleep(0)
            seen.append("run")
            return 2

        with runner_of(app):
            for task in (plain, coroutine):
                seen.clear()
                invocation = task()
                invocation.get_result(5)
                name = invocation.invocation_id
                assert seen == [f"enter {name}", "run", f"leave {name}"]

    def test_an_asynchronous_one_is_around_coroutines_in_their_loop_and_passes_plain_functions_by(self) -> None:
        seen: list[str] = []

        @asynccontextmanager
        async def scope(name: str) -> AsyncIterator[None]:
            seen.append(f"enter {name}")
            await asyncio.sleep(0)
            yield
            await asyncio.sleep(0)
            seen.append(f"leave {name}")

        app = app_of_its_own(threads=1, plugins=plugins(Scoped(scope)))

        @app.task
        def plain() -> int:
            return 1

        @app.task
        async def coroutine() -> int:
            return 2

        with runner_of(app):
            assert plain().get_result(5) == 1
            assert seen == []
            invocation = coroutine()
            assert invocation.get_result(5) == 2
            assert seen == [f"enter {invocation.invocation_id}", f"leave {invocation.invocation_id}"]

    def test_it_sees_what_the_task_raises_and_cannot_swallow_it(self) -> None:
        seen: list[BaseException] = []

        @contextmanager
        def scope(name: str) -> Iterator[None]:
            del name
            try:
                yield
            except LookupError as error:
                seen.append(error)

        app = app_of_its_own(plugins=plugins(Scoped(scope)))

        @app.task
        def fail() -> int:
            raise LookupError("lost")

        with runner_of(app), pytest.raises(LookupError, match="lost"):
            fail().get_result(5)
        assert [str(error) for error in seen] == ["lost"]

    def test_one_that_raises_is_the_failure_of_the_invocation(self) -> None:
        def scope(name: str) -> Scope:
            raise OSError(f"no scope for {name}")

        app, ran = app_of_its_own(plugins=plugins(Scoped(scope))), []

        @app.task
        def note() -> None:
            ran.append(1)

        with runner_of(app):
            invocation = note()
            with pytest.raises(Exception, match="no scope for"):
                invocation.get_result(5)
        assert invocation.status == "FAILED"
        assert ran == []

    def test_nothing_is_around_what_declines(self) -> None:
        app = app_of_its_own(plugins=plugins(Scoped(lambda _: None)))

        @app.task
        def one() -> int:
            return 1

        with runner_of(app):
            assert one().get_result(5) == 1


class TestDecidingAboutRetries:
    def test_the_first_answer_counts_before_the_options_of_the_task(self) -> None:
        asked: list[tuple[str, int]] = []

        def decide(failure: Failure) -> RetryDecision:
            asked.append((type(failure.exception).__name__, failure.attempts))
            return RetryDecision(again=failure.attempts < 2)

        app = app_of_its_own(plugins=plugins(Deciding(decide)))

        @app.task(max_retries=0)
        def fail() -> int:
            raise LookupError

        with runner_of(app):
            invocation = fail()
            with pytest.raises(LookupError):
                invocation.get_result(5)
        assert asked == [("LookupError", 0), ("LookupError", 1), ("LookupError", 2)]
        assert invocation.record.state.attempts == 3

    @pytest.mark.parametrize("answer", ["raises", "nonsense"])
    def test_one_that_fails_is_named_in_the_log_and_the_options_of_the_task_count(
        self, answer: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        def decide(failure: Failure) -> object:
            if answer == "raises":
                raise OSError(failure.task_id)
            return answer

        app, runs = app_of_its_own(plugins=plugins(Deciding(decide))), []

        @app.task(max_retries=1, retry_for=(LookupError,))
        def unsteady() -> int:
            runs.append(1)
            if len(runs) == 1:
                raise LookupError
            return len(runs)

        with runner_of(app):
            assert unsteady().get_result(5) == 2
        assert any("plugin-0" in record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)


class TestObservers:
    def test_each_is_told_of_every_written_outcome_and_one_that_raises_stops_nobody(self, caplog: pytest.LogCaptureFixture) -> None:
        told: list[tuple[str, str]] = []

        def fail(change: Change) -> None:
            raise OSError(change.invocation_id)

        def note(change: Change) -> None:
            told.append((change.invocation_id, str(change.to)))

        app = app_of_its_own(plugins=plugins(Observing(note), Observing(fail), Observing(note)))

        @app.task
        def one() -> int:
            return 1

        with runner_of(app):
            invocation = one()
            assert invocation.get_result(5) == 1
            eventually(lambda: len(told) == 2, "both being told")
        assert told == [(invocation.invocation_id, "SUCCESS")] * 2
        assert any("plugin-1" in record.getMessage() for record in caplog.records)

    def test_a_cancellation_from_outside_is_told_of_too(self) -> None:
        told: list[str] = []
        app = app_of_its_own(plugins=plugins(Observing(lambda change: told.append(str(change.to)))))

        @app.task
        def one() -> int:
            return 1

        one().cancel()
        assert told == ["CANCELLED"]

    def test_what_recovery_does_is_told_of_too(self) -> None:
        told: list[str] = []
        app = app_of_its_own(plugins=plugins(Observing(lambda change: told.append(str(change.to)))))

        @app.task
        def one() -> int:
            return 1

        one()
        context = app.orchestrator.routing.context()
        app.orchestrator.get_invocations_to_run(1, context)
        app.orchestrator.hand_on(context.runner_id, "it was killed")
        assert told == ["REROUTED"]
