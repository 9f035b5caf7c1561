"""Where settings come from, and which source wins."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from pynenc_core.config import ClientDataSettings, OrchestratorSettings, RunnerSettings
from pynenc_core.configuration import load_settings
from unit.configuration.sources import Load, write


def test_without_any_source_everything_is_a_default(load: Load) -> None:
    settings = load()
    assert repr(settings.runner) == repr(RunnerSettings())
    assert {line.origin for line in settings.origins()} == {"default"}


def test_each_source_beats_those_below_it(load: Load, tmp_path: Path) -> None:
    """Every source sets all the fields that those above it set, and one more."""
    fields = ["min_parallel_slots", "settle_batch", "min_threads", "max_tasks", "num_processes"]

    def table(value: int, last: int) -> dict[str, int]:
        return dict.fromkeys(fields[:last], value)

    lines = "\n".join(f"{field} = 1" for field in fields)
    write(tmp_path / "pyproject.toml", f"[tool.pynenc.runner]\n{lines}\n")
    write(tmp_path / "argument.json", json.dumps({"runner": table(2, 4)}))
    write(tmp_path / "operator.json", json.dumps({"runner": table(3, 3)}))
    environ = {f"PYNENC__RUNNER__{field.upper()}": str(value) for field, value in table(4, 2).items()}
    settings = load({"runner": table(5, 1)}, environ={**environ, "PYNENC__FILEPATH": "operator.json"}, config_filepath="argument.json")
    assert [getattr(settings.runner, field) for field in fields] == [5, 4, 3, 2, 1]
    origins = {line.key: line.origin for line in settings.origins()}
    assert [origins[f"runner.{field}"] for field in fields] == [
        "code",
        "environment variable PYNENC__RUNNER__SETTLE_BATCH",
        f"{tmp_path / 'operator.json'} [runner] (PYNENC__FILEPATH)",
        f"{tmp_path / 'argument.json'} [runner] (config_filepath=)",
        f"{tmp_path / 'pyproject.toml'} [tool.pynenc.runner]",
    ]
    settings.runner.min_parallel_slots = 6
    assert settings.runner.min_parallel_slots == 6
    assert {line.key: line.origin for line in settings.origins()}["runner.min_parallel_slots"] == "code, assigned"


class TestPyproject:
    def test_the_nearest_one_with_a_table_of_ours_is_found(self, load: Load, tmp_path: Path) -> None:
        write(tmp_path / "pyproject.toml", "[tool.pynenc]\napp_id = 'outer'\n")
        write(tmp_path / "a" / "pyproject.toml", "[tool.other]\nname = 'about pynenc, not for it'\n")
        inner = tmp_path / "a" / "b"
        inner.mkdir()
        assert load(cwd=inner).app.app_id == "outer"
        write(inner / "pyproject.toml", "[tool.pynenc]\napp_id = 'inner'\n")
        assert load(cwd=inner).app.app_id == "inner"

    def test_it_is_found_from_the_current_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write(tmp_path / "pyproject.toml", "[tool.pynenc]\napp_id = 'here'\n")
        monkeypatch.chdir(tmp_path)
        assert load_settings(environ={}).app.app_id == "here"

    def test_a_directory_that_is_gone_is_no_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        assert load_settings(environ={}).app.app_id == "default"

    def test_it_does_not_override_code(self, load: Load, tmp_path: Path) -> None:
        write(tmp_path / "pyproject.toml", "[tool.pynenc]\napp_id = 'file'\n[tool.pynenc.runner]\nmax_threads = 9\n")
        settings = load({"app_id": "code", "runner.max_threads": 0})
        assert (settings.app.app_id, settings.runner.max_threads) == ("code", 0)


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("plain.toml", "app_id = 'x'\n[runner]\nmax_threads = 7\n[orchestrator]\nmax_pending_seconds = 2\n"),
            (
                "pyproject-like.toml",
                "[tool.pynenc]\napp_id = 'x'\nrunner.max_threads = 7\norchestrator.max_pending_seconds = 2\n[tool.other]\na=1\n",
            ),
            ("conf.json", '{"app_id": "x", "runner": {"max_threads": 7}, "orchestrator": {"max_pending_seconds": 2}}'),
            ("conf.yaml", "app_id: x\nrunner:\n  max_threads: 7\norchestrator: {max_pending_seconds: 2}\n"),
            ("class-names.toml", "app_id = 'x'\n[RunnerSettings]\nmax_threads = 7\n[orchestratorsettings]\nmax_pending_seconds = 2\n"),
        ],
    )
    def test_toml_json_and_yaml_say_the_same(self, load: Load, tmp_path: Path, name: str, text: str) -> None:
        settings = load(config_filepath=write(tmp_path / name, text))
        assert (settings.app.app_id, settings.runner.max_threads, settings.orchestrator.max_pending_seconds) == ("x", 7, 2.0)

    def test_an_empty_file_says_nothing(self, load: Load, tmp_path: Path) -> None:
        assert load(config_filepath=write(tmp_path / "empty.yaml", "")).app.app_id == "default"


class TestEnvironment:
    @pytest.mark.parametrize("section", ["ORCHESTRATOR", "ORCHESTRATORSETTINGS", "OrchestratorSettings", "orchestrator"])
    def test_a_section_is_named_by_its_name_or_its_class(self, load: Load, section: str) -> None:
        settings = load(environ={f"PYNENC__{section}__MAX_PARKED_HOURS": "1.5"})
        assert settings.orchestrator.max_parked_hours == 1.5

    @pytest.mark.parametrize("variable", ["PYNENC__APP_ID", "PYNENC__PYNENCSETTINGS__APP_ID", "PYNENC__app_id"])
    def test_the_apps_own_settings_need_no_section(self, load: Load, variable: str) -> None:
        assert load(environ={variable: "shop"}).app.app_id == "shop"

    def test_variables_of_others_are_left_alone(self, load: Load) -> None:
        assert load(environ={"PYNENC_STRICT_PLUGINS": "1", "OTHER__PYNENC__X": "1", "pynenc__x": "1"}).app.app_id == "default"

    def test_an_empty_filepath_is_none(self, load: Load) -> None:
        assert load(environ={"PYNENC__FILEPATH": ""}).app.app_id == "default"

    def test_the_real_environment_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYNENC__TASK__REROUTE_ON_CONCURRENCY_CONTROL", "False")
        assert load_settings(cwd=tmp_path).task.reroute_on_concurrency_control is False


class TestNoLeaks:
    """`disabled` is a field of two sections here: what is set in one is not set in the other, from any source."""

    @pytest.mark.parametrize("section", ["twin", "client_data"])
    @pytest.mark.parametrize("source", ["environment", "file", "dotted", "nested", "assigned"])
    def test_a_value_stays_in_its_section(self, load: Load, tmp_path: Path, twin: str, section: str, source: str) -> None:
        if source == "file":
            write(tmp_path / "pyproject.toml", f"[tool.pynenc.{section}]\ndisabled = true\n")
        environ = {f"PYNENC__{section.upper()}__DISABLED": "true"} if source == "environment" else {}
        forms: dict[str, dict[str, object]] = {"dotted": {f"{section}.disabled": True}, "nested": {section: {"disabled": True}}}
        overrides = forms.get(source)
        settings = load(overrides, environ=environ, plugin_sections=lambda: {"twin": twin})
        if source == "assigned":
            cls = ClientDataSettings if section == "client_data" else importlib.import_module(twin.partition(":")[0]).TwinSettings
            settings.section(cls).disabled = True
        assert [line.key for line in settings.origins() if not line.is_default] == [f"{section}.disabled"]


class TestOverrides:
    def test_dotted_and_nested_names_mean_the_same(self, load: Load) -> None:
        dotted = load({"app_id": "x", "runner.max_threads": 3, "task.shop.tasks.add.max_retries": 2, "task.queue": "q"})
        nested = load({"app_id": "x", "runner": {"max_threads": 3}, "task": {"shop.tasks.add": {"max_retries": 2}, "queue": "q"}})
        assert dotted.snapshot() == nested.snapshot()
        assert dotted.snapshot() == {"app_id": "x", "runner.max_threads": 3, "task.queue": "q", "task.SHOP__TASKS__ADD.max_retries": 2}

    def test_later_ones_go_over_earlier_ones_also_in_sections_in_use(self, load: Load) -> None:
        settings = load({"runner.max_threads": 3})
        runner = settings.runner
        settings.apply({"runner.max_threads": 4, "runner.grace_period_sec": 0}, origin="the command line")
        assert (runner.max_threads, runner.grace_period_sec) == (4, 0)
        assert {line.origin for line in settings.origins() if line.key == "runner.grace_period_sec"} == {"the command line"}


def test_a_snapshot_makes_another_process_equal(load: Load, tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", "[tool.pynenc]\ntask_modules = ['a', 'b']\n[tool.pynenc.task]\nretry_for = ['OSError']\n")
    settings = load(
        {"url": "x://me:pw@host", "task.limits": [{"concurrency": 2, "key_arguments": ["user"]}]},
        environ={"PYNENC__RUNNER__MAX_THREADS": "3", "PYNENC__TASK__SHOP__ADD__ETA": "2030-01-01T00:00:00Z"},
    )
    settings.orchestrator.max_crashes = 5
    sent = json.loads(json.dumps(settings.snapshot()))
    child = load_settings(environ={}, cwd=tmp_path / "elsewhere")
    child.apply(sent, origin="the parent process")
    for section in (RunnerSettings, OrchestratorSettings):
        assert repr(child.section(section)) == repr(settings.section(section))
    assert child.app.url == "x://me:pw@host"
    assert child.app.task_modules == ("a", "b")
    assert repr(child.task_options("shop.add")) == repr(settings.task_options("shop.add"))
    assert child.task_options("shop.add").retry_for == (OSError,)
    assert child.snapshot() == settings.snapshot()
