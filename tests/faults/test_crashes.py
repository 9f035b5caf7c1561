"""The store's server dies under load, also so that its last second is lost: the rest is there, and everything goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from faults.conftest import MakeScenario
from faults.outages import PERSISTENT, Server
from faults.scenario import Scenario
from pynenc_core.status import Status
from pynenc_testkit.servers.mongo import MongoServer
from pynenc_testkit.servers.redis import RedisServer
from pynenc_testkit.stores import eventually

SLOTS = 2
EVERY_SECOND = 1.0
"""Seconds of which a server may lose what it acknowledged, where it writes to its disk so often."""
PRODUCER = """
import os, time
from JOBS import FOLDER, last, work
from pynenc_core.errors.backends import BackendUnavailableError

acknowledged = os.open(FOLDER / "acknowledged", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
while not (FOLDER / "enough").exists():
    last(0.05)
    try:
        ids = [each.invocation_id for each in work.parallelize([(0, 0.005)] * 10)]
    except BackendUnavailableError:
        continue
    os.write(acknowledged, "".join(f"{each} {time.time()}\\n" for each in ids).encode())
"""


class Production:
    """A process that submits on and on, and notes what was acknowledged, and when."""

    def __init__(self, it: Scenario) -> None:
        self._it = it
        self._notes = it.project.folder / "acknowledged"
        self._module = it.project.add_module("producer", PRODUCER)
        self.start()

    def start(self) -> None:
        """Start it, again if it was killed."""
        self.process: subprocess.Popen[bytes] = self._it.fleet.python("-m", self._module)

    def acknowledged(self) -> dict[str, float]:
        """Return when each invocation so far was acknowledged."""
        lines = self._notes.read_text().splitlines() if self._notes.exists() else []
        return {name: float(at) for name, at in (line.split() for line in lines)}

    def goes_on(self) -> None:
        """Wait until more is submitted, and more is run."""
        submitted, run = len(self.acknowledged()), len(self._it.ledger.lines())
        eventually(lambda: len(self.acknowledged()) >= submitted + 50, "more submissions", 30.0)
        self._it.ledger.wait_for(run + 50)

    def end(self) -> dict[str, float]:
        """Let it end; return what `acknowledged` does."""
        self._it.project.open_gate("enough")
        assert self.process.wait(30.0) == 0
        return self.acknowledged()


SERVERS: dict[str, Callable[[], Server]] = {"redis": lambda: RedisServer(*PERSISTENT), "mongo": MongoServer}
PATHS = {"redis": "", "mongo": "/jobs"}


@pytest.fixture
def server(store: str) -> Iterator[Server]:
    """A server that keeps what it stores."""
    made = SERVERS[store]()
    yield made
    made.stop()


@pytest.mark.parametrize("store", ["redis", pytest.param("mongo", marks=pytest.mark.full)])
@pytest.mark.parametrize("crashes", [pytest.param(1, id="once"), pytest.param(10, marks=pytest.mark.full, id="full")])
def test_a_server_killed_under_load(scenario: MakeScenario, store: str, server: Server, crashes: int) -> None:
    with scenario("F15", "persistent-process", store, url=server.url + PATHS[store]) as it:
        hosts = [it.fleet.start(it.runner, SLOTS) for _ in range(2)]
        production = Production(it)
        for _ in range(crashes):
            production.goes_on()
            server.stop(signal.SIGKILL)
            server.start()
        production.goes_on()
        it.accept(it.project.app.get_invocation(each) for each in production.end())
        it.wait_until_final(90.0)
        assert {it.record(each).state.status for each in it.accepted} == {Status.SUCCESS}
        assert {it.record(each).state.crashes for each in it.accepted} == {0}, "nobody alive was taken for dead"
        assert [host.exit_code for host in hosts] == [None, None]
        it.finish(extra=crashes * SLOTS * len(hosts), crashes=crashes, acknowledged=len(it.accepted))


@pytest.mark.full
@pytest.mark.parametrize("store", ["sqlite"])
def test_everything_that_uses_a_file_is_killed_at_once(scenario: MakeScenario, store: str) -> None:
    crashes = 5
    with scenario("F15", "persistent-process", store) as it:
        production = Production(it)
        for _ in range(crashes):
            host = it.fleet.start(it.runner, SLOTS)
            production.goes_on()
            production.process.kill()
            host.kill()
            production.start()
        it.fleet.start(it.runner, SLOTS)
        it.accept(it.project.app.get_invocation(each) for each in production.end())
        it.wait_until_final(90.0)
        assert {it.record(each).state.status for each in it.accepted} == {Status.SUCCESS}
        it.finish(extra=crashes * SLOTS, crashes=crashes, acknowledged=len(it.accepted))


class Journal:
    """The file to which a Redis server appends, and how long it was when."""

    def __init__(self, server: RedisServer) -> None:
        self._path = eventually(lambda: next(server.folder.glob("appendonlydir/*.incr.aof"), None), "a journal")
        self._sizes: list[tuple[float, int]] = []
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self._sizes.append((time.time(), self._file.stat().st_size))

    @property
    def _file(self) -> Path:
        assert self._path is not None
        return self._path

    def lose(self, seconds: float) -> float:
        """Cut off what was written in the last seconds, as a power cut may; return since when everything is lost."""
        self._ended.set()
        now = time.time()
        at, size = list(takewhile(lambda each: each[0] < now - seconds, self._sizes))[-1]
        os.truncate(self._file, size)
        return at


@pytest.mark.full
def test_a_power_cut_loses_a_second_and_nothing_else(scenario: MakeScenario) -> None:
    server = RedisServer(*PERSISTENT)
    with scenario("F15-power", "persistent-process", "redis", url=server.url) as it:
        hosts = [it.fleet.start(it.runner, SLOTS) for _ in range(2)]
        backlog = it.accept(it.jobs.work.parallelize([(number, 0.01) for number in range(2000)]))
        journal, production = Journal(server), Production(it)
        it.ledger.wait_for(300)  # what is done in the last second was submitted before it
        server.stop(signal.SIGKILL)
        since = journal.lose(EVERY_SECOND)
        server.start()
        back = time.time()
        production.goes_on()
        acknowledged = production.end()
        there = set(it.checker.records(acknowledged))
        gone = {each: at for each, at in acknowledged.items() if each not in there}
        assert all(since - EVERY_SECOND < at < back for at in gone.values())
        again = sum(since < line.at < back for line in it.ledger.lines())
        it.accept(it.project.app.get_invocation(each) for each in there)
        it.wait_until_final(60.0)
        assert {it.record(each).state.status for each in it.accepted} == {Status.SUCCESS}
        assert [host.exit_code for host in hosts] == [None, None]
        for host in hosts:
            assert "Traceback" not in host.said()
        it.ledger.undo(since, back)  # it ran for nothing, under claims that were given again
        it.finish(extra=SLOTS * len(hosts), backlog=len(backlog), repeated=again, gone=len(gone), acknowledged=len(acknowledged))
    server.stop()
