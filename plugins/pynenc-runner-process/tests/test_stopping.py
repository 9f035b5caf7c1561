"""The process of an invocation that waits is stopped, and never misses its resume."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from textwrap import dedent

import psutil
import pytest

from pynenc_core.errors.invocations import ConcurrencyDeadlockError, InvocationCancelledError, InvocationTimeoutError, WaitDepthError
from pynenc_core.orchestration.waiting import Interest
from pynenc_core.status import Status
from pynenc_testkit.contracts.runner_subject import MakeProject, making_projects
from pynenc_testkit.projects import START, Project
from pynenc_testkit.stores import eventually

SOURCE = dedent(
    '''
    from __future__ import annotations

    import asyncio
    import os
    import threading
    from pathlib import Path

    from pynenc_core import Pynenc

    FOLDER = Path(__file__).parent
    app = Pynenc(config_filepath=FOLDER / "project.toml")


    @app.task
    def gate(name: str) -> str:
        """Return when a file of that name is there."""
        while not (FOLDER / name).exists():
            threading.Event().wait(0.01)
        return name


    @app.task
    def after(name: str, timeout: float | None = None) -> tuple[str, int]:
        """Wait for a gate; return its name and the own pid."""
        (FOLDER / f"pid-{name}").write_text(str(os.getpid()))
        return gate(name).get_result(timeout), os.getpid()


    @app.task
    def after_beside_a_thread(name: str) -> int:
        """Wait for a gate while a thread of the task's own goes on counting; return how far it came meanwhile."""
        (FOLDER / f"pid-{name}").write_text(str(os.getpid()))
        ended, counted = threading.Event(), []

        def count() -> None:
            while not ended.wait(0.01):
                counted.append(1)
                (FOLDER / "counted").write_text(str(len(counted)))

        counter = threading.Thread(target=count)
        counter.start()
        try:
            gate(name).result
        finally:
            ended.set()
            counter.join()
        return len(counted)


    @app.task
    def after_beside_a_loop(name: str) -> int:
        """Wait for a gate in an event loop of the task's own, where another coroutine counts; return how far it came."""
        counted = 0

        async def wait() -> int:
            nonlocal counted
            waits = asyncio.ensure_future(gate(name).async_result())
            while not waits.done():
                counted += 1
                (FOLDER / "counted").write_text(str(counted))
                await asyncio.sleep(0.01)
            return counted

        return asyncio.run(wait())


    @app.task
    def leaf(x: int) -> int:
        return x


    @app.task
    async def beside_itself(name: str) -> str:
        """Wait for a gate that another coroutine of the same invocation opens, later, after a wait of its own."""
        async def open_it() -> None:
            await asyncio.sleep(0.3)
            await leaf(1).async_result()
            (FOLDER / name).touch()

        opened, _ = await asyncio.gather(gate(name).async_result(), open_it())
        return opened


    @app.task
    def three(x: int) -> int:
        """Wait for three others."""
        return sum(leaf.parallelize([(x,)] * 3).results)


    @app.task
    def deep(levels: int) -> int:
        """Wait for a chain so deep."""
        return 1 + deep(levels - 1).result if levels else 0


    @app.task(running_concurrency="task")
    def alone(again: bool) -> int:
        """Call itself, which may not run beside itself."""
        return alone(False).result if again else 1
    '''
)


@pytest.fixture
def projects() -> Iterator[MakeProject]:
    with making_projects("process", num_processes=1) as make:
        yield partial(make, SOURCE)


def process_of(project: Project, name: str) -> psutil.Process:
    """The process whose invocation waits for the gate of that name, as soon as it is stopped."""
    path = project.folder / f"pid-{name}"
    eventually(path.exists, f"the task that waits for {name}", START)
    process = psutil.Process(int(eventually(path.read_text, "its pid", START)))
    eventually(lambda: process.status() == psutil.STATUS_STOPPED, "the process to be stopped", START)
    return process


def test_a_process_that_waits_is_stopped_takes_no_slot_and_goes_on_with_its_result(projects: MakeProject) -> None:
    project = projects()
    with project.running():
        waits = project.jobs.after("a")
        process = process_of(project, "a")
        used = sum(process.cpu_times()[:2])
        assert waits.status is Status.PAUSED
        (project.folder / "a").touch()
        assert waits.get_result(START) == ("a", process.pid)
        assert sum(process.cpu_times()[:2]) - used < 0.5 if process.is_running() else True


def test_a_hundred_that_wait_for_three_each_end_on_two_slots_and_leave_no_process(projects: MakeProject) -> None:
    project = projects(num_processes=2)
    there_before = {*psutil.Process().children(recursive=True)}
    with project.running():
        group = project.jobs.three.parallelize([(number,) for number in range(100)])
        assert group.ordered_results(START * 5) == [3 * number for number in range(100)]
    left = {child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE}
    assert left <= there_before


def test_a_wait_with_a_timeout_goes_on_without_its_result(projects: MakeProject) -> None:
    project = projects(num_processes=2)
    with project.running():
        waits = project.jobs.after("never", 0.5)
        process_of(project, "never")
        with pytest.raises(InvocationTimeoutError):
            waits.get_result(START)
        assert waits.status is Status.FAILED, "the timeout was the task's own, not that of this test"
        (project.folder / "never").touch()


def test_one_that_waits_is_cancelled_within_a_second_of_the_next_look(projects: MakeProject) -> None:
    project = projects()
    with project.running():
        waits = project.jobs.after("a")
        process_of(project, "a")
        waits.cancel()
        with pytest.raises(InvocationCancelledError):
            waits.get_result(START)
        (project.folder / "a").touch()


def test_a_stopped_process_that_is_killed_is_handed_on_at_once(projects: MakeProject) -> None:
    project = projects(num_processes=2)
    with project.running():
        waits = project.jobs.after("a")
        process = process_of(project, "a")
        process.kill()
        eventually(lambda: int((project.folder / "pid-a").read_text() or 0) not in {0, process.pid}, "it to run again", START)
        (project.folder / "a").touch()
        assert waits.get_result(START)[0] == "a"
        assert waits.record.state.crashes == 0, "it was not running when it died"


def test_stopped_processes_die_with_a_runner_that_is_killed(projects: MakeProject) -> None:
    project = projects()
    first = project.start()
    waits = project.jobs.after("a")
    process = process_of(project, "a")
    tree = psutil.Process(process.ppid())
    first.kill()
    _, alive = psutil.wait_procs([process, tree], timeout=START)
    assert alive == []
    project.start()
    (project.folder / "a").touch()
    assert waits.get_result(START)[0] == "a"


def test_a_stopped_process_is_told_though_the_notification_was_lost(projects: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[frozenset[str]] = []
    news = Interest.news

    def losing(self: Interest, timeout: float | None, linger: float) -> frozenset[str]:
        found = news(self, timeout, linger)
        if found and not lost:
            lost.append(found)
            return frozenset()
        return found

    monkeypatch.setattr(Interest, "news", losing)
    project = projects()
    with project.running():
        waits = project.jobs.after("a")
        process_of(project, "a")
        (project.folder / "a").touch()
        assert waits.get_result(START)[0] == "a"
    assert len(lost) == 1


@pytest.mark.parametrize("task", ["after_beside_a_thread", "after_beside_a_loop"])
def test_where_something_else_runs_in_it_a_process_is_not_stopped_and_takes_no_slot(projects: MakeProject, task: str) -> None:
    project = projects(num_processes=2)
    with project.running():
        waits = getattr(project.jobs, task)("a")
        eventually(lambda: waits.status is Status.PAUSED, "it to wait", START)
        counted = project.folder / "counted"
        eventually(counted.exists, "its thread to count", START)
        before = int(eventually(counted.read_text, "its number", START))
        eventually(lambda: int(counted.read_text() or 0) > before + 10, "its thread to go on", START)
        assert project.jobs.leaf(7).get_result(START) == 7
        (project.folder / "a").touch()
        assert waits.get_result(START) > before


def test_coroutines_go_on_while_one_of_them_waits(projects: MakeProject) -> None:
    project = projects(num_processes=2)
    with project.running():
        assert project.jobs.beside_itself("a").get_result(START) == "a"


def test_a_chain_deeper_than_may_wait_is_refused_and_leaves_nothing_stopped(projects: MakeProject) -> None:
    project = projects(max_paused_per_worker=5)
    with project.running() as runner:
        with pytest.raises(WaitDepthError):
            project.jobs.deep(8).get_result(START)
        assert project.jobs.deep(5).get_result(START) == 5
        eventually(lambda: not any(child.invocation_ids for child in runner.children() if child.alive), "all to end", START)


def test_a_circle_through_a_limit_is_named(projects: MakeProject) -> None:
    project = projects()
    with project.running(), pytest.raises(ConcurrencyDeadlockError):
        project.jobs.alone(True).get_result(START)


def test_a_stop_hands_back_what_waits_when_nothing_runs_any_more(projects: MakeProject) -> None:
    project = projects(grace_period_sec=0.5)
    runner = project.start()
    waits = project.jobs.after("a")
    process_of(project, "a")
    assert runner.stop() == 0
    assert (waits.status, waits.record.state.interruptions, waits.record.state.crashes) == (Status.REROUTED, 1, 0)
    assert runner.leaves_nothing()
    (project.folder / "a").touch()
    project.start()
    assert waits.get_result(START)[0] == "a"


def test_a_result_that_comes_during_the_grace_lets_a_stopped_process_end(projects: MakeProject) -> None:
    project = projects(grace_period_sec=START)
    runner = project.start()
    waits = project.jobs.after("a")
    process_of(project, "a")
    (child,) = project.app.state_backend.get_child_invocations(waits.invocation_id)
    eventually(lambda: project.app.get_invocation(child.invocation_id).status is Status.RUNNING, "what it waits for to run", START)
    runner.ask_to_stop()
    eventually(lambda: "sigterm" in runner.log.read_text(), "the report of the stop", START)
    (project.folder / "a").touch()
    assert runner.wait() == 0
    assert waits.get_result(START)[0] == "a"
    assert waits.record.state.interruptions == 0
