"""The file: where it is, who may read it, and what is said when something is wrong with it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc_backend_sqlite import place, pynenc_healthcheck, statements
from pynenc_backend_sqlite.broker import SQLiteBroker
from pynenc_backend_sqlite.dispatcher import SQLiteDispatcher
from pynenc_backend_sqlite.parameters import nameless
from pynenc_backend_sqlite.settings import SQLiteSettings
from pynenc_backend_sqlite.state_backend import SQLiteStateBackend
from pynenc_core.errors.backends import BackendUnavailableError, StoreCorruptError, StoreFormatError
from pynenc_core.model import Query
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.samples import batch, blob, claim, ids, new, submit
from pynenc_testkit.stores import KitApp, Store


@contextlib.contextmanager
def opened(url: str, app_id: str = "shop", **settings: object) -> Iterator[Store]:
    app = KitApp(app_id, url, ManualClock(ticking=True), {SQLiteSettings: SQLiteSettings(**settings)})  # type: ignore[arg-type]  # test values
    state = SQLiteStateBackend(app)
    store = Store(app, SQLiteBroker(app), state, SQLiteDispatcher(state))
    try:
        yield store
    finally:
        store.close()


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


def refusal(path: Path, error: type[Exception] = BackendUnavailableError) -> str:
    """Open a store, which must be refused; return what was said, without the path."""
    with opened(f"sqlite:///{path}") as store, pytest.raises(error) as refused:
        store.state.prepare()
    return str(refused.value).replace(str(path), "<path>").replace(str(path.parent), "<parent>")


class TestPlace:
    @pytest.mark.parametrize(
        ("url", "path"),
        [
            ("sqlite:///jobs.db", "{here}/jobs.db"),
            ("sqlite:///deep/jobs.db", "{here}/deep/jobs.db"),
            ("sqlite:////var/jobs.db", "/var/jobs.db"),
            ("sqlite://", "{here}/.pynenc/shop.db"),
            ("", "{here}/.pynenc/shop.db"),
        ],
    )
    def test_a_url_names_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, path: str) -> None:
        monkeypatch.chdir(tmp_path)
        with opened(url) as store:
            assert isinstance(store.state, SQLiteStateBackend)
            assert str(store.state.database.path) == path.format(here=tmp_path)

    def test_the_settings_name_a_file_where_the_url_does_not(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with opened("sqlite://", path="mine.db") as store:
            store.state.prepare()
        assert (tmp_path / "mine.db").is_file()

    def test_the_default_place_is_made_and_said_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with caplog.at_level(logging.INFO, "pynenc.shop"), opened("sqlite://") as store:
            store.state.prepare()
            submit(store, new("a"))
            store.state.close()
            assert list(store.state.get(["a"])) == ["a"]
        assert [record.getMessage() for record in caplog.records] == [f"storing in {tmp_path}/.pynenc/shop.db, since no URL is configured"]

    def test_nobody_else_may_read_anything(self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path_factory.mktemp("d")
        monkeypatch.chdir(folder)
        before = os.umask(0)
        try:
            with opened("sqlite://") as store:
                store.state.prepare()
                watch = store.state.watch([submit(store, new()).ids[0]])
                watch.close()
                found = {path.relative_to(folder).as_posix(): mode(path) for path in folder.rglob("*") if not path.is_socket()}
        finally:
            os.umask(before)
        folders = {".pynenc": "0700", ".pynenc/shop.db-bells": "0700"}
        assert found == folders | {f".pynenc/shop.db{end}": "0600" for end in ("", "-wal", "-shm", "-turn")}

    def test_apps_of_the_default_place_are_found(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert SQLiteStateBackend.discover_app_infos() == {}
        for app_id in ("shop", "bank"):
            with opened("sqlite://", app_id) as store:
                store.state.put_value("app_info", app_id, b'{"app_id": "%s", "locator": "m:app"}' % app_id.encode())
        (tmp_path / ".pynenc" / "broken.db").write_bytes(b"no database" * 100)
        assert {name: info.locator for name, info in SQLiteStateBackend.discover_app_infos().items()} == {"bank": "m:app", "shop": "m:app"}

    @pytest.mark.parametrize(
        ("directory", "kind"),
        [("/srv/share/deep", "nfs4"), ("/srv", ""), ("/srv/sh", ""), ("/mnt/a b", "cifs"), ("/srv/share/local", "")],
    )
    def test_a_network_file_system_is_known_by_its_mount(self, tmp_path: Path, directory: str, kind: str) -> None:
        mounts = tmp_path / "mounts"
        mounts.write_text(
            "/dev/a / ext4 rw 0 0\nhost:/x /srv/share nfs4 rw 0 0\n/dev/b /srv/share/local ext4 rw 0 0\n//h/y /mnt/a\\040b cifs rw 0 0\n"
        )
        assert place.network_file_system(Path(directory), mounts) == kind
        assert place.network_file_system(Path(directory), tmp_path / "no such file") == ""

    def test_a_network_file_system_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        mounts = tmp_path / "mounts"
        mounts.write_text(f"host:/x {tmp_path} nfs rw 0 0\n")
        monkeypatch.setattr(place, "MOUNTS", mounts)
        assert refusal(tmp_path / "a.db") == (
            "SQLite store <path> cannot be used: its directory is on a network file system (nfs), where SQLite's locks cannot be trusted; "
            "name a file on a local disk with `url` in [tool.pynenc]"
        )


class TestWrongFiles:
    def test_a_directory(self, tmp_path: Path) -> None:
        (tmp_path / "a.db").mkdir()
        said = refusal(tmp_path / "a.db")
        assert said == "SQLite store <path> cannot be used: it is a directory; name a file with `url` in [tool.pynenc]"

    def test_a_missing_directory(self, tmp_path: Path) -> None:
        said = refusal(tmp_path / "missing" / "a.db")
        assert said == "SQLite store <path> cannot be used: the directory <parent> does not exist; create it, or name another place"

    def test_what_is_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "a.db").write_text("Dear diary, " * 1000)
        assert refusal(tmp_path / "a.db", StoreCorruptError) == (
            "SQLite store <path> is damaged or not a pynenc store: file is not a database; move it away and restore it from a copy, "
            "or name another one with `url` in [tool.pynenc]"
        )

    def test_another_programs_database(self, tmp_path: Path) -> None:
        with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as other:
            other.execute("CREATE TABLE theirs (x)")
        assert "it is a database of another program" in refusal(tmp_path / "a.db", StoreCorruptError)

    def test_a_damaged_database(self, tmp_path: Path) -> None:
        path = tmp_path / "a.db"
        with opened(f"sqlite:///{path}") as store:
            for _ in range(20):
                submit(store, *(new() for _ in range(50)))
        content = bytearray(path.read_bytes())
        content[8192:] = os.urandom(len(content) - 8192)
        path.write_bytes(content)
        with opened(f"sqlite:///{path}") as store, pytest.raises(StoreCorruptError, match="malformed"):
            store.state.find(Query(), limit=10000)

    def test_a_newer_store(self, tmp_path: Path) -> None:
        path = tmp_path / "a.db"
        with opened(f"sqlite:///{path}") as store:
            store.state.prepare()
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA user_version = 7")
        assert refusal(path, StoreFormatError) == (
            "SQLite store <path> has format 7, written by a newer pynenc; this one reads up to 1: upgrade pynenc-core and the backend's "
            "package, or use another store"
        )

    def test_a_file_that_may_only_be_read(self) -> None:
        """As somebody without rights, since root may write everywhere."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with opened(f"sqlite:///{folder}/a.db") as store:
                submit(store, new("a"))
            for path in folder.iterdir():
                path.chmod(0o444)
            folder.chmod(0o555)
            done = subprocess.run([sys.executable, "-c", READER, f"sqlite:///{folder}/a.db"], capture_output=True, text=True, check=False)
            folder.chmod(0o755)
        problem = "it may only be read; give write permission for the file and its directory"
        assert (done.stdout, done.stderr) == (f"SQLite store {folder}/a.db cannot be used: {problem}", "")

    def test_a_file_that_somebody_else_keeps_locked(self, tmp_path: Path) -> None:
        with opened(f"sqlite:///{tmp_path}/a.db", busy_timeout_sec=0.2) as store:
            submit(store, new("a"))
            with contextlib.closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(BackendUnavailableError, match="others were writing all the time; see what keeps it locked"):
                    claim(store)
                assert list(store.state.get(["a"])) == ["a"]
            assert ids(claim(store)) == ["a"]


READER = """
import os, sqlite3, sys
from pynenc_backend_sqlite.state_backend import SQLiteStateBackend
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.stores import KitApp
if os.geteuid() == 0:
    os.setuid(65534)
try:
    SQLiteStateBackend(KitApp("shop", sys.argv[1], ManualClock())).prepare()
except BackendUnavailableError as error:
    print(error, end="")
"""


def fill(store: Store, kept: list[str]) -> None:
    """Submit until that fails; note what was acknowledged."""
    for number in range(1000):
        name = f"{number:04d}"
        submit(store, new(name), blobs=(blob(name.encode() * 2000),))
        kept.append(name)


class TestFullDisk:
    def test_nothing_acknowledged_is_lost_and_it_goes_on_when_there_is_space(self, tmp_path: Path) -> None:
        with opened(f"sqlite:///{tmp_path}/a.db") as store:
            state = store.state
            assert isinstance(state, SQLiteStateBackend)
            kept = list(submit(store, new("a")).ids)
            state.database.open()
            writer = state.database._writer
            assert writer is not None
            ((pages,),) = writer.execute("PRAGMA page_count").fetchall()
            writer.execute(f"PRAGMA max_page_count = {pages + 60}")
            with pytest.raises(BackendUnavailableError, match="the disk is full; nothing was written; it goes on by itself"):
                fill(store, kept)
            assert kept[1:] == [f"{number:04d}" for number in range(len(kept) - 1)]
            assert sorted(state.get([*kept, f"{len(kept) - 1:04d}"])) == sorted(kept)
            assert submit(store, new("later")).ids == ("later",)
            assert len(claim(store, limit=1000).claimed) == len(kept) + 1


class TestStatements:
    @pytest.mark.parametrize(
        "name", ["FIRST", "FIRST_AWAITED", "NEXT_DUE", "NOW_DUE", "REQUESTS", "HELD", "GET", "NOT_FINAL", "WATCHERS", "WAITING"]
    )
    def test_what_a_busy_worker_asks_costs_the_same_in_a_large_store(self, tmp_path: Path, name: str) -> None:
        """It is found by an index, and nothing is sorted."""
        with opened(f"sqlite:///{tmp_path}/a.db") as store:
            store.state.add_batch(batch(new()))
        statement: str = getattr(statements, name)
        carried_out, _ = nameless(statement)
        with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as file:
            plan = [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {carried_out}", ["[]"] * carried_out.count("?"))]
        assert plan
        assert not [line for line in plan if ("SCAN" in line and "VIRTUAL TABLE" not in line) or "TEMP B-TREE" in line]

    @pytest.mark.parametrize(
        ("statement", "carried_out", "arguments"),
        [
            ("a = ?1 AND b = ?2", "a = ? AND b = ?", ("x", "y", "z")),
            ("a = ? AND b = ?", "a = ? AND b = ?", ("x", "y", "z")),
            ("a = ?2 AND b = ?1 AND c = ?2", "a = ? AND b = ? AND c = ?", ("y", "x", "y")),
            ("a = ?1 AND b = ? AND c = ?1 AND d = ?", "a = ? AND b = ? AND c = ? AND d = ?", ("x", "y", "x", "z")),
            ("a = ?3", "a = ?", ("z",)),
        ],
    )
    def test_numbered_parameters_are_put_in_order(self, statement: str, carried_out: str, arguments: tuple[str, ...]) -> None:
        text, arranged = nameless(statement)
        assert (text, tuple(arranged(("x", "y", "z")))) == (carried_out, arguments)


class TestHealth:
    @pytest.mark.parametrize(
        ("synchronous", "ok", "said"),
        [
            (
                "normal",
                None,
                "every commit survives the kill of any process; a power cut may take the last ones, unless `synchronous` is `full`",
            ),
            ("full", True, "every commit survives a power cut too"),
        ],
    )
    def test_doctor_says_what_a_power_cut_may_take(self, tmp_path: Path, synchronous: str, ok: bool | None, said: str) -> None:
        with opened(f"sqlite:///{tmp_path}/a.db", synchronous=synchronous) as store:
            assert list(pynenc_healthcheck(store.app) or ()) == []
            store.state.prepare()
            durability, space = pynenc_healthcheck(store.app) or ()
            with opened(f"sqlite:///{tmp_path}/a.db", "bank") as other:
                assert list(pynenc_healthcheck(other.app) or ()) == []
        assert durability == {"name": f"SQLite file {tmp_path}/a.db", "ok": ok, "detail": said}
        assert re.fullmatch(r"\d+ MiB are free on its disk", space["detail"])  # type: ignore[index]  # a mapping, as the one before

    def test_full_flushes_every_commit(self, tmp_path: Path) -> None:
        for synchronous, number in (("normal", 1), ("full", 2)):
            with opened(f"sqlite:///{tmp_path}/a.db", synchronous=synchronous) as store:
                assert isinstance(store.state, SQLiteStateBackend)
                with contextlib.closing(store.state.database.connect()) as connection:
                    assert connection.execute("PRAGMA synchronous").fetchall() == [(number,)]
