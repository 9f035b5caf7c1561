"""The server as a user meets it: URLs, wrong ones, clocks, forks, lost connections, and what is said of the write concern."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

import pymongo
import pytest
from pymongo.errors import OperationFailure, PyMongoError, ServerSelectionTimeoutError

from pynenc_backend_mongo.bell import Bell
from pynenc_backend_mongo.database import Database
from pynenc_backend_mongo.health import report
from pynenc_backend_mongo.place import locate
from pynenc_backend_mongo.server_clock import ServerClock
from pynenc_backend_mongo.settings import MongoSettings
from pynenc_backend_mongo.state_backend import MongoStateBackend
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.errors.configuration import InvalidSettingError
from pynenc_core.model import Payload
from pynenc_core.status import Status
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.contracts.durability import in_child
from pynenc_testkit.samples import blob, change, claim, finish, found, history, ids, limits, new, running, submit
from pynenc_testkit.servers.mongo import free_port, mongo_server, start_mongo
from pynenc_testkit.servers.proxy import Proxy
from pynenc_testkit.stores import PATIENCE, Background, KitApp, Store, eventually, open_installed

Opener = Callable[..., Store]
JOBS = """
import sys
from pynenc_core import Pynenc

app = Pynenc(sys.argv[1], app_id="leaves")


@app.task
def add(x: int) -> int:
    return x
"""
LEAVES = """
import os
import sys
from jobs import add

add(1)
if os.fork() == 0:
    sys.exit(0)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def database_of(store: Store) -> Database:
    assert isinstance(store.state, MongoStateBackend)
    return store.state.database


def app_at(url: str, app_id: str = "kit", **settings: Any) -> KitApp:
    return KitApp(app_id, url, ManualClock(ticking=True), {MongoSettings: MongoSettings(**settings)})


def reached(store: Store) -> bool:
    with contextlib.suppress(BackendUnavailableError):
        return found(store) == ["a"]
    return False


class TestUrls:
    """A URL names hosts, database and options; what is wrong with it is said without its secrets."""

    @pytest.mark.parametrize(
        ("url", "store", "database"),
        [
            ("mongodb://localhost/jobs", "MongoDB store mongodb://localhost/jobs", "jobs"),
            ("mongodb://me:s3cret@h1:1,h2:2/jobs?w=1", "MongoDB store mongodb://h1:1,h2:2/jobs", "jobs"),
            ("mongodb://localhost", "MongoDB store mongodb://localhost/pynenc", "pynenc"),
            ("mongodb+srv://me:s3cret@cluster.example.org/jobs", "MongoDB store mongodb+srv://cluster.example.org/jobs", "jobs"),
            ("", "MongoDB store mongodb://localhost/pynenc", "pynenc"),
        ],
    )
    def test_a_url_names_the_database(self, url: str, store: str, database: str) -> None:
        place = locate(app_at(url), "broker")
        assert (place.store, place.database) == (store, database)
        assert "s3cret" not in repr(place)

    @pytest.mark.parametrize(
        "url",
        [
            "mongodb://me:s3cret@localhost:notaport/jobs",
            "mongodb://me:s3cr@et@localhost/jobs",
            "mongodb:///jobs",
            "mongodb://me:s3cret@localhost/jobs.collection",
            "mongodb://me:s3cret@localhost/jobs?retryWrites=perhaps",
            "mongodb://me:12/s3cret@localhost/jobs",
            "mongodb://me:12?s3cret@localhost/jobs",
            "mongodb://localhost/jobs?tlsCAFile=nowhere.pem",
            "mongodb://localhost/jobs?frobnicate=1",
            "mongodb://localhost/jobs?readPreference=nearest",
        ],
    )
    def test_a_wrong_url_is_refused_without_its_password(self, url: str) -> None:
        with pytest.raises(InvalidSettingError, match=r"write it as mongodb://|name a database only|must be primary") as refused:
            open_installed(app_at(url))
        assert "s3cr" not in str(refused.value)

    @pytest.mark.parametrize(("given", "seconds"), [("500", 0.5), ("500.5", 0.5005), ("1e3", 1.0), ("soon", 0.0)])
    def test_a_limit_in_the_url_may_be_a_fraction(self, given: str, seconds: float) -> None:
        place = locate(app_at(f"mongodb+srv://cluster.example.org/jobs?serverSelectionTimeoutMS={given}"), "broker")
        assert place.selection_sec == pytest.approx(seconds)

    def test_apps_whose_ids_look_alike_have_collections_of_their_own(self) -> None:
        prefixes = {
            locate(app_at("mongodb://localhost/jobs", each), "broker").prefix for each in ("a-b", "a_b", "a b", "a.b$", "ä", "x" * 99)
        }
        assert len(prefixes) == 6
        assert all(prefix.isascii() and prefix.replace("_", "").isalnum() for prefix in prefixes)


class TestErrors:
    """Every error is one of ours, names the server, and says what to do."""

    def test_a_server_that_is_not_there(self) -> None:
        store = open_installed(app_at(f"mongodb://me:s3cret@127.0.0.1:{free_port()}/jobs", timeout_sec=0.2))
        with pytest.raises(BackendUnavailableError, match=r"no server answers .* check host and port") as refused:
            store.state.prepare()
        assert "s3cret" not in str(refused.value)

    def test_a_server_that_says_nothing(self) -> None:
        with socket.socket() as mute:
            mute.bind(("127.0.0.1", 0))
            mute.listen()
            store = open_installed(app_at(f"mongodb://127.0.0.1:{mute.getsockname()[1]}/jobs?connectTimeoutMS=200", timeout_sec=0.2))
            with pytest.raises(BackendUnavailableError):
                store.broker.size("q")

    def test_a_server_that_comes_back_is_used_again(self) -> None:
        port = free_port()
        store = open_installed(app_at(f"mongodb://127.0.0.1:{port}/jobs", timeout_sec=0.2))
        with pytest.raises(BackendUnavailableError):
            submit(store, new("a"))
        start_mongo(port)
        submit(store, new("a"))
        assert ids(claim(store)) == ["a"]
        store.close()

    def test_a_connection_that_has_gone_silent_is_given_up(self) -> None:
        server = urlsplit(mongo_server())
        with Proxy(server.port or 27017) as proxy:
            url = f"mongodb://127.0.0.1:{proxy.port}/t{uuid4().hex}"
            store = open_installed(app_at(url, timeout_sec=0.5, reply_timeout_sec=0.5))
            submit(store, new("a"))
            with proxy.stalled():
                silent = Background(lambda: claim(store))
                with pytest.raises(BackendUnavailableError):
                    silent.result()
            eventually(lambda: reached(store), "an answer")
            assert store.state.get(["a"])["a"].state.claim <= 1
            store.close()

    @pytest.mark.parametrize(
        ("error", "says"),
        [
            (OperationFailure("Authentication failed.", 18), "user or password"),
            (OperationFailure("not authorized on jobs", 13), "readWrite"),
            (OperationFailure("not primary", 10107), "once there is a primary"),
            (OperationFailure("no space left", 14031), "disk is full"),
            (OperationFailure("waiting for replication timed out", 64), "members"),
            (OperationFailure("something else, full error: {...}", 1), "something else"),
            (ServerSelectionTimeoutError("host:1: refused, Timeout: 5s, Topology..."), "host:1: refused"),
            (ValueError("odd"), "options"),
        ],
    )
    def test_what_the_driver_raises_is_translated(self, opened: Opener, error: Exception, says: str) -> None:
        store = opened()
        translated = database_of(store).translated(error)
        assert isinstance(translated, BackendUnavailableError)
        assert says in str(translated)
        assert "full error" not in str(translated)
        assert "127.0.0.1" in str(translated)


class TestClock:
    """The store's clock is the server's, to within one round trip."""

    def test_the_estimate_lies_within_every_round_trip(self) -> None:
        clock = ManualClock(1000.0)
        ours = ServerClock(clock)

        def ask(ahead: float, there: float, back: float) -> Callable[[], datetime]:
            def said() -> datetime:
                clock.advance(there)
                reading = datetime.fromtimestamp(0, UTC) + timedelta(seconds=clock.time() + ahead)
                clock.advance(back)
                return reading

            return said

        ours.measure(ask(50.0, 0.2, 0.2))
        assert ours.now() == pytest.approx(clock.time() + 50.0, abs=0.21)
        ours.measure(ask(50.0, 0.0, 0.002))
        exact = ours.now() - clock.time()
        assert exact == pytest.approx(50.0, abs=0.003)
        ours.measure(ask(50.0, 0.5, 0.0))
        assert ours.now() - clock.time() == exact, "a worse measurement that allows the estimate does not move it"
        ours.measure(ask(70.0, 0.1, 0.1))
        assert ours.now() - clock.time() == pytest.approx(70.0, abs=0.21)
        assert not ours.stale
        clock.advance(61)
        assert ours.stale

    def test_times_are_the_servers(self, url: str) -> None:
        store = open_installed(app_at(url))  # whose own clock is years behind
        assert store.state.now() == pytest.approx(datetime.now(UTC).timestamp(), abs=5)
        submit(store, new("a"))
        assert history(store, "a")[0].at == pytest.approx(datetime.now(UTC).timestamp(), abs=5)
        store.app.clock.advance(100)
        store.state.beat(["r1"], 30.0)
        assert store.state.now() == pytest.approx(datetime.now(UTC).timestamp(), abs=5)
        store.close()


class TestProcesses:
    """A fork and a close leave nobody with somebody else's sockets."""

    def test_parent_and_child_go_on_with_connections_of_their_own(self, opened: Opener) -> None:
        store = opened()
        running(store, "before")

        def child() -> None:
            assert found(store) == ["before"]
            running(store, "child")
            store.close()

        assert in_child(child) == 0
        running(store, "parent")
        assert found(store) == ["before", "child", "parent"]

    def test_a_close_ends_no_call_of_another_thread(self, opened: Opener) -> None:
        store = opened()
        running(store, "a")
        over = threading.Event()

        def read() -> int:
            count = 0
            while not over.is_set():
                count += len(found(store))
            return count

        readers = [Background(read) for _ in range(2)]
        for _ in range(20):
            store.state.close()
        over.set()
        assert all(isinstance(each.result(), int) for each in readers)

    def test_who_ends_without_a_close_is_not_warned(self, url: str, tmp_path: Path) -> None:
        (tmp_path / "jobs.py").write_text(JOBS)
        (tmp_path / "leaves.py").write_text(LEAVES)
        strict = ("-X", "dev", "-W", "error", "-W", "ignore::DeprecationWarning")  # of threads that a forked child lacks
        command = [sys.executable, *strict, str(tmp_path / "leaves.py"), url]
        ran = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")

    def test_closing_leaves_no_socket(self, opened: Opener) -> None:
        before = _sockets()
        store = opened()
        running(store, "a")
        store.broker.size("q")
        assert _sockets() > before
        store.close()
        assert _sockets() == before


class TestHealth:
    """What the server's settings put at risk is said once, and by `doctor`."""

    def test_unacknowledged_writes_are_warned_of_once(self, opened: Opener, caplog: pytest.LogCaptureFixture) -> None:
        store = opened("?w=0")
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                store.state.prepare()
                store.state.close()
        assert [each.getMessage().count("w=0") for each in caplog.records] == [1]

    def test_doctor_tells_of_durability_and_of_waiting(self, opened: Opener) -> None:
        store = opened(app_id="examined")
        assert report("examined") == []
        store.state.prepare()
        lines = report("examined")
        assert [set(line) for line in lines] == [{"name", "ok", "detail"}] * 2
        assert all("127.0.0.1" in str(line["name"]) for line in lines)


def test_nothing_is_left_of_finished_tasks_when_their_time_is_over(opened: Opener, url: str) -> None:
    store, content = opened(), blob(b"x" * 5000, ttl=1.0)
    for _ in range(2):
        submit(store, *[new(limits=limits("k", 99), unique_key=f"u{number}") for number in range(30)], blobs=(content,))
        held = claim(store, limit=30, start=30).claimed
        ends = [change(each, Status.SUCCESS, outcome=Payload(b"1"), blobs=(content,), outbox=("x",)) for each in held]
        assert store.dispatcher.settle(ends).refused == (None,) * 30
    store.app.clock.advance(2 * 3600.0)  # answers to batches are kept for one
    assert store.state.sweep(store.state.now()).invocations == 60
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        database = client.get_default_database()
        left = {
            name.rpartition("_")[2]: count for name in database.list_collection_names() if (count := database[name].count_documents({}))
        }
    assert left == {"meta": 1}, "its format number"


def test_who_waits_looks_again_after_a_tenth_of_its_wait() -> None:
    bell = Bell(ManualClock(), 0.5)
    assert [bell.pause(waited) for waited in (0.0, 0.01, 0.2, 2.0, 100.0)] == [0.005, 0.005, pytest.approx(0.02), pytest.approx(0.2), 0.5]


class Stream:
    """A change stream as the driver shows it, over changes that a test gives."""

    def __init__(self, changes: list[dict[str, Any] | PyMongoError]) -> None:
        self.begun = 0
        self._changes = changes

    def watch(self, *_: object, **__: object) -> Stream:
        self.begun += 1
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def try_next(self) -> dict[str, Any] | None:
        if not self._changes:
            threading.Event().wait(0.01)
            return None
        found = self._changes.pop(0)
        if isinstance(found, PyMongoError):
            raise found
        return found


class TestStream:
    """Where there is a change stream it tells who waits, and looking is only the net under it."""

    def test_finals_and_deletions_reach_who_watches_them_and_news_who_waits_for_work(self, opened: Opener) -> None:
        store = opened()
        held = [running(store, name) for name in "abc"]
        assert len(held) == 3
        watch = store.state.watch("abc")
        bell = database_of(store).bell
        seen = bell.work
        given: list[dict[str, Any] | PyMongoError] = [
            _changed("a", "final"),
            {"operationType": "delete", "documentKey": {"_id": "b"}},
            _changed("c", "owned"),
            _changed("d", "ready"),
            {"operationType": "insert", "documentKey": {"_id": "e"}},
        ]
        stream = Stream(given)
        bell.follow(stream)
        eventually(lambda: bell.told_by_stream and not given, "the stream is read")
        assert watch.wait(0) == {"a", "b"}
        assert bell.pause(100.0) > 1.0
        assert bell.work >= seen + 3  # the beginning of the stream, and two changes
        bell.close()
        eventually(lambda: not bell.told_by_stream, "the stream is given up")
        watch.close()

    @pytest.mark.timed
    def test_one_that_breaks_is_begun_anew_and_until_then_who_waits_looks(self) -> None:
        bell, stream = Bell(ManualClock(ticking=True), 0.5), Stream([PyMongoError("gone")])
        bell.follow(stream)
        eventually(lambda: stream.begun == 1 and not bell.told_by_stream, "it breaks")
        assert bell.pause(0.0) < 0.1
        eventually(lambda: stream.begun == 2 and bell.told_by_stream, "it is begun anew")
        bell.close()


@pytest.mark.timed
@pytest.mark.needs_mongod
def test_a_replica_set_tells_by_its_change_stream(opened: Opener) -> None:
    """With a look every five seconds only, what comes within two must have been told."""
    store, other = opened(), opened()
    store.state.prepare()
    bell = database_of(store).bell
    eventually(lambda: bell.told_by_stream, "the stream begins")
    held = running(other, "a")
    watch = store.state.watch(["a"])
    waiting = Background(lambda: watch.wait(PATIENCE))
    finish(other, held)
    assert waiting.result(2.0) == {"a"}
    watch.close()


def _changed(name: str, phase: str) -> dict[str, Any]:
    return {"operationType": "update", "documentKey": {"_id": name}, "updateDescription": {"updatedFields": {"phase": phase}}}


def _sockets() -> int:
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += str(each.readlink()).startswith("socket:")
    return found
