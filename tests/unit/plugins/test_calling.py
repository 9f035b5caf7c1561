"""How hooks are called: in order, one by one, nobody stopped by another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest

from pynenc_core.errors.plugins import PluginHookError, PluginResultError
from pynenc_core.plugins import PluginManager, hookimpl
from pynenc_core.plugins.discovery import nothing
from pynenc_core.plugins.registry import CORE


@pytest.fixture
def manager() -> PluginManager:
    return PluginManager(environ={}, find=nothing)


class Retry:
    """Answers `pynenc_decide_retry` by a function."""

    def __init__(self, answer: Callable[[], object]) -> None:
        self.answer = answer

    @hookimpl
    def pynenc_decide_retry(self, failure: object) -> object:
        del failure
        return self.answer()


class LastRetry(Retry):
    @hookimpl(trylast=True)
    def pynenc_decide_retry(self, failure: object) -> object:
        return super().pynenc_decide_retry(failure)


class FirstRetry(Retry):
    @hookimpl(tryfirst=True)
    def pynenc_decide_retry(self, failure: object) -> object:
        return super().pynenc_decide_retry(failure)


def fail() -> object:
    message = "broken inside"
    raise ValueError(message)


class TestOrder:
    def test_last_registered_first_and_the_core_last_of_all(self, manager: PluginManager) -> None:
        manager.register(Retry(lambda: "core"), CORE)
        manager.register(Retry(lambda: "a"), "a")
        manager.register(LastRetry(lambda: "late"), "late")
        manager.register(FirstRetry(lambda: "early"), "early")
        manager.register(Retry(lambda: "b"), "b")
        answers = [answer.value for answer in manager.hooks.each("pynenc_decide_retry", failure=None)]
        assert answers == ["early", "b", "a", "late", "core"]

    def test_scopes_are_entered_in_the_order_of_registration(self, manager: PluginManager) -> None:
        entered: list[str] = []

        class Scope:
            def __init__(self, name: str) -> None:
                self.name = name

            @hookimpl
            def pynenc_invocation_scope(self, invocation: object) -> AbstractContextManager[None]:
                entered.append(f"{self.name} {invocation}")
                return nullcontext()

        class Silent:
            @hookimpl
            def pynenc_invocation_scope(self) -> None: ...

        for name in ("b", "a", "c"):
            manager.register(Scope(name), name)
        manager.register(Silent(), "silent")
        assert len(manager.hooks.scopes("i1")) == 3
        assert entered == ["b i1", "a i1", "c i1"]

    def test_an_implementation_may_take_fewer_arguments(self, manager: PluginManager) -> None:
        class Short:
            @hookimpl
            def pynenc_dispatcher(self, broker: str) -> str:
                return broker

        manager.register(Short(), "short")
        assert manager.hooks.first_result("pynenc_dispatcher", str, broker="b", state_backend="s") == "b"


class TestFirstResult:
    def test_none_is_no_opinion(self, manager: PluginManager) -> None:
        manager.register(Retry(lambda: "core"), CORE)
        manager.register(Retry(lambda: None), "a")
        assert manager.hooks.first_result("pynenc_decide_retry", str, failure=None) == "core"
        manager.unregister(CORE)
        assert manager.hooks.first_result("pynenc_decide_retry", str, failure=None) is None

    def test_false_is_an_answer(self, manager: PluginManager) -> None:
        manager.register(Retry(lambda: True), CORE)
        manager.register(Retry(lambda: False), "a")
        assert manager.hooks.first_result("pynenc_decide_retry", bool, failure=None) is False

    def test_a_raise_is_an_error_that_names_the_plugin(self, manager: PluginManager) -> None:
        manager.register(Retry(fail), "bad", distribution="bad-dist 1.0")
        with pytest.raises(PluginHookError) as caught:
            manager.hooks.first_result("pynenc_decide_retry", str, failure=None)
        assert str(caught.value) == "plugin 'bad' from bad-dist 1.0 failed in its hook 'pynenc_decide_retry': ValueError: broken inside"
        assert isinstance(caught.value.__cause__, ValueError)

    def test_a_wrong_answer_is_an_error_that_names_the_plugin(self, manager: PluginManager) -> None:
        manager.register(Retry(lambda: 3), "bad")
        with pytest.raises(PluginResultError) as caught:
            manager.hooks.first_result("pynenc_decide_retry", str, failure=None)
        assert str(caught.value) == (
            "plugin 'bad' from the application returned a value of type int from its hook 'pynenc_decide_retry', which must return str"
        )

    @pytest.mark.parametrize("answer", [fail, lambda: 3], ids=["raises", "wrong type"])
    def test_tolerant_logs_it_and_asks_the_next(
        self, manager: PluginManager, caplog: pytest.LogCaptureFixture, answer: Callable[[], object]
    ) -> None:
        manager.register(Retry(lambda: "core"), CORE)
        manager.register(Retry(answer), "bad")
        assert manager.hooks.first_result("pynenc_decide_retry", str, tolerant=True, failure=None) == "core"
        assert "plugin 'bad' from the application" in caplog.text


class Observer:
    def __init__(self, seen: list[object], answer: Callable[[], object] = lambda: None) -> None:
        self.seen = seen
        self.answer = answer

    @hookimpl
    def pynenc_runner_started(self, runner: object) -> None:
        self.seen.append(runner)
        self.answer()


def test_an_observer_that_raises_is_logged_and_the_others_go_on(manager: PluginManager, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[object] = []
    manager.register(Observer(seen), "first")
    manager.register(Observer(seen, fail), "bad")
    manager.register(Observer(seen), "last")
    with caplog.at_level(logging.ERROR):
        manager.hooks.notify("pynenc_runner_started", runner="r")
    assert seen == ["r", "r", "r"]
    (record,) = caplog.records
    assert record.getMessage() == "plugin 'bad' from the application failed in its hook 'pynenc_runner_started': ValueError: broken inside"
    assert record.exc_info is not None


def test_whether_anybody_listens_can_be_asked(manager: PluginManager) -> None:
    assert not manager.hooks.implemented("pynenc_runner_started")
    manager.register(Observer([]), "a")
    assert manager.hooks.implemented("pynenc_runner_started")


@pytest.mark.parametrize("answer", [fail, lambda: 3], ids=["raises", "wrong type"])
def test_a_scope_that_cannot_be_made_is_an_error(manager: PluginManager, answer: Callable[[], object]) -> None:
    class Scope:
        @hookimpl
        def pynenc_invocation_scope(self) -> object:
            return answer()

    manager.register(Scope(), "bad")
    with pytest.raises((PluginHookError, PluginResultError), match="plugin 'bad' from the application"):
        manager.hooks.scopes("i1")


class Sections:
    """Answers `pynenc_shutdown_diagnostics` by a function."""

    def __init__(self, answer: Callable[[], object]) -> None:
        self.answer = answer

    @hookimpl
    def pynenc_shutdown_diagnostics(self) -> object:
        return self.answer()


class TestDeadline:
    def test_all_answer_in_time(self, manager: PluginManager) -> None:
        manager.register(Sections(lambda: {"a": 1}), "a")
        manager.register(Sections(fail), "bad")
        answers = list(manager.hooks.each_within("pynenc_shutdown_diagnostics", 30, event=None))
        assert [(answer.plugin, answer.value) for answer in answers] == [("bad", None), ("a", {"a": 1})]
        assert "broken inside" in str(answers[0].error)

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_one_that_would_end_its_thread_costs_nobody_the_turn(self, manager: PluginManager, error: type[BaseException]) -> None:
        def leave() -> object:
            raise error

        manager.register(Sections(lambda: {"a": 1}), "a")
        manager.register(Sections(leave), "leaves")
        left, answered = manager.hooks.each_within("pynenc_shutdown_diagnostics", 30, event=None)
        assert (left.plugin, answered.value) == ("leaves", {"a": 1})
        assert error.__name__ in str(left.error)

    def test_one_that_hangs_costs_the_deadline_once(self, manager: PluginManager) -> None:
        release = threading.Event()
        manager.register(Sections(lambda: {"never": "asked"}), "behind")
        manager.register(Sections(release.wait), "hangs")
        manager.register(Sections(lambda: {"b": 1}), "quick")
        answers = list(manager.hooks.each_within("pynenc_shutdown_diagnostics", 0.2, event=None))
        release.set()
        assert [answer.plugin for answer in answers] == ["quick", "hangs", "behind"]
        assert str(answers[1].error).endswith("'pynenc_shutdown_diagnostics': no answer within 0.2 s")
        assert str(answers[2].error).endswith("not asked: 'hangs' took all of the 0.2 s")

    def test_nobody_is_asked_where_nobody_implements_it(self, manager: PluginManager) -> None:
        assert list(manager.hooks.each_within("pynenc_shutdown_diagnostics", 0.2, event=None)) == []


class TestConfigure:
    class Configured:
        def __init__(self, seen: list[object], answer: Callable[[], object] = lambda: None) -> None:
            self.seen = seen
            self.answer = answer

        @hookimpl
        def pynenc_configure(self, settings: object) -> None:
            self.seen.append(settings)
            self.answer()

        @hookimpl
        def pynenc_runner_started(self, runner: object) -> None:
            self.seen.append(runner)

    def test_who_comes_later_is_told_too(self, manager: PluginManager) -> None:
        early: list[object] = []
        late: list[object] = []
        manager.register(self.Configured(early), "early")
        manager.configure("settings")
        manager.register(self.Configured(late), "late")
        assert (early, late) == (["settings"], ["settings"])

    def test_one_that_raises_is_left_out_and_listed(self, manager: PluginManager) -> None:
        seen: list[object] = []
        manager.register(self.Configured(seen, fail), "bad")
        manager.register(self.Configured(seen), "good")
        manager.configure("settings")
        manager.hooks.notify("pynenc_runner_started", runner="r")
        assert seen == ["settings", "settings", "r"]
        assert "failed in its hook 'pynenc_configure': ValueError: broken inside" in str(manager.broken["bad"])
        with pytest.raises(PluginHookError, match="plugin 'later' from the application failed in its hook 'pynenc_configure'"):
            manager.register(self.Configured(seen, fail), "later")
        assert "later" not in [info.name for info in manager.installed()]
