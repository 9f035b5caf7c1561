"""`pynenc config show`: every setting, its value without secrets, and where it comes from."""

from __future__ import annotations

from pynenc_core.config import CORE_SECTIONS
from unit.cli.project import APP, Project

PYPROJECT = """
[tool.pynenc]
logging_level = "debug"
url = "scheme://me:hunter2@host/place"

[tool.pynenc.task."jobs.add"]
max_retries = 2
"""


def test_every_setting_is_there_with_its_value(project: Project) -> None:
    project.write("jobs.py", APP)
    lines = project.json("config", "show", "--json")
    keys = {line["key"] for line in lines}
    ours = {".".join(filter(None, (section.section, field))) for section in CORE_SECTIONS for field in _fields(section)}
    assert ours <= keys
    assert all(line["summary"] for line in lines)


def _fields(section: type) -> list[str]:
    return [field.name for field in section.__attrs_attrs__]  # type: ignore[attr-defined]  # attrs classes have it


def test_each_layer_is_named_as_the_origin_of_what_it_sets(project: Project) -> None:
    project.write("pyproject.toml", PYPROJECT)
    project.write("jobs.py", APP)
    changed = project.json("config", "show", "--origin", "--changed", "--json", PYNENC__RUNNER__MAX_THREADS="3")
    origins = {line["key"]: line["origin"] for line in changed}
    pyproject = str(project.folder / "pyproject.toml")
    assert origins == {
        "app_id": "code",
        "logging_level": f"{pyproject} [tool.pynenc]",
        "url": f"{pyproject} [tool.pynenc]",
        "runner.max_threads": "environment variable PYNENC__RUNNER__MAX_THREADS",
        "task.JOBS__ADD.max_retries": f'{pyproject} [tool.pynenc.task."jobs.add"]',
    }


def test_passwords_and_keys_are_hidden(project: Project) -> None:
    project.write("pyproject.toml", PYPROJECT)
    project.write("jobs.py", APP)
    for form in ([], ["--json"]):
        text = project.prints("config", "show", "--origin", *form, PYNENC__PICKLE__KEY="correct-horse-battery-staple-0123")
        assert "hunter2" not in text
        assert "correct-horse" not in text
        assert "scheme://me:***@host/place" in text
        assert "***" in next(part for part in text.split("pickle.key")[1:])


def test_the_table_has_one_line_for_each_setting(project: Project) -> None:
    project.write("jobs.py", APP)
    lines = project.prints("config", "show", "--origin").splitlines()
    assert lines[0].split() == ["setting", "value", "origin"]
    assert next(line for line in lines if line.startswith("app_id ")).split() == ["app_id", '"shop"', "code"]
    assert next(line for line in lines if line.startswith("task.retry_for")).split()[1] == '["pynenc_core.errors.invocations:RetryError"]'


def test_without_an_app_files_and_variables_speak(project: Project) -> None:
    project.write("pyproject.toml", PYPROJECT)
    done = project.run("config", "show", "--changed")
    assert done.returncode == 0
    assert done.stderr == "no app was named and none is here: this is what files and variables say\n"
    assert "logging_level" in done.stdout


def test_a_setting_that_nothing_reads_is_told_and_ends_with_1(project: Project) -> None:
    project.write("pyproject.toml", "[tool.pynenc]\nlogging_levle = 'debug'\n")
    told = project.fails(1, "config", "show")
    assert "no setting is named 'logging_levle'; did you mean `logging_level`" in told
