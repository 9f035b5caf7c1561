"""A server that goes away under load: nothing that was acknowledged is lost, and everybody goes on by themselves."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc_core.status import Status
from pynenc_testkit.contracts.subject import fresh_place
from pynenc_testkit.projects import FAST, START, Project, make_project
from pynenc_testkit.servers.redis import RedisServer
from pynenc_testkit.stores import eventually


@pytest.fixture
def server() -> Iterator[RedisServer]:
    server = RedisServer("--appendonly", "yes", "--appendfsync", "always")
    yield server
    server.stop()


@pytest.fixture
def project(server: RedisServer) -> Iterator[Project]:
    with fresh_place("{folder}") as folder:
        settings = {**FAST, "runner_cls": "persistent-process", "runner": {**FAST["runner"], "num_processes": 2}}
        made = make_project(Path(folder), server.url, settings)
        try:
            made.start()
            yield made
            assert made.runners[0].stop() == 0
        finally:
            made.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_work_goes_on_after_the_server_has_come_back(project: Project, server: RedisServer, how: signal.Signals) -> None:
    assert project.jobs.add(1, y=1).get_result(START) == 2
    given = project.jobs.add.parallelize([(number, 0) for number in range(400)])
    ids = [each.invocation_id for each in given]
    server.stop(how)
    server.start()
    state = project.app.orchestrator.engine.state
    eventually(lambda: all(each.state.final for each in state.get(ids).values()), "the end of all that was acknowledged", START)
    found = state.get(ids)
    assert len(found) == 400
    assert {each.state.status for each in found.values()} == {Status.SUCCESS}
    assert {each.state.crashes for each in found.values()} == {0}, "no living worker was declared dead"
    assert project.jobs.add(3, y=4).get_result(START) == 7
