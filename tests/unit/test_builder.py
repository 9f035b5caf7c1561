"""`PynencBuilder`: what each call sets, which call wins, methods of plugins, and what is refused when the app is made."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pynenc_core import Pynenc, PynencBuilder
from pynenc_core.errors.builder import UnknownBuilderMethodError
from pynenc_core.errors.configuration import InvalidSettingError, UnknownSettingError
from pynenc_core.errors.plugins import (
    CapabilityError,
    PluginConflictError,
    PluginResultError,
    PluginTargetError,
    UnknownPluginError,
)
from pynenc_core.errors.serialization import SigningKeyError
from pynenc_core.locator import locate
from pynenc_core.plugins import BuilderMethodSpec, PluginManager, RunnerSpec, hookimpl
from pynenc_core.plugins.discovery import Discovery, InstalledPlugin, nothing

KEY = "correct-horse-battery-staple-0123"
HERE = __name__


def swift_runner(*, max_threads: int | None = None) -> dict[str, object]:
    """Run swiftly."""
    return {"runner_cls": "swift", **({} if max_threads is None else {"runner.max_threads": max_threads})}


def far(place: str) -> dict[str, object]:
    return {"url": f"far://{place}"}


def wrong() -> list[str]:
    return []


class Plugin:
    """Brings two runners, one of which needs processes, and methods of which some are wrong."""

    @hookimpl
    def pynenc_runners(self) -> list[RunnerSpec]:
        return [RunnerSpec(name="pool", target="plug_code:Pool"), RunnerSpec(name="swift", target="plug_code:Swift", mem_compatible=True)]

    @hookimpl
    def pynenc_builder_methods(self) -> list[BuilderMethodSpec]:
        names = {"swift_runner": "runner", "far": "backend", "wrong": "other"}
        specs = [BuilderMethodSpec(name=name, kind=kind, target=f"plug_builder:{name}") for name, kind in names.items()]
        return [*specs, BuilderMethodSpec(name="absent", target="plug_builder:absent")]


class Backend:
    """Brings storage that only one process sees."""

    def __init__(self) -> None:
        from pynenc_core.plugins import BackendSpec, BrokerSpec, StateBackendSpec

        self.specs = (
            BrokerSpec(name="far", target="plug_code:Broker", crosses_processes=False),
            StateBackendSpec(name="far", target="plug_code:State", crosses_processes=False),
            BackendSpec(name="far", schemes=("far",), broker="far", state_backend="far", crosses_processes=False),
        )

    @hookimpl
    def pynenc_brokers(self) -> list[Any]:
        return [self.specs[0]]

    @hookimpl
    def pynenc_state_backends(self) -> list[Any]:
        return [self.specs[1]]

    @hookimpl
    def pynenc_backends(self) -> list[Any]:
        return [self.specs[2]]


@pytest.fixture(autouse=True)
def _module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Put the functions of the plugin where its targets say, and begin in an empty folder."""
    import sys
    import types

    module = types.ModuleType("plug_builder")
    vars(module).update(swift_runner=swift_runner, far=far, wrong=wrong)
    monkeypatch.setitem(sys.modules, "plug_builder", module)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def plugins() -> PluginManager:
    """A manager that sees nothing of what is installed here."""
    manager = PluginManager(environ={}, find=nothing)
    manager.register(Plugin(), "swift", distribution="pynenc-swift 1.0")
    manager.register(Backend(), "far", distribution="pynenc-far 1.0")
    return manager


@pytest.fixture
def builder(plugins: PluginManager) -> PynencBuilder:
    return PynencBuilder(plugins=plugins)


def test_every_method_of_the_core_sets_what_it_says(builder: PynencBuilder) -> None:
    app = (
        builder.app_id("shop")
        .backend("far://there")
        .concurrency_control(running_concurrency="keys", registration_concurrency="task", key_arguments=["a"])
        .serializer_json()
        .client_data_store(min_size_to_cache=10, local_cache_size=20)
        .task_modules("one", "two")
        .trigger_task_modules("three")
        .task_control(max_retries=4)
        .max_pending_seconds(7)
        .logging_level("debug")
        .logging_stream("stdout")
        .logging_format("json")
        .dev_mode()
        .custom_config(runner={"queues": ("fast", "slow")})
        .build()
    )
    changed = {line.key: line.value for line in app.conf.origins() if not line.is_default}
    assert changed == {
        "app_id": "shop",
        "url": "far://there",
        "task.running_concurrency": "keys",
        "task.registration_concurrency": "task",
        "task.key_arguments": ["a"],
        "serializer_cls": "json",
        "client_data.disabled": False,
        "client_data.min_size_to_cache": 10,
        "client_data.local_cache_size": 20,
        "task_modules": ["one", "two"],
        "trigger_task_modules": ["three"],
        "task.max_retries": 4,
        "orchestrator.max_pending_seconds": 7.0,
        "logging_level": "debug",
        "logging_stream": "stdout",
        "logging_format": "json",
        "dev_mode_force_sync_tasks": True,
        "runner.queues": ["fast", "slow"],
    }


def test_everything_comes_from_code_by_the_builder(builder: PynencBuilder) -> None:
    app = builder.app_id("shop").disable_client_data_store().build()
    assert {line.origin for line in app.conf.origins() if not line.is_default} == {"code, builder"}
    assert app.conf.client_data.disabled


def test_the_builder_wins_over_variables_and_files(builder: PynencBuilder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text('app_id = "of-the-file"\nlogging_level = "warning"\nlogging_format = "json"\n')
    monkeypatch.setenv("PYNENC__APP_ID", "of-the-variable")
    monkeypatch.setenv("PYNENC__LOGGING_FORMAT", "text")
    app = builder.config_file("shop.toml").app_id("of-the-builder").build()
    chosen = app.conf.app
    assert (chosen.app_id, chosen.logging_level, chosen.logging_format) == ("of-the-builder", "warning", "text")


@pytest.mark.parametrize(
    "calls",
    [
        lambda builder: builder.custom_config(runner={"max_threads": 9, "queues": ("a",)}).swift_runner(max_threads=2),
        lambda builder: builder.swift_runner(max_threads=9).custom_config(runner={"max_threads": 2, "queues": ("a",)}),
        lambda builder: (
            builder.custom_config(runner={"max_threads": 1})
            .swift_runner(max_threads=9)
            .custom_config(runner={"queues": ("a",), "max_threads": 2})
        ),
    ],
    ids=["plugin last", "nested last", "nested twice"],
)
def test_a_later_call_wins_setting_by_setting(builder: PynencBuilder, calls: Callable[[PynencBuilder], PynencBuilder]) -> None:
    runner = calls(builder).build().conf.runner
    assert (runner.max_threads, runner.queues) == (2, ("a",))


def test_options_of_one_task_go_over_its_decorator(builder: PynencBuilder) -> None:
    app = builder.task_control(max_retries=1).task_control("shop.jobs.add", max_retries=5).build()
    assert app.conf.task_options("shop.jobs.add", {"max_retries": 2}).max_retries == 5
    assert app.conf.task_options("shop.jobs.other", {}).max_retries == 1


def test_a_method_of_a_plugin_is_called_with_its_arguments_and_goes_on_as_the_builder(builder: PynencBuilder) -> None:
    app = builder.swift_runner(max_threads=3).app_id("shop").build()
    assert (app.conf.app.runner_cls, app.conf.runner.max_threads, app.app_id) == ("swift", 3, "shop")


def test_methods_of_plugins_are_listed_and_documented(builder: PynencBuilder) -> None:
    assert {"swift_runner", "far", "app_id", "build"} <= set(dir(builder))
    assert builder.swift_runner.__doc__ == "Run swiftly."


def test_wrong_arguments_are_an_ordinary_type_error(builder: PynencBuilder) -> None:
    with pytest.raises(TypeError, match=r"swift_runner\(\) got an unexpected keyword argument 'threads'"):
        builder.swift_runner(threads=3)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("swift_runer", "did you mean 'swift_runner'? If not: pip install pynenc-backend-swift-runer"),
        ("quantum_runner", "methods of installed plugins: absent, far, swift_runner, wrong; pip install pynenc-runner-quantum"),
        ("blackhole", "methods of installed plugins: absent, far, swift_runner, wrong; pip install pynenc-backend-blackhole"),
        ("max_pending_second", "did you mean 'max_pending_seconds'? If not: pip install pynenc-backend-max-pending-second"),
        ("Shop", "methods of installed plugins: absent, far, swift_runner, wrong; pip install pynenc-backend-shop"),
    ],
)
def test_a_method_that_nobody_brings_says_what_was_perhaps_meant_and_what_to_install(
    builder: PynencBuilder, method: str, message: str
) -> None:
    with pytest.raises(UnknownBuilderMethodError) as caught:
        getattr(builder, method)
    assert str(caught.value) == f"PynencBuilder has no method {method!r}; {message}"


def test_with_nothing_installed_the_package_is_named_all_the_same() -> None:
    alone = PynencBuilder(plugins=PluginManager(environ={}, find=nothing))
    with pytest.raises(UnknownBuilderMethodError) as caught:
        alone.swift_runner()
    assert (
        str(caught.value)
        == "PynencBuilder has no method 'swift_runner'; methods of installed plugins: none; pip install pynenc-runner-swift"
    )


def test_a_plugin_that_is_left_out_or_broken_is_told_of() -> None:
    found = Discovery(plugins=(InstalledPlugin("off", "dist-off", "1.0", "plug_off"),))
    builder = PynencBuilder(plugins=PluginManager(environ={"PYNENC_DISABLE_PLUGINS": "off"}, find=lambda: found))
    with pytest.raises(UnknownBuilderMethodError) as caught:
        builder.blackhole()
    assert str(caught.value) == (
        "PynencBuilder has no method 'blackhole'; methods of installed plugins: none; pip install pynenc-backend-blackhole\n"
        "note: plugin 'off' from dist-off 1.0 is left out by PYNENC_DISABLE_PLUGINS"
    )


def test_it_is_an_attribute_error_so_that_copying_and_asking_work(builder: PynencBuilder) -> None:
    assert not hasattr(builder, "blackhole")
    assert not hasattr(builder, "__json__")
    assert copy.copy(builder).app_id("shop").build().app_id == "shop"


def test_a_method_of_two_plugins_is_a_conflict(builder: PynencBuilder, plugins: PluginManager) -> None:
    plugins.register(Plugin(), "other", distribution="pynenc-other 1.0")
    with pytest.raises(PluginConflictError, match=r"builder method name 'far' is claimed by pynenc-other 1\.0"):
        builder.far("x")


def test_a_method_whose_code_is_not_there_names_its_plugin(builder: PynencBuilder) -> None:
    with pytest.raises(PluginTargetError, match=r"plugin 'swift' from pynenc-swift 1\.0 says that builder method 'absent' is at"):
        builder.absent()


def test_a_method_that_returns_no_settings_names_its_plugin(builder: PynencBuilder) -> None:
    with pytest.raises(PluginResultError) as caught:
        builder.wrong()
    assert str(caught.value) == (
        "plugin 'swift' from pynenc-swift 1.0 returned a value of type list from its hook 'pynenc_builder_methods', "
        "which must return functions that return a mapping of settings, as plug_builder:wrong does not"
    )


def test_a_pair_that_cannot_work_is_refused_when_the_app_is_made(builder: PynencBuilder) -> None:
    with pytest.raises(CapabilityError, match="runner 'pool' cannot work with broker 'far'"):
        builder.far("x").custom_config(runner_cls="pool").build()


def test_a_pair_that_can_work_is_made(builder: PynencBuilder) -> None:
    assert builder.far("x").swift_runner().build().conf.app.url == "far://x"


@pytest.mark.parametrize(
    ("calls", "error", "message"),
    [
        (lambda builder: builder.backend("nowhere://x"), UnknownPluginError, "no URL scheme is named 'nowhere'"),
        (lambda builder: builder.far("x").custom_config(runner_cls="nobody"), UnknownPluginError, "no runner is named 'nobody'"),
        (
            lambda builder: builder.custom_config(urll="x"),
            UnknownSettingError,
            "code, builder: no setting is named 'urll'; did you mean url?",
        ),
        (lambda builder: builder.task_control(max_retry=1), UnknownSettingError, "did you mean task.max_retries"),
        (lambda builder: builder.app_id("not an id"), InvalidSettingError, "code, builder: the value of app_id"),
        (lambda builder: builder.logging_level("loud"), InvalidSettingError, "expected one of debug, info, warning, error, critical"),
    ],
    ids=["scheme", "runner", "setting", "task option", "app id", "choice"],
)
def test_what_does_not_exist_or_fit_is_refused_when_the_app_is_made(
    builder: PynencBuilder, calls: Callable[[PynencBuilder], PynencBuilder], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        calls(builder).build()
    assert message in str(caught.value)


def test_one_builder_makes_apps_that_are_apart(builder: PynencBuilder) -> None:
    first = builder.app_id("one").build()
    second = builder.app_id("two").build()
    assert (first.app_id, second.app_id) == ("one", "two")


made: Pynenc = PynencBuilder(plugins=PluginManager(environ={}, find=nothing)).app_id("located").build()


def test_the_app_belongs_to_the_module_that_built_it() -> None:
    assert made.made_in == HERE
    assert locate(made, made.made_in) == f"{HERE}:made"


def test_the_pickle_serializer_gets_its_keys_from_the_settings(builder: PynencBuilder) -> None:
    old = "another-old-key-that-has-32-bytes-"
    app = builder.serializer_pickle(KEY, key_id="2026", older_keys={"2025": old}).build()
    serializer: Any = app._serializer()
    assert serializer.name == "pickle"
    assert serializer._key_id == "2026"
    assert serializer._keys == {"2026": KEY.encode(), "2025": old.encode()}
    assert KEY not in repr(app.conf.origins())


def test_the_key_may_come_from_the_environment(builder: PynencBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYNENC__PICKLE__KEY", KEY)
    monkeypatch.setenv("PYNENC__PICKLE__OLDER_KEYS", f'{{"0": "{KEY}"}}')
    serializer: Any = builder.custom_config(serializer_cls="PickleSerializer").build()._serializer()
    assert serializer._keys == {"1": KEY.encode(), "0": KEY.encode()}


def test_the_pickle_serializer_without_a_key_refuses(builder: PynencBuilder) -> None:
    app = builder.custom_config(serializer_cls="pickle").build()
    with pytest.raises(SigningKeyError):
        app._serializer()
