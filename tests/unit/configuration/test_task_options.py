"""The options of one task: which source wins, how a task is named, what is left over."""

from __future__ import annotations

from pathlib import Path

import pytest

from pynenc_core.errors.configuration import InvalidSettingError, SettingsDisagreeError
from unit.configuration.sources import Load, write

TASK = "shop.tasks.add"


def test_each_source_beats_those_below_it(load: Load, tmp_path: Path) -> None:
    """Eight steps, each setting all that those above it set, and one option more."""
    names = [
        "max_retries",
        "retry_delay_sec",
        "retry_max_delay_sec",
        "priority",
        "delay",
        "expires",
        "retry_backoff",
        "parallel_batch_size",
    ]

    def table(value: int, count: int) -> str:
        return "\n".join(f"{name} = {value}" for name in names[:count])

    environ = {f"PYNENC__TASK__{name.upper()}": "7" for name in names[:7]}
    environ |= {f"PYNENC__TASK__SHOP__TASKS__ADD__{name.upper()}": "2" for name in names[:2]}
    write(tmp_path / "operator.toml", f'[task."{TASK}"]\n{table(3, 3)}\n')
    write(tmp_path / "argument.toml", f'[task."{TASK}"]\n{table(5, 5)}\n')
    write(tmp_path / "pyproject.toml", f'[tool.pynenc.task]\n{table(8, 8)}\n[tool.pynenc.task."{TASK}"]\n{table(6, 6)}\n')
    environ["PYNENC__FILEPATH"] = "operator.toml"
    settings = load({f"task.{TASK}.max_retries": 1}, environ=environ, config_filepath="argument.toml")
    options = settings.task_options(TASK, dict.fromkeys(names[:4], 4))
    assert [getattr(options, name) for name in names] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_decorator_is_not_overridden_by_what_is_set_for_all_tasks(load: Load) -> None:
    settings = load({"task.max_retries": 5}, environ={"PYNENC__TASK__PRIORITY": "9"})
    options = settings.task_options(TASK, {"max_retries": 0, "priority": 1})
    assert (options.max_retries, options.priority) == (0, 1)
    other = settings.task_options("shop.tasks.other")
    assert (other.max_retries, other.priority) == (5, 9)


@pytest.mark.parametrize(
    "text",
    [
        '[tool.pynenc.task."shop.tasks.add"]\nqueue = "q"',
        "[tool.pynenc.task.shop.tasks.add]\nqueue = 'q'",
        '[tool.pynenc.task]\nshop.tasks.add.queue = "q"',
        '[tool.pynenc.task."shop.tasks"]\nadd = {queue = "q"}',
    ],
)
def test_a_task_may_be_written_as_nested_tables(load: Load, tmp_path: Path, text: str) -> None:
    write(tmp_path / "pyproject.toml", text)
    settings = load()
    assert settings.task_options(TASK).queue == "q"
    assert settings.task_options("shop.tasks.other").queue == "default"


def test_a_module_named_like_an_option_is_quoted_with_its_task(load: Load, tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", '[tool.pynenc.task."queue.worker.run"]\npriority = 3')
    assert load().task_options("queue.worker.run").priority == 3


def test_names_with_two_underscores_and_methods_are_found(load: Load) -> None:
    environ = {"PYNENC__TASK__MY__MODULE__RUN__PRIORITY": "3", "PYNENC__TASK__PKG____INIT____RUN__PRIORITY": "4"}
    settings = load(environ=environ)
    assert settings.task_options("my__module.run").priority == 3
    assert settings.task_options("my.module.run").priority == 3
    assert settings.task_options("pkg.__init__.run").priority == 4


def test_a_decorators_value_is_checked_by_name(load: Load) -> None:
    with pytest.raises(InvalidSettingError) as caught:
        load().task_options(TASK, {"priority": 500})
    assert str(caught.value) == "the decorator of shop.tasks.add: the value of task.priority (500) does not fit: Expected `int` <= 100"


def test_the_origins_list_what_is_set_for_single_tasks(load: Load) -> None:
    settings = load(environ={"PYNENC__TASK__SHOP__ADD__PRIORITY": "3"})
    (line,) = [line for line in settings.origins() if not line.is_default]
    assert (line.key, line.value, line.origin) == ("task.SHOP__ADD.priority", 3, "environment variable PYNENC__TASK__SHOP__ADD__PRIORITY")


def test_options_of_tasks_that_nobody_has_are_told(load: Load, tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", '[tool.pynenc.task."shop.add"]\npriority = 3\n[tool.pynenc.task."shop.ad"]\npriority = 3\n')
    assert load().unread_tasks(["shop.add", "shop.other"]) == (f'{tmp_path / "pyproject.toml"} [tool.pynenc.task."shop.ad"]',)


def test_a_soft_limit_that_could_never_be_raised_is_refused_where_it_was_set(load: Load, tmp_path: Path) -> None:
    settings = load({})
    with pytest.raises(SettingsDisagreeError, match=r"decorator.*task\.soft_timeout \(10.0\).*less than the task's `timeout`"):
        settings.task_options(TASK, {"timeout": 10, "soft_timeout": 10})
    write(tmp_path / "pyproject.toml", "[tool.pynenc.task]\nsoft_timeout = 30")
    settings = load({})
    with pytest.raises(SettingsDisagreeError, match="less than the task's `timeout`"):
        settings.task_options(TASK, {"timeout": 10})
    assert settings.task_options(TASK, {"timeout": 60}).soft_timeout == 30
    assert settings.task_options(TASK, {"timeout": 0}).soft_timeout == 30
    assert settings.task_options(TASK, {"timeout": 10, "soft_timeout": 0}).timeout == 10
