"""A queue on one server and the records elsewhere: the main path over pairs that share no store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc_testkit.contracts.subject import fresh_place
from pynenc_testkit.projects import FAST, START, Project, make_project
from pynenc_testkit.servers.mongo import mongo_server
from pynenc_testkit.servers.redis import redis_url
from pynenc_testkit.servers.urls import extended

LONG = (("mongo", "redis"), ("sqlite", "mongo"))
PAIRS = (
    *(("redis", "sqlite"), ("sqlite", "redis"), ("redis", "mongo"), ("mongo", "sqlite")),
    *(pytest.param(pair, marks=pytest.mark.full, id="-".join(pair)) for pair in LONG),
)


@pytest.fixture(params=PAIRS, ids="-".join)
def project(request: pytest.FixtureRequest) -> Iterator[Project]:
    broker, state = request.param
    with fresh_place("{folder}") as folder:
        urls = {"redis": redis_url, "mongo": lambda: extended(mongo_server(), f"/{Path(folder).name}")}
        stores = {name: {"url": urls[name]()} if name in urls else {"path": f"{folder}/jobs.db"} for name in (broker, state)}
        parts = {"app_id": Path(folder).name, "url": "", "broker_cls": broker, "state_backend_cls": state}
        settings = {**FAST, **parts, **stores, "runner_cls": "persistent-process", "runner": {**FAST["runner"], "num_processes": 2}}
        made = make_project(Path(folder), "", settings)
        try:
            made.start()
            yield made
            assert made.runners[0].stop() == 0
        finally:
            made.close()


def test_work_goes_through_one_and_results_come_back_through_the_other(project: Project) -> None:
    assert project.jobs.add(1, y=2).get_result(START) == 3
    group = project.jobs.add.parallelize([(number, 100) for number in range(50)])
    assert group.ordered_results(START) == [100 + number for number in range(50)]
    assert project.jobs.tree(3, 2).get_result(START) == 15
    again = project.jobs.third_time("split")
    assert again.get_result(START) == 3
    assert again.record.state.attempts == 2
