"""Keys that nothing reads, files that cannot be used, settings that may not be changed: what is said, and what is never shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pynenc_core.config import RunnerSettings, SettingsSection
from pynenc_core.configuration import load_settings
from pynenc_core.errors.configuration import (
    ConfigFileError,
    ConfigurationError,
    InvalidSettingError,
    SettingsClassError,
    SettingsFrozenError,
    UnknownSectionError,
    UnknownSettingError,
)
from unit.configuration.sources import Load, write


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("variable", "message"),
        [
            ("PYNENC__RUNER_CLS", "no setting is named 'runer_cls'; did you mean PYNENC__RUNNER_CLS or PYNENC__BROKER_CLS?"),
            ("PYNENC__MAX_THREADS", "no setting is named 'max_threads'; did you mean PYNENC__RUNNER__MAX_THREADS?"),
            ("PYNENC__RUNNER__MAX_PENDING_SECONDS", "did you mean PYNENC__ORCHESTRATOR__MAX_PENDING_SECONDS?"),
            ("PYNENC__RUNNER__MAX_THREAD", "did you mean PYNENC__RUNNER__MAX_THREADS"),
            ("PYNENC__TASK__SHOP__ADD__MAX_RETRY", "no setting is named 'max_retry'; did you mean PYNENC__TASK__MAX_RETRIES?"),
            ("PYNENC__CLIENT_DATA__WHATEVER", "no setting is named 'whatever'; known here: disabled, local_cache_size, min_size_to_cache"),
            ("PYNENC__ZZZZZZ", "no setting is named 'zzzzzz'; `pynenc config show` lists all"),
            ("PYNENC__RUNNER__SHOP__MAX_THREADS", "no setting is named 'shop__max_threads'"),
            ("PYNENC__", "no setting is named ''"),
        ],
    )
    def test_a_variable(self, load: Load, variable: str, message: str) -> None:
        with pytest.raises(UnknownSettingError) as caught:
            load(environ={variable: "value"})
        assert str(caught.value).startswith(f"environment variable {variable}: ")
        assert message in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "[tool.pynenc]\nmax_threads = 1",
                "[tool.pynenc]: no setting is named 'max_threads'; did you mean `max_threads` in {file} [tool.pynenc.runner]?",
            ),
            (
                "[tool.pynenc.runner]\nsetle_batch = 1",
                "[tool.pynenc.runner]: no setting is named 'setle_batch'; did you mean `settle_batch` in {file} [tool.pynenc.runner]?",
            ),
            (
                "[tool.pynenc.task.shop.add]\nprioryti = 1",
                "[tool.pynenc.task.\"shop.add\"]: no setting is named 'prioryti'; did you mean `priority` in",
            ),
        ],
    )
    def test_a_key_in_a_file(self, load: Load, tmp_path: Path, text: str, message: str) -> None:
        file = write(tmp_path / "pyproject.toml", text)
        with pytest.raises(UnknownSettingError) as caught:
            load()
        assert str(caught.value).startswith(f"{file} {message.format(file=file)}")

    @pytest.mark.parametrize("overrides", [{"runner.max_thread": 1}, {"runner": {"max_thread": 1}}])
    def test_a_key_in_code(self, load: Load, overrides: dict[str, object]) -> None:
        with pytest.raises(UnknownSettingError) as caught:
            load(overrides)
        assert str(caught.value) == "code: no setting is named 'max_thread'; did you mean runner.max_threads or runner.min_threads?"

    def test_an_option_in_a_decorator(self, load: Load) -> None:
        with pytest.raises(UnknownSettingError) as caught:
            load().task_options("shop.add", {"retries": 1})
        assert str(caught.value) == "the decorator of shop.add: no setting is named 'retries'; did you mean max_retries?"

    @pytest.mark.parametrize(
        ("environ", "text"),
        [({"PYNENC__RUNER__MAX_THREADS": "1"}, ""), ({}, "[tool.pynenc.runer]\nmax_threads = 1")],
        ids=["variable", "file"],
    )
    def test_a_section(self, load: Load, tmp_path: Path, environ: dict[str, str], text: str) -> None:
        write(tmp_path / "pyproject.toml", text)
        with pytest.raises(UnknownSectionError) as caught:
            load(environ=environ)
        origin = next(iter(f"environment variable {name}" for name in environ), f"{tmp_path / 'pyproject.toml'} [tool.pynenc]")
        assert str(caught.value) == (
            f"{origin}: nothing reads the section 'runer'; did you mean 'runner'? Else install the plugin that brings it, or remove it; "
            "sections here: client_data, orchestrator, runner, task"
        )

    def test_every_layer_is_checked_also_where_it_is_overridden(self, load: Load, tmp_path: Path) -> None:
        write(tmp_path / "pyproject.toml", "[tool.pynenc]\nnonsense = 1\n")
        with pytest.raises(UnknownSettingError, match="no setting is named 'nonsense'"):
            load({"app_id": "x"})


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "text", "problem"),
        [
            ("absent.toml", None, "No such file or directory"),
            ("bad.toml", "secret = \n", "TOMLDecodeError: Invalid value (at line 1, column 10)"),
            ("bad.json", '{"secret": ', "it is not JSON: Expecting value in line 1"),
            ("bad.yaml", "a: [secret", "it is not YAML: expected ',' or ']', but got '<stream end>' in line 1"),
            ("conf.ini", "", "its format is unknown (.ini); it must end in .toml, .json, .yaml or .yml"),
            ("conf", "", "its format is unknown (no ending); it must end in .toml, .json, .yaml or .yml"),
            ("list.json", "[1]", "it does not hold a table of settings"),
        ],
    )
    def test_one_that_cannot_be_used_is_named_with_who_named_it(
        self, load: Load, tmp_path: Path, name: str, text: str | None, problem: str
    ) -> None:
        if text is not None:
            write(tmp_path / name, text)
        with pytest.raises(ConfigFileError) as caught:
            load(config_filepath=name)
        assert str(caught.value) == f"the configuration file {tmp_path / name}, named by config_filepath=, cannot be used: {problem}"
        with pytest.raises(ConfigFileError) as caught:
            load(environ={"PYNENC__FILEPATH": name})
        assert str(caught.value) == f"the configuration file {tmp_path / name}, named by PYNENC__FILEPATH, cannot be used: {problem}"

    def test_yaml_without_its_extra_says_what_to_install(self, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(tmp_path / "a.yaml", "app_id: x")
        monkeypatch.setitem(sys.modules, "yaml", None)
        with pytest.raises(ConfigFileError, match=r'reading YAML needs an extra: pip install "pynenc-core\[yaml\]"'):
            load(config_filepath="a.yaml")


class TestFrozen:
    def test_nothing_changes_after_the_start(self, load: Load) -> None:
        settings = load()
        settings.freeze()
        assert settings.frozen
        message = "cannot be changed now: the app has started and its parts have read their settings; assign it before that"
        with pytest.raises(SettingsFrozenError, match=f"^runner.max_threads {message}"):
            settings.runner.max_threads = 2
        with pytest.raises(SettingsFrozenError, match=f"^app_id {message}"):
            settings.app.app_id = "x"
        with pytest.raises(SettingsFrozenError, match=f"^runner.settle_batch {message}"):
            settings.apply({"runner.settle_batch": 2})
        assert (settings.runner.max_threads, settings.app.app_id, settings.runner.settle_batch) == (0, "default", 1)

    def test_the_options_of_a_task_are_frozen_at_once(self, load: Load) -> None:
        options = load().task_options("shop.add")
        with pytest.raises(SettingsFrozenError, match=r"^task.priority "):
            options.priority = 3

    def test_a_name_that_does_not_exist_is_not_assigned(self, load: Load) -> None:
        with pytest.raises(
            UnknownSettingError, match=r"^code, assigned: no setting is named 'max_thread'; did you mean runner.max_threads"
        ):
            load().runner.max_thread = 3


class TestSecrets:
    URL = "x://me:hunter2@host/0"

    def test_they_are_in_no_listing_and_no_repr(self, load: Load, twin: str) -> None:
        settings = load({"url": self.URL, "twin.key": "hunter2"}, plugin_sections=lambda: {"twin": twin})
        shown = {line.key: line.value for line in settings.origins()}
        assert (shown["url"], shown["twin.key"]) == ("x://me:***@host/0", "***")
        text = repr(settings.origins()) + repr(settings.app) + repr(settings.section(type(settings._built["twin"])))
        assert "hunter2" not in text
        assert settings.app.url == self.URL

    @pytest.mark.parametrize("overrides", [{"runner.max_threads": URL}, {"twin": {"key": ["hunter2"]}}], ids=["a url", "a secret field"])
    def test_they_are_in_no_error(self, load: Load, twin: str, overrides: dict[str, object]) -> None:
        with pytest.raises(InvalidSettingError) as caught:
            load(overrides, plugin_sections=lambda: {"twin": twin})
        assert "hunter2" not in str(caught.value) + repr(caught.value)
        assert "***" in str(caught.value)


class TestPluginSections:
    def test_its_class_is_imported_when_it_is_mentioned_or_asked_for(self, load: Load, twin: str) -> None:
        asked: list[bool] = []

        def sections() -> dict[str, str]:
            asked.append(True)
            return {"twin": twin}

        settings = load({"runner.max_threads": 2}, plugin_sections=sections)
        assert settings.runner.max_threads == 2
        assert not asked
        load({"twin.disabled": True}, plugin_sections=sections)
        assert asked == [True]
        assert "plug_settings" in sys.modules

    def test_one_that_no_plugin_offers_is_refused(self, load: Load) -> None:
        class Lonely(SettingsSection):
            section = "lonely"

        with pytest.raises(UnknownSectionError, match="Lonely: nothing reads the section 'lonely'"):
            load().section(Lonely)

    @pytest.mark.parametrize(
        ("code", "problem"),
        [
            ("class Twin: ...", "it is not an attrs class derived from SettingsSection"),
            (
                "@attrs.define\nclass Twin(SettingsSection):\n    section = 'other'",
                "its `section` is 'other', and must be the name under which",
            ),
            ("@attrs.define\nclass Twin(SettingsSection):\n    section = 'twin'\n    a: int", "its field 'a' has no plain default"),
            (
                "@attrs.define\nclass Twin(SettingsSection):\n    section = 'twin'\n    a: Nowhere = 1",
                "NameError: name 'Nowhere' is not defined",
            ),
            (
                "@attrs.define\nclass Twin(SettingsSection):\n    section = 'twin'\n    a: int = attrs.field(default=1, validator=print)",
                "it has validators, converters or a __setattr__ of its own",
            ),
            ("raise OSError('disk')", "OSError: disk"),
        ],
    )
    def test_a_class_that_cannot_be_one_is_refused(
        self, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, problem: str
    ) -> None:
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "plug_twin", raising=False)
        head = "from __future__ import annotations\nimport attrs\nfrom pynenc_core.config import SettingsSection\n"
        write(tmp_path / "plug_twin.py", head + code)
        with pytest.raises(SettingsClassError) as caught:
            load({"twin.a": 1}, plugin_sections=lambda: {"twin": "plug_twin:Twin"})
        assert str(caught.value).startswith(f"plug_twin:Twin cannot be the section 'twin' of the configuration: {problem}")

    @pytest.mark.parametrize("name", ["runner", "app_id"])
    def test_a_name_of_the_core_is_not_taken(self, load: Load, twin: str, name: str) -> None:
        with pytest.raises(SettingsClassError, match="the core has a section or a setting of that name"):
            load({"other.a": 1}, plugin_sections=lambda: {name: twin})


def test_loading_imports_neither_click_nor_a_settings_library(tmp_path: Path) -> None:
    code = "import sys; from pynenc_core.configuration import load_settings; load_settings().runner; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert not {"click", "typed_settings", "tomllib", "yaml", "importlib.metadata"} & set(done.stdout.split())


def test_all_errors_are_of_one_family() -> None:
    errors = (UnknownSettingError, UnknownSectionError, InvalidSettingError, ConfigFileError, SettingsFrozenError, SettingsClassError)
    assert all(issubclass(error, ConfigurationError) for error in errors)
    assert load_settings(environ={}, cwd=Path("/")).section(RunnerSettings).grace_period_sec == 25.0
