"""The main path over one runner and one backend: what a user does with tasks, from the call to the look at what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from pynenc_core.errors.invocations import InvocationCancelledError
from pynenc_core.status import Status
from pynenc_testkit.contracts.subject import all_filled, filled, fresh_place
from pynenc_testkit.projects import FAST, START, Project, make_project
from pynenc_testkit.stores import Background


@pytest.mark.pynenc_contract
class ComboContract:
    """A runner and a backend work together; give `runner` and `url`.

    Where the backend crosses processes the runner is a real `pynenc runner start`, else it runs in a thread of this process.
    One runner serves all tests of the class.
    """

    runner: ClassVar[str] = ""
    url: ClassVar[str] = ""
    """Where to store; `{folder}` stands for the project's directory, `{redis}` for a real server."""
    beside: ClassVar[Mapping[str, object]] = {}
    """Settings beside the URL, for what stores one half elsewhere: nested as in a configuration file, with the same placeholders."""
    crosses_processes: ClassVar[bool] = True
    slots: ClassVar[int] = 2

    @classmethod
    def settings(cls) -> Mapping[str, object]:
        """Return the section `runner` with which `slots` invocations run at once."""
        return {"max_threads": cls.slots, "num_processes": cls.slots, "max_tasks": cls.slots, "max_processes": 1}

    @classmethod
    def source(cls) -> str:
        """Return the project's module; empty for the kit's own jobs."""
        return ""

    @pytest.fixture(scope="class")
    @classmethod
    def project(cls) -> Iterator[Project]:
        """A project whose tasks are run by somebody."""
        with fresh_place("{folder}") as folder:
            section = {**FAST["runner"], **cls.settings()}
            beside = all_filled(cls.beside, folder)
            settings: dict[str, object] = {**FAST, **beside, "app_id": Path(folder).name, "runner_cls": cls.runner, "runner": section}
            project = make_project(Path(folder), filled(cls.url, folder), settings, cls.source())
            try:
                if cls.crosses_processes:
                    project.start()
                    yield project
                    assert project.runners[0].stop() == 0
                else:
                    runner = project.app.make_runner()
                    runs = Background(runner.run)
                    yield project
                    runner.stop_runner_loop()
                    runs.result(START)
            finally:
                project.close()

    def test_a_call_runs_elsewhere_and_its_result_comes_back(self, project: Project) -> None:
        invocation = project.jobs.add(1, y=2)
        assert invocation.get_result(START) == 3
        assert (invocation.status, invocation.is_final) == (Status.SUCCESS, True)
        assert project.app.get_invocation(invocation.invocation_id).result == 3

    def test_coroutines_run_and_can_be_awaited(self, project: Project) -> None:
        assert asyncio.run(project.jobs.async_add(20, 22).async_result(START)) == 42

    def test_a_group_comes_back_in_order_and_as_it_finishes(self, project: Project) -> None:
        group = project.jobs.add.parallelize([(number, 100) for number in range(30)])
        assert group.ordered_results(START) == [100 + number for number in range(30)]
        again = project.jobs.add.parallelize([(number, 200) for number in range(30)])
        assert sorted(again.iter_results(START)) == [200 + number for number in range(30)]

    def test_an_error_comes_back_as_it_was_raised(self, project: Project) -> None:
        invocation = project.jobs.fail("what went wrong")
        with pytest.raises(ValueError, match="what went wrong"):
            invocation.get_result(START)
        assert invocation.status is Status.FAILED

    def test_a_task_that_asks_for_it_is_tried_again(self, project: Project) -> None:
        invocation = project.jobs.third_time("persistent")
        assert invocation.get_result(START) == 3
        assert invocation.record.state.attempts == 2

    def test_large_arguments_and_results_come_back_whole(self, project: Project) -> None:
        text = "0123456789" * 150_000
        assert project.jobs.double(text).get_result(START) == text + text

    def test_tasks_wait_for_tasks(self, project: Project) -> None:
        assert project.jobs.tree(5, 2).get_result(START) == 63

    def test_what_waits_can_be_cancelled(self, project: Project) -> None:
        names = [f"gate{number}" for number in range(self.slots)]
        held = project.jobs.wait_for_gate.parallelize([(name,) for name in names])
        for name in names:
            project.noted(f"+ {name}")
        waits = project.jobs.add(1, 1)
        assert str(waits.cancel("not needed")) == "cancelled"
        with pytest.raises(InvocationCancelledError, match="not needed"):
            waits.get_result(START)
        project.open_gate()
        assert sorted(held.iter_results(START)) == names
        assert waits.status is Status.CANCELLED

    def test_what_happened_can_be_looked_at(self, project: Project) -> None:
        invocation = project.jobs.parent(7)
        child_id, _ = invocation.get_result(START)
        child = project.app.get_invocation(child_id)
        assert child.get_result(START) == 14
        passed = [entry.status_record.status for entry in invocation.history]
        assert passed == [Status.REGISTERED, Status.PENDING, Status.RUNNING, Status.SUCCESS]
        times = [entry.at for entry in invocation.history]
        assert times == sorted(times)
        assert child.workflow == invocation.workflow
        assert child.record.invocation.parent_id == invocation.invocation_id
        state = project.app.orchestrator.engine.state
        runner_id = invocation.history[2].status_record.runner_id
        context = state.get_runner_context(runner_id)
        assert context is not None
        assert context.runner_id == runner_id
