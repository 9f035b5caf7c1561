"""Which app a command is about, and what is said where that is not clear."""

from __future__ import annotations

import subprocess
import sys

import pytest

from unit.cli.project import APP, Project

SHOW = ("config", "show", "--changed", "--json")


def app_ids(project: Project, *arguments: str) -> list[str]:
    return [line["value"] for line in project.json(*arguments, *SHOW) if line["key"] == "app_id"]


def test_the_only_app_of_the_folder_is_found_by_itself(project: Project) -> None:
    project.write("jobs.py", APP)
    project.write("notes.py", "# says pynenc_core and Pynenc, and makes none\nraise SystemExit('somebody ran me')\n")
    assert app_ids(project) == ["shop"]


@pytest.mark.parametrize("locator", ["shop.jobs:app", "shop.jobs.app"])
def test_an_app_can_be_named_in_both_ways(project: Project, locator: str) -> None:
    project.write("shop/__init__.py", "")
    project.write("shop/jobs.py", APP)
    assert app_ids(project, "--app", locator) == ["shop"]


def test_the_module_alone_will_do_where_it_makes_one_app(project: Project) -> None:
    project.write("jobs.py", APP)
    assert app_ids(project, "--app", "jobs") == ["shop"]


def test_the_option_may_stand_behind_the_command(project: Project) -> None:
    project.write("jobs.py", APP)
    project.write("other.py", APP.replace("shop", "other"))
    done = project.prints("config", "show", "--app", "other:app", "--json", "--changed")
    assert '"other"' in done


def test_an_app_in_a_package_and_one_made_by_the_builder_are_found(project: Project) -> None:
    project.write("shop/__init__.py", 'from pynenc_core import PynencBuilder\n\napp = PynencBuilder().app_id("built").build()\n')
    assert app_ids(project) == ["built"]


def test_an_app_that_other_files_import_is_one_app(project: Project) -> None:
    project.write("jobs.py", APP)
    project.write("more.py", "from pynenc_core import Pynenc\nfrom jobs import app\n\nagain: Pynenc = app\n")
    assert app_ids(project) == ["shop"]


def test_two_apps_are_named_and_none_is_chosen(project: Project) -> None:
    project.write("jobs.py", APP)
    project.write("other.py", APP.replace("shop", "other"))
    told = project.fails(2, "invocation", "list")
    assert told == (
        f"Error: there are several apps in {project.folder}: jobs:app, other:app; name one with `pynenc --app module:attribute ...`\n"
    )


def test_where_there_is_none_the_message_says_what_was_looked_at(project: Project) -> None:
    project.write("hidden.py", "from pynenc_core import Pynenc\n\napps = {}\nother: 'Pynenc | None' = None\nmade: Pynenc = None\n")
    told = project.fails(2, "invocation", "list")
    assert told == (
        f"Error: no file in {project.folder} makes an app (no app at the top of hidden.py); "
        "name one with `pynenc --app module:attribute ...`, or go where your app is\n"
    )


@pytest.mark.parametrize(
    ("locator", "problem"),
    [
        ("nowhere:app", "there is no module 'nowhere' on the import path"),
        ("jobs:nothing", "module 'jobs' has no 'nothing'"),
        ("jobs:add", "that is no app, it is of type Task"),
        ("empty", "there is no app at the top of that module"),
    ],
)
def test_a_locator_that_leads_nowhere_is_a_usage_error(project: Project, locator: str, problem: str) -> None:
    project.write("jobs.py", APP)
    project.write("empty.py", "")
    told = project.fails(2, "--app", locator, "invocation", "list")
    assert told == f"Error: --app {locator}: {problem}; write it as module:attribute, and start where that module can be imported\n"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (APP + "\nprint(unknown)\n", "jobs.py, line 11: NameError: name 'unknown' is not defined"),
        (APP + "\nimport not_installed\n", "jobs.py, line 11: ModuleNotFoundError: No module named 'not_installed'"),
        (APP + "\ndef broken(:\n", "jobs.py, line 11: SyntaxError: "),
        (APP + "\nimport sys; sys.exit('no')\n", "jobs.py, line 11: SystemExit: no"),
        (
            APP + "\napp.task(max_retry=3)(lambda: 1)\n",
            "jobs.py, line 11: UnknownSettingError: the decorator of jobs.<lambda>: no setting is",
        ),
        (
            APP.replace('"shop"', '"shop", urrl="x"'),
            "jobs.py, line 4: UnknownSettingError: code: no setting is named 'urrl'; did you mean url?",
        ),
    ],
)
def test_a_mistake_in_the_users_module_is_told_with_its_place_and_without_a_traceback(project: Project, code: str, problem: str) -> None:
    project.write("jobs.py", code)
    told = project.fails(1, "invocation", "list")
    assert told.startswith(f"Error: module 'jobs' cannot be imported: {problem}")
    assert told.endswith("; `pynenc --debug ...` shows the whole traceback\n")


def test_debug_shows_the_traceback(project: Project) -> None:
    project.write("jobs.py", APP + "\nprint(unknown)\n")
    done = project.run("invocation", "list", "--debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "print(unknown)" in done.stderr


def test_a_folder_that_somebody_removed_is_named(project: Project) -> None:
    (project.folder / "gone").mkdir()
    command = project.command("invocation", "list")
    code = f"import os; os.rmdir(os.getcwd()); os.execv({command[0]!r}, {command!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.folder / "gone",
        env=dict(project.environment()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "Error: no file in the current directory (which was removed) makes an app; "
        "name one with `pynenc --app module:attribute ...`, or go where your app is\n"
    )
