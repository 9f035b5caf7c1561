"""How values are parsed and checked by the type of their field, whatever source they come from."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pynenc_core.config import Limit
from pynenc_core.errors.configuration import InvalidSettingError, SettingsDisagreeError
from pynenc_core.errors.invocations import RetryError
from unit.configuration.sources import Load, write


class TestFromTheEnvironment:
    @pytest.mark.parametrize(
        ("text", "value"), [("False", False), ("0", False), ("off", False), (" no ", False), ("TRUE", True), ("1", True)]
    )
    def test_switches(self, load: Load, text: str, value: bool) -> None:
        assert load(environ={"PYNENC__TASK__REROUTE_ON_CONCURRENCY_CONTROL": text}).task.reroute_on_concurrency_control is value

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("a,b", ("a", "b")),
            (" a , b ,", ("a", "b")),
            ("a", ("a",)),
            ("", ()),
            ('["a", "b,c"]', ("a", "b,c")),
            ("[]", ()),
        ],
    )
    def test_lists(self, load: Load, text: str, value: tuple[str, ...]) -> None:
        assert load(environ={"PYNENC__TASK_MODULES": text}).app.task_modules == value

    def test_numbers_and_words(self, load: Load) -> None:
        environ = {
            "PYNENC__RUNNER__MAX_THREADS": "0",
            "PYNENC__RUNNER__GRACE_PERIOD_SEC": "0",
            "PYNENC__LOGGING_LEVEL": "DEBUG",
            "PYNENC__APP_ID": "0",
        }
        settings = load(environ=environ)
        assert (settings.runner.max_threads, settings.runner.grace_period_sec) == (0, 0.0)
        assert (settings.app.logging_level, settings.app.app_id) == ("debug", "0")

    @pytest.mark.parametrize(("text", "value"), [("none", None), ("", None), ("null", None), ("0", 0.0), ("2.5", 2.5)])
    def test_what_may_be_absent(self, load: Load, twin: str, text: str, value: float | None) -> None:
        settings = load(environ={"PYNENC__TWIN__LEVEL": text}, plugin_sections=lambda: {"twin": twin})
        assert {line.key: line.value for line in settings.origins()}["twin.level"] == value

    def test_a_set(self, load: Load, twin: str) -> None:
        settings = load(environ={"PYNENC__TWIN__TAGS": "b,a,b"}, plugin_sections=lambda: {"twin": twin})
        assert settings.snapshot() == {"twin.tags": ["a", "b"]}

    def test_classes_and_structures(self, load: Load, twin: str) -> None:
        environ = {
            "PYNENC__TASK__RETRY_FOR": "OSError,pynenc_core.errors.invocations:RetryError,json.JSONDecodeError",
            "PYNENC__TASK__LIMITS": '[{"concurrency": 2, "key_arguments": ["user"]}, {"concurrency": 5}]',
            "PYNENC__TWIN__LIMIT": '{"concurrency": 60}',
            "PYNENC__TASK__ETA": "2030-01-02T03:04:05Z",
        }
        settings = load(environ=environ, plugin_sections=lambda: {"twin": twin})
        task = settings.task
        assert [each.__name__ for each in task.retry_for] == ["OSError", "RetryError", "JSONDecodeError"]
        assert task.limits == (Limit(concurrency=2, key_arguments=("user",)), Limit(concurrency=5))
        assert {line.key: line.value for line in settings.origins()}["twin.limit"] == Limit(concurrency=60)
        assert task.eta == datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_files_give_typed_values(load: Load, tmp_path: Path) -> None:
    text = """
    task_modules = ["a", "b"]
    [runner]
    grace_period_sec = 3
    [task]
    reroute_on_concurrency_control = false
    retry_for = ["OSError"]
    eta = 2030-01-02T03:04:05Z
    limits = [{concurrency = 2}]
    """
    settings = load(config_filepath=write(tmp_path / "a.toml", text))
    assert settings.app.task_modules == ("a", "b")
    assert (settings.runner.grace_period_sec, settings.task.reroute_on_concurrency_control) == (3.0, False)
    assert settings.task.retry_for == (OSError,)
    assert settings.task.eta == datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert settings.task.limits == (Limit(concurrency=2),)


def test_code_gives_python_values(load: Load, twin: str) -> None:
    settings = load(
        {
            "task.retry_for": [OSError, RetryError],
            "task.limits": (Limit(concurrency=1),),
            "task_modules": ["a"],
            "twin": {"limit": Limit(concurrency=2)},
        },
        plugin_sections=lambda: {"twin": twin},
    )
    assert settings.task.retry_for == (OSError, RetryError)
    assert settings.task.limits == (Limit(concurrency=1),)
    assert {line.key: line.value for line in settings.origins()}["twin.limit"] == Limit(concurrency=2)
    assert settings.app.task_modules == ("a",)
    settings.task.retry_for = (ValueError,)
    assert settings.task.retry_for == (ValueError,)


class TestAgreements:
    @pytest.mark.parametrize(
        ("section", "message"),
        [
            (
                {"heartbeat_interval_sec": 16},
                "code: runner.heartbeat_interval_sec (16.0) does not go with runner.runner_considered_dead_after_minutes (0.5): ",
            ),
            ({"runner_considered_dead_after_minutes": 0.1}, "code: runner.heartbeat_interval_sec (5.0) does not go with"),
            (
                {"min_processes": 3, "max_processes": 2},
                "code: runner.min_processes (3) does not go with runner.max_processes (2): the least",
            ),
            ({"min_threads": 3, "max_threads": 2}, "code: runner.min_threads (3) does not go with runner.max_threads (2): the least"),
        ],
    )
    def test_two_that_do_not_go_together_are_refused_at_load(self, load: Load, section: dict[str, float], message: str) -> None:
        with pytest.raises(SettingsDisagreeError) as caught:
            load({"runner": section})
        assert str(caught.value).startswith(message)

    def test_they_are_compared_when_all_layers_are_there(self, load: Load) -> None:
        settings = load({"runner.max_threads": 4}, environ={"PYNENC__RUNNER__MIN_THREADS": "3", "PYNENC__RUNNER__MIN_PROCESSES": "3"})
        assert (settings.runner.min_threads, settings.runner.max_threads, settings.runner.max_processes) == (3, 4, 0)

    def test_what_is_assigned_is_compared_when_the_app_starts(self, load: Load) -> None:
        settings = load({"runner.max_threads": 2})
        settings.runner.min_threads = 3
        with pytest.raises(SettingsDisagreeError, match=r"^code, assigned: "):
            settings.freeze()
        settings.runner.max_threads = 3
        settings.freeze()


class TestRefused:
    @pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
    def test_a_number_that_is_not_finite_by_name_in_every_layer(self, load: Load, tmp_path: Path, twin: str, value: str) -> None:
        refused = r"runner\.grace_period_sec \('?-?(inf|nan)'?\) does not fit"
        with pytest.raises(InvalidSettingError, match=refused):
            load(environ={"PYNENC__RUNNER__GRACE_PERIOD_SEC": value})
        with pytest.raises(InvalidSettingError, match=refused):
            load(config_filepath=write(tmp_path / "a.toml", f"[runner]\ngrace_period_sec = {value}"))
        with pytest.raises(InvalidSettingError, match=refused):
            load({"runner": {"grace_period_sec": float(value)}})
        with pytest.raises(InvalidSettingError, match=refused):
            load().runner.grace_period_sec = float(value)
        with pytest.raises(InvalidSettingError, match=r"task\.delay"):
            load().task_options("shop.add", {"delay": float(value)})
        with pytest.raises(InvalidSettingError, match=r"twin\.level.*a finite number"):
            load({"twin.level": float(value)}, plugin_sections=lambda: {"twin": twin})

    @pytest.mark.parametrize(
        ("variable", "text", "message"),
        [
            ("RUNNER__MAX_THREADS", "many", "the value of runner.max_threads ('many') does not fit: Expected `int`, got `str`"),
            ("RUNNER__MAX_THREADS", "-1", "the value of runner.max_threads ('-1') does not fit: Expected `int` >= 0"),
            (
                "TASK__REROUTE_ON_CONCURRENCY_CONTROL",
                "maybe",
                "the value of task.reroute_on_concurrency_control ('maybe') does not fit: expected true, false, 1, 0, yes, no, on or off",
            ),
            (
                "TASK__LIMITS",
                '[{"concurrency": 0}]',
                "the value of task.limits ('[{\"concurrency\": 0}]') does not fit: Expected `int` >= 1 - at `$[0].concurrency`",
            ),
            ("LOGGING_FORMAT", "xml", "the value of logging_format ('xml') does not fit: expected one of text, json"),
            (
                "TASK_MODULES",
                '["a"',
                "the value of task_modules ('[\"a\"') does not fit: it is not JSON: Expecting ',' delimiter at character 5",
            ),
            ("TASK__PRIORITY", "101", "the value of task.priority ('101') does not fit: Expected `int` <= 100"),
            (
                "TASK__RETRY_FOR",
                "int",
                (
                    "the value of task.retry_for ('int') does not fit: expected a class derived from BaseException, "
                    "as `module:Name` - at `$[0]`"
                ),
            ),
            (
                "TASK__SHOP__ADD__RETRY_FOR",
                "no_module.Error",
                (
                    "the value of task.retry_for ('no_module.Error') does not fit: "
                    "ModuleNotFoundError: No module named 'no_module' - at `$[0]`"
                ),
            ),
        ],
    )
    def test_a_variable_whose_text_does_not_fit(self, load: Load, variable: str, text: str, message: str) -> None:
        with pytest.raises(InvalidSettingError) as caught:
            load(environ={f"PYNENC__{variable}": text})
        assert str(caught.value) == f"environment variable PYNENC__{variable}: {message}"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                '{"runner": {"max_threads": "4"}}',
                "[runner] (config_filepath=): the value of runner.max_threads ('4') does not fit: Expected `int`, got `str`",
            ),
            ('{"task": {"reroute_on_concurrency_control": 1}}', "does not fit: Expected `bool`, got `int`"),
            ('{"runner": {"max_threads": true}}', "does not fit: Expected `int`, got `bool`"),
            ('{"runner": 4}', "(config_filepath=): the value of runner does not fit: it is a section, so its value must be a table"),
            ('{"app_id": "a/b"}', "does not fit: Expected `str` matching regex"),
        ],
    )
    def test_a_file_is_not_parsed_like_text(self, load: Load, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises(InvalidSettingError) as caught:
            load(config_filepath=write(tmp_path / "a.json", text))
        assert message in str(caught.value)
        assert str(caught.value).startswith(str(tmp_path / "a.json"))

    @pytest.mark.parametrize("value", ["4", None, 1.5, [4]])
    def test_an_assignment_is_checked_and_changes_nothing(self, load: Load, value: Any) -> None:
        settings = load()
        with pytest.raises(InvalidSettingError, match=r"code, assigned: the value of runner.max_threads"):
            settings.runner.max_threads = value
        assert settings.runner.max_threads == 0

    def test_a_value_that_is_overridden_is_not_looked_at(self, load: Load) -> None:
        assert load({"runner.max_threads": 2}, environ={"PYNENC__RUNNER__MAX_THREADS": "many"}).runner.max_threads == 2
