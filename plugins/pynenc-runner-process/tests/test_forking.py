"""Processes are forked from a clean server, whatever the app holds open; what the app itself would break is refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from pynenc_core.errors.runners import PreloadRefusedError
from pynenc_core.ports import forking
from pynenc_core.status import Status
from pynenc_runner_process.runner import ProcessRunner
from pynenc_testkit.contracts.runner_subject import MakeProject, making_projects
from pynenc_testkit.projects import START
from pynenc_testkit.stores import eventually

HEADER = '''
from __future__ import annotations

import os
import signal
import socket
import sqlite3
import threading
from pathlib import Path

from pynenc_core import Pynenc

FOLDER = Path(__file__).parent
app = Pynenc(config_filepath=FOLDER / "project.toml")


@app.task
def whoami(x: int) -> tuple[int, int, int]:
    """Return what came, the own pid and the parent's."""
    return x, os.getpid(), os.getppid()


@app.task
def die(signum: int) -> None:
    """End by a signal."""
    signal.raise_signal(signum)  # to this thread: of one sent to the process the thread may well see nothing until it has returned
'''
UNTIL = """

@app.task
def until(name: str) -> str:
    while not (FOLDER / name).exists():
        threading.Event().wait(0.01)
    return name
"""
HAZARDS = (
    HEADER
    + '''

LOCK = threading.Lock()


def hold_the_lock() -> None:
    """Hold a lock nearly always, as a library's own thread may."""
    while True:
        with LOCK:
            threading.Event().wait(0.01)


threading.Thread(target=hold_the_lock, daemon=True).start()
READING, WRITING = socket.socketpair()
threading.Thread(target=READING.recv, args=(1,), daemon=True).start()
DATABASE = sqlite3.connect(FOLDER / "other.db", check_same_thread=False)
DATABASE.execute("PRAGMA user_version = 1").close()


@app.task
def careful(x: int) -> int:
    """Use what is open in every process of this app."""
    with LOCK:
        return x + DATABASE.execute("SELECT 0").fetchone()[0]
'''
)
LOADED = (
    HEADER.replace("FOLDER = ", "LOADED_IN = os.getpid()\nFOLDER = ")
    + '''

@app.task
def loaded_in() -> int:
    """Return which process imported this module."""
    return LOADED_IN
'''
)


@pytest.fixture
def projects() -> Iterator[MakeProject]:
    with making_projects("process", num_processes=2) as make:
        yield make


def test_each_invocation_has_a_process_of_its_own_that_ends_with_it(projects: MakeProject) -> None:
    project = projects(HEADER)
    with project.running() as runner:
        results = project.jobs.whoami.parallelize([(number,) for number in range(8)]).ordered_results(START)
        pids = {pid for _, pid, _ in results}
        assert [number for number, _, _ in results] == list(range(8))
        assert len(pids) == 8
        assert os.getpid() not in {parent for _, _, parent in results}, "none is forked from a process with threads"
        eventually(lambda: not any(map(psutil.pid_exists, pids)), "their processes to end", START)
        eventually(lambda: not any(child.pid in pids for child in runner.children()), "what ended as it should to be forgotten", START)


def test_no_child_of_an_app_with_threads_sockets_and_a_database_hangs(projects: MakeProject) -> None:
    project = projects(HAZARDS)
    runner = project.start()
    assert project.jobs.careful.parallelize([(number,) for number in range(40)]).ordered_results(START) == list(range(40))
    assert runner.stop() == 0
    assert runner.leaves_nothing()


def test_the_app_is_imported_once_where_it_is_preloaded(projects: MakeProject) -> None:
    project = projects(LOADED, preload_app=True)
    with project.running():
        loaded = {project.jobs.loaded_in().get_result(START) for _ in range(3)}
        _, pid, parent = project.jobs.whoami(1).get_result(START)
        assert loaded == {parent}
        assert pid != parent


def test_an_app_that_leaves_threads_behind_is_not_preloaded(projects: MakeProject) -> None:
    project = projects(HAZARDS, preload_app=True)
    with pytest.raises(PreloadRefusedError, match="starts threads"):
        project.app.make_runner().run()
    runner = project.start()
    assert runner.wait() == 1
    assert "preload_app" in runner.log.read_text()
    assert "Traceback" not in runner.log.read_text()


def test_a_server_that_is_killed_is_replaced_and_what_ran_under_it_is_handed_on(projects: MakeProject) -> None:
    project = projects(HEADER)
    with project.running() as runner:
        _, _, server = project.jobs.whoami(1).get_result(START)
        ready = {child.pid for child in runner.children()}
        os.kill(server, signal.SIGKILL)
        eventually(lambda: not any(map(psutil.pid_exists, ready)), "those that it has forked to end with it", START)
        _, _, other = project.jobs.whoami(2).get_result(START)
        assert other != server
        eventually(
            lambda: all(psutil.pid_exists(child.pid) for child in runner.children() if child.alive),
            "the runner to know who is dead",
            START,
        )


def test_how_a_process_ended_is_told(projects: MakeProject) -> None:
    project = projects(HEADER)
    project.app.conf.orchestrator.max_crashes = 1
    with project.running() as runner:
        dies = project.jobs.die(int(signal.SIGSEGV))
        eventually(lambda: dies.status is Status.QUARANTINED, "it to be set aside", START)
        eventually(lambda: any(child.exit_reason for child in runner.children()), "its end to be told", START)  # a moment later
        (child,) = [child for child in runner.children() if dies.invocation_id in child.invocation_ids and child.exit_reason]
        assert (child.alive, child.exit_code) == (False, -signal.SIGSEGV)
        assert "SIGSEGV" in child.exit_reason
        assert "SIGSEGV" in dies.history[-1].status_record.reason


def test_a_process_killed_before_it_has_work_holds_up_nobody(projects: MakeProject) -> None:
    project = projects(HEADER, num_processes=1, idle_claim_timeout_sec=10 * START)
    with project.running() as runner:
        project.jobs.whoami(1).get_result(START)
        for number in range(3):
            eventually(lambda: [child for child in runner.children() if child.alive], "a spare process", START)
            os.kill([child.pid for child in runner.children() if child.alive][-1], signal.SIGKILL)
            assert project.jobs.whoami(number).get_result(START)[0] == number


def test_one_that_died_is_remembered_however_many_end_as_they_should(projects: MakeProject) -> None:
    project = projects(HEADER)
    with project.running() as runner:
        project.jobs.die(int(signal.SIGKILL))
        project.jobs.whoami.parallelize([(number,) for number in range(30)]).ordered_results(START)
        ends = [child.exit_code for child in runner.children() if not child.alive]
        assert -signal.SIGKILL in ends


def test_a_server_that_stands_still_is_replaced_and_nothing_runs_twice(projects: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "_PATIENCE", 1.0)
    project = projects(HEADER)
    with project.running() as runner:
        _, _, server = project.jobs.whoami(1).get_result(START)
        os.kill(server, signal.SIGSTOP)
        invocations = [project.jobs.whoami(number) for number in range(6)]
        assert [each.get_result(START)[0] for each in invocations] == list(range(6))
        eventually(lambda: not psutil.pid_exists(server), "the end of the server that stood still", START)
        assert {each.record.state.crashes for each in invocations} <= {0, 1}
        assert len({child.pid for child in runner.children() if child.alive}) <= 4


def test_a_stop_while_a_process_is_asked_for_leaves_the_others_their_grace(projects: MakeProject) -> None:
    project = projects(HEADER + UNTIL, num_processes=3, grace_period_sec=2 * START)
    with project.running() as runner:
        assert isinstance(runner, ProcessRunner)
        _, _, server = project.jobs.whoami(1).get_result(START)
        runs = project.jobs.until("gate")
        eventually(lambda: runs.status is Status.RUNNING, "it to run", START)
        os.kill(server, signal.SIGSTOP)
        project.jobs.whoami.parallelize([(number,) for number in range(4)])  # more than there are processes ready for
        eventually(runner._forks._lock.locked, "another process to be asked for", START)
        runner.stop_runner_loop()
        eventually(lambda: not runner._forks._lock.locked(), "it to be given up", START)
        os.kill(server, signal.SIGCONT)
        (project.folder / "gate").touch()
    assert runs.get_result(START) == "gate"
    assert (runs.record.state.crashes, runs.record.state.interruptions) == (0, 0)


def test_a_runner_stops_although_its_server_stands_still(projects: MakeProject) -> None:
    project = projects(HEADER, grace_period_sec=0.5)
    runner = project.start()
    _, _, server = project.jobs.whoami(1).get_result(START)
    os.kill(server, signal.SIGSTOP)
    assert runner.stop() == 0
    eventually(runner.leaves_nothing, "the end of what the server has forked, which its own end brings about", START)
