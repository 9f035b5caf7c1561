"""The command line over a store: every installed backend, or the one that this run is about.

The commands run in this process, so that they see a store that only one process sees; `pynenc runner start` is a real one.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from combos.places import PLACES, Place
from pynenc_core.cli import EarlyStop
from pynenc_core.cli.program import run
from pynenc_core.model import InvocationRecord, RunnerContext
from pynenc_core.plugins import hookimpl
from pynenc_core.status import Status
from pynenc_testkit.projects import START, Project, make_project
from pynenc_testkit.stores import eventually

SOURCE = """
from pathlib import Path

from pynenc_core import Pynenc

app = Pynenc(config_filepath=Path(__file__).parent / "project.toml")


@app.task(secret_args=("token",))
def send(address: str, token: str = "") -> str:
    return f"sent to {address}"


@app.task
def fail(text: str) -> None:
    raise ValueError(text)


@app.task
def other() -> None:
    pass
"""
SELF_FILLING = """
import os
from pathlib import Path

from pynenc_core import Pynenc
"""
TOUCH = """

@app.task
def touch() -> None:
    Path(__file__).with_name("ran").touch()


if os.environ.pop("FILL", ""):  # in the runner, not in the processes it starts
    touch()
"""


class Desk:
    """A project, and the commands over its app."""

    def __init__(self, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
        self.project = project
        self.app = project.app
        self.jobs = project.jobs
        self._capsys = capsys
        # each command closes the app at its end, and what is in memory goes with the last who holds it
        self._held = self.app.orchestrator.engine.state

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command, check how it ends, and return what it printed (or said, where it ends with another code than 0)."""
        self._capsys.readouterr()
        ended = run(["--app", f"{self.project.module.__name__}:app", *arguments], EarlyStop())
        captured = self._capsys.readouterr()
        assert ended == code, captured
        assert "Traceback" not in captured.err
        return captured.out or captured.err

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command and return the JSON it printed."""
        return json.loads(self.run(*arguments, "--json", code=code))

    def claim(self, runner: RunnerContext | None = None) -> tuple[InvocationRecord, ...]:
        """Claim all there is, for a runner that gives no heartbeat."""
        return self.app.orchestrator.get_invocations_to_run(10, runner or self.context())

    def context(self) -> RunnerContext:
        """A runner context that history can name."""
        context = RunnerContext.of_this_process("DeskRunner")
        self.app.orchestrator.store_runner_context(context)
        return context

    def work(self) -> None:
        """Run all there is, here and now."""
        context = self.context()
        for record in self.claim(context):
            self.app.orchestrator.run_invocation(record, context)

    def state(self, name: str) -> set[str]:
        """Return the states of the doctor's checks of one name."""
        found = json.loads(self.anyhow("doctor", "--json"))
        return {check["state"] for check in found["checks"] if check["name"] == name}

    def anyhow(self, *arguments: str) -> str:
        """Run a command and return what it printed, however it ends."""
        self._capsys.readouterr()
        run(["--app", f"{self.project.module.__name__}:app", *arguments], EarlyStop())
        return self._capsys.readouterr().out


Opening = Callable[..., Desk]


@pytest.fixture(params=PLACES)
def open_desk(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Opening]:
    opened: list[Project] = []

    def opening(**settings: object) -> Desk:
        where = PLACES[request.param].settings(tmp_path)
        app_id = f"desk-{os.getpid()}-{tmp_path.name[-40:].strip('-_')}"
        opened.append(make_project(tmp_path, "", {**where, "app_id": app_id, **settings}, SOURCE))
        return Desk(opened[-1], capsys)

    yield opening
    for project in opened:
        project.close()


@pytest.fixture
def desk(open_desk: Opening) -> Desk:
    return open_desk()


def test_a_list_is_in_the_order_of_registration_and_goes_on_where_it_was_left(desk: Desk) -> None:
    ids = [desk.jobs.other().invocation_id for _ in range(5)]
    first = desk.json("invocation", "list", "--limit", "2")
    assert [line["invocation_id"] for line in first["invocations"]] == ids[:2]
    rest = desk.json("invocation", "list", "--after", first["next"])
    assert [line["invocation_id"] for line in rest["invocations"]] == ids[2:]
    assert rest["next"] is None
    newest = desk.json("invocation", "list", "--newest", "--limit", "3", "--after", ids[4])
    assert [line["invocation_id"] for line in newest["invocations"]] == [ids[3], ids[2], ids[1]]
    assert newest["next"] == ids[1]


def test_a_list_can_be_of_some_statuses_and_of_one_task(desk: Desk) -> None:
    failed, sent = desk.jobs.fail("x").invocation_id, desk.jobs.send("a").invocation_id
    desk.work()
    waiting = desk.jobs.send("b").invocation_id

    def listed(*options: str) -> list[str]:
        return [line["invocation_id"] for line in desk.json("invocation", "list", *options)["invocations"]]

    assert listed() == [failed, sent, waiting]
    assert listed("--status", "failed", "--status", "SUCCESS") == [failed, sent]
    assert listed("--task", "send") == listed("--task", desk.jobs.send.task_id) == [sent, waiting]
    assert listed("--task", "send", "--status", "registered") == [waiting]
    assert listed("--task", "nonsense") == []


def test_the_table_says_which_and_what_and_that_there_is_more(desk: Desk) -> None:
    ids = [desk.jobs.other().invocation_id for _ in range(2)]
    text = desk.run("invocation", "list", "--limit", "1")
    head, line, _, more = text.splitlines()
    assert head.startswith("invocation ")
    assert line.split()[:2] == [ids[0], "REGISTERED"]
    assert desk.jobs.other.task_id in line
    assert more == f"there are more: --after {ids[0]}"
    assert desk.run("invocation", "list", "--status", "failed") == "no invocation fits\n"


def test_a_name_that_ends_two_tasks_is_a_usage_error(desk: Desk) -> None:
    def other() -> None: ...

    other.__qualname__, other.__module__ = "other", "elsewhere"
    desk.app.task(other)
    told = desk.run("invocation", "list", "--task", "other", code=2)
    assert told == f"Error: --task other may be any of elsewhere.other, {desk.jobs.other.task_id}; write more of it\n"


def test_what_ran_is_shown_with_its_history_and_who_did_what(desk: Desk) -> None:
    invocation_id = desk.jobs.send("here").invocation_id
    desk.work()
    found = desk.json("invocation", "show", invocation_id)
    assert (found["status"], found["task_id"], found["counters"]["attempts"]) == ("SUCCESS", desk.jobs.send.task_id, 0)
    assert [each["status"] for each in found["history"]] == ["REGISTERED", "PENDING", "RUNNING", "SUCCESS"]
    assert [each["by"].split()[0] for each in found["history"]] == ["ExternalRunner", *["DeskRunner"] * 3]
    assert found["workflow"]["workflow_id"] == invocation_id
    text = desk.run("invocation", "show", invocation_id)
    assert "DeskRunner on " in text
    assert "arguments:\n  address = <hidden>\n  token = <secret>\n" in text
    assert "result: <hidden>" in text


@pytest.mark.parametrize("mode", ["truncated", "full"])
def test_arguments_and_result_are_shown_where_the_setting_says_so_and_secret_ones_never(open_desk: Opening, mode: str) -> None:
    desk = open_desk(logging_arguments=mode)
    invocation_id = desk.jobs.send("here", token="hunter2-" * 20).invocation_id
    desk.work()
    for form in ((), ("--json",)):
        assert "hunter2" not in desk.run("invocation", "show", invocation_id, *form)
    found = desk.json("invocation", "show", invocation_id)
    assert found["arguments"] == {"address": "'here'", "token": "<secret>"}
    assert found["result"] == "'sent to here'"


def test_an_error_is_shown_with_the_traceback_from_where_it_was_raised(desk: Desk) -> None:
    invocation_id = desk.jobs.fail("no such luck").invocation_id
    desk.work()
    found = desk.json("invocation", "show", invocation_id)
    assert (found["error"]["type"], found["error"]["message"], found["result"]) == ("ValueError", "no such luck", None)
    assert "in fail\n    raise ValueError(text)" in found["error"]["traceback"]
    # as text it holds the task's traceback; only one of ours would be a fault
    text = desk.anyhow("invocation", "show", invocation_id)
    assert "error: ValueError: no such luck\nTraceback (most recent call last):" in text
    assert "attempts 1" in text


def test_what_this_process_does_not_know_the_task_of_is_shown_all_the_same(open_desk: Opening) -> None:
    desk = open_desk()
    invocation_id = desk.jobs.send("here").invocation_id
    desk.work()
    desk.app.tasks._tasks.clear()  # as after a deploy that dropped the task
    found = desk.json("invocation", "show", invocation_id)
    assert found["arguments"].startswith("this process does not know the task, so they stay encoded: address (")
    assert found["result"].startswith("this process does not know the task")


def test_cancelling_says_what_came_of_it(desk: Desk) -> None:
    waiting = desk.jobs.other().invocation_id
    assert desk.run("invocation", "cancel", waiting, "--reason", "not needed") == "cancelled\n"
    assert desk.run("invocation", "cancel", waiting) == "already final\n"
    found = desk.json("invocation", "show", waiting)
    assert (found["status"], found["reason"]) == ("CANCELLED", "not needed")

    running = desk.jobs.other().invocation_id
    (record,) = desk.claim()
    assert (record.invocation_id, record.state.status) == (running, Status.RUNNING)
    assert desk.json("invocation", "cancel", running, "--reason", "too late") == {"invocation_id": running, "outcome": "requested"}
    request = desk.json("invocation", "show", running)["request"]
    assert (request["kind"], request["reason"]) == ("cancel", "too late")
    assert "requested  cancel by ExternalRunner@" in desk.run("invocation", "show", running)


@pytest.mark.parametrize("command", ["show", "cancel"])
def test_an_invocation_that_is_not_there_is_not_found(desk: Desk, command: str) -> None:
    told = desk.run("invocation", command, "nonsense", code=3)
    assert told.startswith(f"Error: app '{desk.app.app_id}' has no invocation 'nonsense': it was never registered in this store")


def test_the_doctor_is_content_with_an_app_in_order(desk: Desk) -> None:
    desk.jobs.other()
    desk.work()
    report = desk.run("doctor")
    assert report.endswith("\nall is well\n")
    assert "1 SUCCESS; 0 may be claimed" in report
    assert desk.state("store") <= {"ok", "note"}


def test_the_doctor_finds_what_belongs_to_nobody_alive(desk: Desk) -> None:
    desk.jobs.other()
    desk.claim()
    report = desk.run("doctor", code=1)
    assert "1 invocations belong to DeskRunner@" in report
    assert desk.state("orphans") == {"wrong"}


def test_the_doctor_tells_of_work_without_a_runner_of_parked_and_of_quarantined_work(desk: Desk) -> None:
    desk.jobs.other()
    (record,) = desk.claim()
    desk.app.orchestrator.set_invocation_status(record.invocation_id, Status.QUARANTINED, record.state.owner)
    desk.jobs.other()
    tasks = desk.app.tasks
    tasks._tasks, known = {}, tasks._tasks
    tasks._ids = frozenset()
    assert desk.claim() == ()  # nobody here knows the task, so it is parked
    tasks._tasks, tasks._ids = known, frozenset(known)
    desk.jobs.other()
    report = desk.run("doctor", code=1)
    assert "1 wait for a runner that knows their task" in report
    assert "1 crashed their runner too often or cannot be decoded" in report
    assert "1 may be claimed; nobody is there to run what waits" in report
    assert (desk.state("parked"), desk.state("quarantined"), desk.state("invocations")) == ({"wrong"}, {"note"}, {"wrong"})


def test_the_runners_are_listed_and_what_one_told_when_it_stopped_is_shown(desk: Desk) -> None:
    assert desk.json("runner", "list") == {"runners": [], "counted": True}
    assert "no runner is alive" in desk.run("runner", "list")
    context, state = desk.context(), desk.app.orchestrator.engine.state
    state.beat([context.runner_id], 30.0)
    desk.jobs.other()
    desk.claim(context)
    (line,) = desk.json("runner", "list")["runners"]
    assert (line["runner_id"], line["state"], line["owned"], line["pid"]) == (context.runner_id, "alive", 1, os.getpid())
    assert line["heard_sec_ago"] < START
    assert "has no report of a shutdown" in desk.run("runner", "show", context.runner_id, code=3)

    desk.app.orchestrator.store_runner_context(context)  # the command before has closed the app; a runner has it open
    desk.app.report_shutdown(context, signal.SIGTERM)
    desk.app.retire(context)
    state.forget_runners([context.runner_id])
    (line,) = desk.json("runner", "list")["runners"]
    assert (line["state"], line["reason"], line["heard_at"]) == ("dead", "sigterm", None)
    assert f"{context.runner_id}  dead " in desk.run("runner", "list")
    assert desk.json("runner", "show", context.runner_id)["event"]["signal_name"] == "SIGTERM"
    assert desk.run("runner", "show", context.runner_id).startswith(f"runner {context.runner_id} stops: sigterm (SIGTERM)\n  runner: ")


def test_the_doctor_asks_the_plugins(desk: Desk) -> None:
    class Healthy:
        @hookimpl
        def pynenc_healthcheck(self, app: Any) -> list[dict[str, object]]:
            return [{"name": "disk", "ok": True, "detail": f"room for {app.app_id}"}, {"name": "fan", "ok": False, "detail": "stuck"}]

    class Ill:
        @hookimpl
        def pynenc_healthcheck(self) -> None:
            raise RuntimeError("no pulse")

    desk.app.plugins.register(Healthy(), "healthy")
    desk.app.plugins.register(Ill(), "ill")
    report = desk.run("doctor", code=1)
    assert f"room for {desk.app.app_id}" in report
    assert "'pynenc_healthcheck': RuntimeError: no pulse" in report
    assert (desk.state("disk"), desk.state("fan"), desk.state("healthcheck of ill")) == ({"ok"}, {"wrong"}, {"wrong"})


def test_the_doctor_names_options_of_tasks_that_nobody_has(open_desk: Opening) -> None:
    desk = open_desk(**{"task.jobs.sned": {"max_retries": 3}})
    assert "sets options of a task that this process does not know: misspelt, or not imported here" in desk.run("doctor")


@pytest.mark.parametrize("place", PLACES.values(), ids=list(PLACES))
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_runner_says_what_it_runs_over_works_and_ends_with_0_on_a_signal(tmp_path: Path, place: Place, number: signal.Signals) -> None:
    where, ran = place.settings(tmp_path), tmp_path / "ran"
    (tmp_path / "jobs.py").write_text(f"{SELF_FILLING}\napp = Pynenc(app_id='filling', **{where!r})\n{TOUCH}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYNENC_")}
    command = [sys.executable, "-m", "pynenc_core.cli", "runner", "start"]
    log = tmp_path / "log"
    with log.open("w") as stderr, subprocess.Popen(command, cwd=tmp_path, env={**environment, "FILL": "1"}, stderr=stderr) as process:
        try:
            eventually(ran.exists, "the task has run", START)
            process.send_signal(number)
            process.wait(START)
        except AssertionError as error:
            error.add_note(log.read_text())
            raise
        finally:
            process.kill()
    told = log.read_text()
    assert process.returncode == 0, told
    assert "app filling, found as jobs:app, runs with the " in told
    assert re.search(rf" runner over ({re.escape(str(where['url']))}|broker \w+ and {re.escape(str(where['url']))})\n", told), told
    assert "Traceback" not in told
