"""Several processes on one file: none is told "locked", nobody is forgotten, and a fork or a kill harms nobody."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc_backend_sqlite.broker import SQLiteBroker
from pynenc_backend_sqlite.dispatcher import SQLiteDispatcher
from pynenc_backend_sqlite.state_backend import SQLiteStateBackend
from pynenc_core.model import Ask, Payload, Query
from pynenc_core.status import Status
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.samples import change, claim, finish, ids, new, running, state, submit
from pynenc_testkit.stores import PATIENCE, Background, KitApp, Store

PROCESSES, CLAIMS = 8, 10_000

PRELUDE = """
import os, sys
from pynenc_backend_sqlite.broker import SQLiteBroker
from pynenc_backend_sqlite.dispatcher import SQLiteDispatcher
from pynenc_backend_sqlite.state_backend import SQLiteStateBackend
from pynenc_core.model import Ask, Payload
from pynenc_core.status import Status
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.samples import change, claim, finish, new, submit
from pynenc_testkit.stores import KitApp, Store
def opened():
    app = KitApp("kit", sys.argv[1], ManualClock(start=float(sys.argv[2]), ticking=True))
    state = SQLiteStateBackend(app)
    return Store(app, SQLiteBroker(app), state, SQLiteDispatcher(state))
store = opened()
def ready():
    print("ready", flush=True)
    sys.stdin.readline()
"""

DRAIN = """
store.state.prepare()
ask = Ask(runner_id=f"r{os.getpid()}", limit=1, start=1)
ready()
got, count = store.dispatcher.claim(ask).claimed, 0
while got:
    reply = store.dispatcher.settle([change(each, Status.SUCCESS, outcome=Payload(b"1", size=1)) for each in got], ask=ask)
    assert reply.refused == (None,) * len(got)
    got, count = reply.claim.claimed, count + len(got)
print(count, flush=True)
"""

WORK = """
ask = Ask(runner_id="worker", limit=1, start=1)
ready()
while True:
    got = store.dispatcher.claim(ask).claimed
    if not got:
        store.dispatcher.await_work(("default",), 30)
    for each in got:
        finish(store, each)
"""

STUCK_IN_A_TRANSACTION = """
with store.state.step() as step:
    step.execute("DELETE FROM invocation WHERE app = ?1")
    ready()
"""

WAIT = """
watch = store.state.watch([sys.argv[3]])
ready()
watch.wait(60)
"""

FORK = """
import threading, warnings
warnings.simplefilter("ignore")  # that threads are about is what is tried here
def tell(name):
    watch = store.state.watch(submit(store, new(name, queue=name)).ids)
    finish(store, claim(store, name, queues=(name,), start=1).claimed[0])
    print(*sorted(watch.wait(10)), flush=True)
def keep_busy():
    while not stopped.is_set():
        submit(store, new(queue="busy"))
        claim(store, "busy", limit=9, queues=("busy",))
        store.state.get(["before"])
tell("before")
stopped = threading.Event()
busy = [threading.Thread(target=keep_busy) for _ in range(2)]
for each in busy:
    each.start()
for number in range(5):
    child = os.fork()
    if child == 0:
        tell(f"child {number}")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stopped.set()
for each in busy:
    each.join()
tell("after")
store.close()
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with contextlib.closing(opened(tmp_path)) as made:
        made.state.prepare()
        yield made


def opened(folder: Path) -> Store:
    app = KitApp("kit", f"sqlite:///{folder}/a.db", ManualClock(start=time.time(), ticking=True))
    state_backend = SQLiteStateBackend(app)
    return Store(app, SQLiteBroker(app), state_backend, SQLiteDispatcher(state_backend))


def sockets(store: Store) -> list[str]:
    assert isinstance(store.state, SQLiteStateBackend)
    return sorted(path.name for path in Path(store.state.bell.address).parent.iterdir())


class Process:
    """A further process on the store; it begins when it is told to."""

    def __init__(self, store: Store, script: str, *arguments: str) -> None:
        command = [sys.executable, "-c", PRELUDE + script, store.app.url, str(store.state.now()), *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, f"the process ended: {self.process.communicate()[1]}"
        return line

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> str:
        """Wait for its end; return what it wrote to standard error."""
        return self.process.communicate(timeout=60)[1]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=60)


@contextlib.contextmanager
def started(store: Store, script: str, *arguments: str) -> Iterator[Process]:
    made = Process(store, script, *arguments)
    try:
        yield made
    finally:
        made.kill()


def test_f35_eight_processes_and_a_long_reader_are_never_locked_out(store: Store, tmp_path: Path) -> None:
    for _ in range(CLAIMS // 500):
        submit(store, *(new() for _ in range(500)))
    processes = [Process(store, DRAIN) for _ in range(PROCESSES)]
    assert [each.read() for each in processes] == ["ready"] * PROCESSES
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM invocation").fetchall()
        began = time.monotonic()
        for each in processes:
            each.begin()
        counts = [each.read() for each in processes]
        took = time.monotonic() - began
        reader.execute("COMMIT")
    assert [each.end() for each in processes] == [""] * PROCESSES
    assert sum(map(int, counts)) == CLAIMS
    assert store.state.count(Query()) == {Status.SUCCESS: CLAIMS}
    assert CLAIMS / took >= 500, f"{CLAIMS / took:.0f} claims a second"


@pytest.mark.timed
def test_a_commit_wakes_other_processes_at_once(store: Store) -> None:
    with started(store, WORK) as worker:
        assert worker.read() == "ready"
        worker.begin()
        took = []
        for number in range(20):
            watch = store.state.watch(submit(store, new(f"{number:02d}")).ids)
            began = time.monotonic()
            assert watch.wait(PATIENCE)
            took.append(time.monotonic() - began)
            watch.close()
    assert sorted(took)[10] < 0.1, "half of them took longer than a look every 250 ms would on average"


def test_a_transaction_that_is_killed_is_undone_and_blocks_nobody(store: Store) -> None:
    submit(store, new("a"))
    with started(store, STUCK_IN_A_TRANSACTION) as other:
        assert other.read() == "ready"
        waiting = Background(lambda: claim(store))
        other.kill()
        assert ids(waiting.result()) == ["a"]  # type: ignore[arg-type]  # what a claim returns


def test_a_fork_shares_neither_connections_nor_sockets(store: Store) -> None:
    forking = Process(store, FORK)
    said, errors = forking.process.communicate(timeout=60)
    assert (said.splitlines(), errors) == (["before", *(f"child {number}" for number in range(5)), "after"], "")
    assert len(store.state.get(said.splitlines())) == 7
    with contextlib.closing(sqlite3.connect(store.app.url.removeprefix("sqlite:///"))) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_what_nobody_was_told_of_is_found_by_looking(store: Store, tmp_path: Path) -> None:
    """A datagram is lost when its process dies between commit and sending, or when the receiver's queue is full."""
    with contextlib.closing(opened(tmp_path)) as other:
        assert isinstance(other.state, SQLiteStateBackend)
        held = running(store)
        watch = other.state.watch([held.invocation_id])
        watching = Background(lambda: watch.wait(PATIENCE))
        assert ids(claim(other)) == []
        working = Background(lambda: other.dispatcher.await_work(("default",), PATIENCE))
        Path(other.state.bell.address).rename(tmp_path / "elsewhere")
        finish(store, held)
        assert watching.result(PATIENCE / 2) == frozenset({held.invocation_id})
        submit(store, new())
        assert working.result(PATIENCE / 2) is True


def test_many_at_once_are_all_told_of(store: Store, tmp_path: Path) -> None:
    """Linux keeps 10 datagrams; what does not fit is found by looking."""
    with contextlib.closing(opened(tmp_path)) as other:
        held = [running(store) for _ in range(60)]
        watch = other.state.watch([each.invocation_id for each in held])
        for each in held:
            finish(store, each)
        ended: list[str] = []
        while now := watch.wait(1):
            ended += now
        assert sorted(ended) == sorted(each.invocation_id for each in held)
        watch.close()


def test_sockets_of_processes_that_are_gone_are_removed(store: Store, tmp_path: Path) -> None:
    held = running(store)
    with started(store, WAIT, held.invocation_id) as other:
        assert other.read() == "ready"
        assert len(sockets(store)) == 2
        other.kill()
    finish(store, held)
    assert len(sockets(store)) == 1, "who rang and heard nothing removes it"
    held = running(store)
    with started(store, WAIT, held.invocation_id) as other:
        assert other.read() == "ready"
        other.kill()
    assert len(sockets(store)) == 2
    with contextlib.closing(opened(tmp_path)) as third:
        assert len(sockets(third)) == 2, "who makes a socket removes the dead"
    assert len(sockets(store)) == 1, "who closes removes its own"


def test_only_who_waits_is_rung_for(store: Store, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as file:

        def waiting() -> list[str]:
            return [name for (name,) in file.execute("SELECT queue FROM idle UNION ALL SELECT id FROM watcher")]

        submit(store, new("a"), new("b"))
        ask = Ask(runner_id="r", limit=1, start=1, queues=("default", "other"))
        first = store.dispatcher.claim(ask).claimed[0]
        assert waiting() == [], "it got what it asked for"
        store.state.watch(["a"]).close()
        settled = store.dispatcher.settle([change(first, Status.SUCCESS, outcome=Payload(b"1"))], ask=ask)
        assert (ids(settled.claim), waiting()) == (["b"], [])
        assert store.dispatcher.claim(ask).claimed == ()
        assert waiting() == ["work:default", "work:other"]
        submit(store, new("c"))
        assert waiting() == ["work:other"]
        assert state(store, "c").status is Status.REGISTERED


LOOKS_AND_LEAVES = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM fixed").fetchall()
connection.close()
"""


def test_another_connection_to_a_file_in_use_leaves_its_locks_alone(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    app = KitApp("kit", f"sqlite:///{path}", ManualClock(ticking=True))
    first = SQLiteStateBackend(app)
    first.prepare()
    assert first.count(Query()) == {}
    again = SQLiteStateBackend(app)  # as after an error, when the process connects anew
    again.prepare()
    subprocess.run([sys.executable, "-c", LOOKS_AND_LEAVES, str(path)], check=True)
    assert Path(f"{path}-wal").exists(), "the process that left did not take itself for the last one"
    again.close()
    first.close()
