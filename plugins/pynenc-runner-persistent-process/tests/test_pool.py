"""The pool is kept full: what dies is replaced, what cannot be started is tried again, and the runner lives."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import pytest

from pynenc_core.model import RunnerContext
from pynenc_core.ports.runner import BaseRunner
from pynenc_core.status import Status
from pynenc_testkit.contracts.runner_subject import making_projects
from pynenc_testkit.projects import START, Project
from pynenc_testkit.stores import eventually

SOURCE = (
    files("pynenc_testkit").joinpath("jobs.py").read_text(encoding="utf-8")
    + '''

@app.task
def close_all() -> None:
    """Close what this process has open."""
    os.closerange(3, 1024)


@app.task
def slow(name: str) -> str:
    """Take a second."""
    note("+", name)
    pause(1.0)
    return name
'''
)


@pytest.fixture
def project() -> Iterator[Project]:
    with making_projects("persistent-process", num_processes=2) as make:
        yield make(SOURCE)


def living(runner: BaseRunner) -> set[int]:
    """The pids of its workers that are alive."""
    return {child.pid for child in runner.children() if child.alive}


def test_a_worker_that_cannot_be_started_is_tried_again_and_the_runner_lives(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    command = project.app.worker_command
    refused: list[str] = []

    def at_the_third_time(context: RunnerContext, slots: int) -> tuple[Sequence[str], bytes]:
        if len(refused) < 2:
            refused.append(context.runner_id)
            return ["/nowhere/python"], b"\n"
        return command(context, slots)

    monkeypatch.setattr(project.app, "worker_command", at_the_third_time)
    with project.running() as runner:
        assert project.jobs.add(1, 2).get_result(START) == 3
        eventually(lambda: len(living(runner)) == 2, "the pool to be full", START)
    said = [record.getMessage() for record in caplog.records if "cannot start a worker" in record.getMessage()]
    assert len(said) == 2
    assert all("/nowhere/python" in each for each in said)


def test_an_idle_worker_that_is_killed_is_replaced_and_told_of(project: Project) -> None:
    with project.running() as runner:
        assert project.jobs.add(1, 2).get_result(START) == 3
        eventually(lambda: len(living(runner)) == 2, "the pool to be full", START)
        before = living(runner)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: len(living(runner) - before) == 1, "another in its place", START)
        (dead,) = [child for child in runner.children() if not child.alive]
        assert (dead.pid, dead.exit_code) == (victim, -signal.SIGKILL)
        assert "SIGKILL" in dead.exit_reason
        assert project.jobs.add(2, 2).get_result(START) == 4


def test_a_worker_whose_app_cannot_be_imported_does_not_make_the_runner_spin(project: Project) -> None:
    with project.running() as runner:
        eventually(lambda: len(living(runner)) == 2, "the pool to be full", START)
        module = Path(project.module.__file__ or "")
        source = module.read_text(encoding="utf-8")
        module.write_text("raise RuntimeError('not now')\n", encoding="utf-8")
        before = living(runner)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: sum(child.exit_code == 1 for child in runner.children()) >= 4, "some starts to fail", START)
        assert len(runner.children()) < 15, "they are started again with growing delays"
        module.write_text(source, encoding="utf-8")
        assert project.jobs.add(2, 2).get_result(START) == 4


def test_a_worker_whose_task_closed_every_descriptor_is_replaced(project: Project) -> None:
    project.app.conf.orchestrator.max_crashes = 1
    with project.running() as runner:
        eventually(lambda: len(living(runner)) == 2, "the pool to be full", START)
        before = living(runner)
        project.jobs.close_all()
        eventually(lambda: len(living(runner) - before) == 1, "another in its place", START)
        assert project.jobs.add(2, 2).get_result(START) == 4


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_lets_what_runs_end(project: Project, signum: signal.Signals) -> None:
    runner = project.start()
    runs = project.jobs.slow("runs")
    project.noted("+ runs")
    runner.signal_group(signum)
    assert runner.wait() == 0
    assert (runs.status, runs.record.state.interruptions) == (Status.SUCCESS, 0)


def test_an_app_that_uses_its_store_as_it_is_imported_has_workers(project: Project) -> None:
    module = Path(project.module.__file__ or "")
    module.write_text(module.read_text(encoding="utf-8") + "\n\napp.state_backend.now()\n", encoding="utf-8")
    runner = project.start()
    assert project.jobs.add(2, 2).get_result(START) == 4
    assert runner.stop() == 0
    assert "exit code" not in runner.log.read_text()
