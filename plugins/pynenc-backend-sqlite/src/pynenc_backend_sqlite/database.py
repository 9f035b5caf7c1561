"""Connections to the file: one that writes, guarded by a lock, and a few that read; every error as one of ours."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from random import random
from typing import Any, ParamSpec, TypeVar
from weakref import WeakSet

from pynenc_backend_sqlite.parameters import nameless
from pynenc_backend_sqlite.place import locate, make_file, store_name
from pynenc_backend_sqlite.readers import Readers
from pynenc_backend_sqlite.settings import SQLiteSettings
from pynenc_backend_sqlite.turn import Turn
from pynenc_core.errors.backends import BackendError, BackendUnavailableError, StoreCorruptError, StoreFormatError
from pynenc_core.ports.runtime import StoreView

STORE_FORMAT = 1
APPLICATION_ID = 0x70796E63
"""Written into the file's header ("pync"), so that another program's file is not taken for ours."""
SCHEMA = Path(__file__).with_name("schema.sql")

FORK_PATIENCE = 5.0
"""Seconds for which a fork waits for transactions of other threads to end."""
CLOSE_PATIENCE = 1.0
"""Seconds for which closing waits for what other threads read."""
_SHORTEST, _LONGEST = 0.00005, 0.005
"""Seconds between two tries to get the turn to write; SQLite's own pauses grow to 100 ms, and its shortest is 1 ms."""

_PAGE = 4096
_SHARE = 8  # the log takes so small a part of its disk at most

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_APP_NUMBER = "SELECT app FROM app WHERE app_id = ?"

P = ParamSpec("P")
T = TypeVar("T")
Row = tuple[Any, ...]


class Connection(sqlite3.Connection):
    """A connection of ours; all traffic passes its `begin`, `execute` and `executemany`."""

    def begin(self, timeout: float) -> None:
        """Begin a write transaction, waiting up to `timeout` seconds for the turn."""
        _patiently(timeout, super().execute, "BEGIN IMMEDIATE")

    def execute(self, statement: str, arguments: Any = (), /) -> sqlite3.Cursor:
        """Carry out a statement; its parameters may be numbered."""
        text, arranged = nameless(statement)
        return super().execute(text, arranged(arguments))

    def executemany(self, statement: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
        """Carry out a statement for each row; its parameters may be numbered."""
        text, arranged = nameless(statement)
        return super().executemany(text, map(arranged, rows))


class Database:
    """One app's file, as this process has it open. Every method may be called from any thread, and in a forked child."""

    def __init__(self, app: StoreView, part: str) -> None:
        self._app = app
        self.app_id = app.app_id
        self.path, self._default = locate(app, part)
        self.store = store_name(self.path)
        self._settings = app.section(SQLiteSettings)
        self.synchronous = self._settings.synchronous
        self._patience = self._settings.busy_timeout_sec
        self._said = False
        self._open_anew()
        _databases.add(self)

    def _open_anew(self) -> None:
        self._turn = Turn(self.path.with_name(f"{self.path.name}-turn"))
        self._held = False
        self._writer: Connection | None = None
        self._readers = Readers(self.connect)
        self._lookout = Readers(self.connect)
        self._identity: tuple[int, int] | None = None
        self.number = 0
        """The app's number in this file, once it is open."""

    def before_fork(self) -> None:
        """Close every connection, once nobody uses any.

        SQLite keeps in memory which of its locks the process holds. A child would believe that it holds its parent's, and
        whoever closes the file last would delete the log under it.
        """
        for readers in (self._readers, self._lookout):
            readers.hold(FORK_PATIENCE)
        self._held = self._turn.hold(FORK_PATIENCE)
        if self._held and self._writer is not None:
            self._writer.close()
            self._writer = None

    def after_fork(self) -> None:
        """Go on in the parent."""
        if self._held:
            self._turn.release()
        for readers in (self._readers, self._lookout):
            readers.release()

    def forget(self) -> None:
        """Start anew in the child; what could not be closed before is left alone, since to close it would drop the parent's locks."""
        self._turn.close()
        _abandoned.append((self._writer, self._readers, self._lookout))
        self._open_anew()

    def must_be_there(self) -> None:
        """Raise BackendUnavailableError when the file was removed or replaced since: what is written goes where nobody looks."""
        try:
            found = self.path.stat()
            identity = (found.st_dev, found.st_ino)
        except FileNotFoundError:
            identity = None
        if self._identity is None:
            self._identity = identity
        elif identity != self._identity:
            problem = "its file was removed or replaced while it was in use"
            raise BackendUnavailableError(self.store, problem, "put it back, or restart every process that uses it")

    def now(self) -> float:
        """Return the store's clock: that of this machine."""
        return self._app.clock.time()

    def rows(self, sql: str, *arguments: object) -> list[Row]:
        """Return what a query finds for this app in the last committed state."""
        return self.rows_of_each(sql, [arguments])

    def rows_of_each(self, sql: str, several: Iterable[tuple[object, ...]]) -> list[Row]:
        """Return what a query finds with each of several lots of arguments, one after the other."""
        found: list[Row] = []
        try:
            with self._readers.lend() as connection:
                for arguments in several:
                    found += _patiently(self._patience, _fetch, connection, sql, (self.number, *arguments))
        except sqlite3.Error as error:
            raise self.translated(error) from error
        return found

    def version(self) -> tuple[int, int]:
        """Return a value that changes when anybody else commits, and sometimes without."""
        try:
            with self._lookout.lend() as connection:
                ((version,),) = _patiently(self._patience, _fetch, connection, "PRAGMA data_version", ())
                return self._lookout.made, version
        except sqlite3.Error as error:
            raise self.translated(error) from error

    def connect(self) -> Connection:
        """Open a further connection; its user closes it."""
        if not self.number:
            self.open()
        return self._connect()

    def _connect(self) -> Connection:
        connection: Connection | None = None
        try:
            connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False, factory=Connection)
            for pragma in (
                f"synchronous = {self.synchronous}",
                f"wal_autocheckpoint = {_pages(self.path.parent, self._settings.checkpoint_pages)}",
                "secure_delete = off",  # nothing here is worth overwriting what is deleted, which would double the pages written
                "cache_size = -8192",
                "temp_store = memory",
            ):
                _patiently(self._patience, connection.execute, f"PRAGMA {pragma}").close()
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, sqlite3.Error):
                raise self.translated(error) from error
            raise
        return connection

    def begin(self) -> Connection:
        """Wait for this process's turn and then for the file's, and begin a write transaction."""
        if not self._turn.take(self._patience):
            raise BackendUnavailableError(self.store, *_BUSY_PROBLEM)
        try:
            writer = self._writer or self._open()
            writer.begin(self._patience)
        except BaseException as error:
            self.end(error)
            if isinstance(error, sqlite3.Error):
                raise self.translated(error) from error
            raise
        return writer

    def end(self, error: BaseException | None) -> None:
        """End the transaction, if there still is one, and let the next writer on; after an error of SQLite's connect anew."""
        writer = self._writer
        try:
            if writer is not None and isinstance(error, sqlite3.Error):
                self._writer = None
                _make_room(writer, error)
                writer.close()
            elif writer is not None and writer.in_transaction:
                writer.rollback()
        finally:
            self._turn.give()

    def open(self) -> None:
        """Open the file, and make sure that it can be written."""
        self.begin()
        self.end(None)

    def close(self) -> None:
        """Close every connection; the next use opens them again."""
        for readers in (self._readers, self._lookout):
            readers.hold(CLOSE_PATIENCE)
            readers.release()
        if self._turn.take(self._patience):
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            self.number = 0
            self._turn.give()
            self._turn.close()

    def translated(self, error: sqlite3.Error) -> BackendError:
        """Return our error for one of SQLite's."""
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_FORMAT")):
            return StoreCorruptError(self.store, str(error))
        for start, problem, remedy in _PROBLEMS:
            if name.startswith(start):
                return BackendUnavailableError(self.store, problem, remedy)
        return BackendUnavailableError(self.store, f"{error} ({name or type(error).__name__})")

    def _open(self) -> Connection:
        """Make the file and its tables where they are missing, check what is there, and learn the app's number."""
        if self._default and not self._said:
            self._said = True
            self._app.logger.info("storing in %s, since no URL is configured", self.path)
        make_file(self.path, default=self._default)
        connection = self._connect()
        try:
            _patiently(self._patience, self._check, connection)
            self.number = _patiently(self._patience, self._create, connection)
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise self.translated(error) from error
            raise
        self._writer = connection
        self._turn.open()
        return connection

    def _check(self, connection: Connection) -> bool:
        """Return whether the tables are there."""
        ((found,),) = connection.execute("PRAGMA user_version").fetchall()
        ((program,),) = connection.execute("PRAGMA application_id").fetchall()
        ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        if tables and program != APPLICATION_ID:
            raise StoreCorruptError(self.store, "it is a database of another program")
        if tables and found != STORE_FORMAT:
            raise StoreFormatError(self.store, found, STORE_FORMAT)
        return bool(tables)

    def _create(self, connection: Connection) -> int:
        """Make the tables and register the app, unless that was done before; return the app's number."""
        connection.execute("PRAGMA journal_mode = wal").close()
        app_id = (self.app_id,)
        known = connection.execute(_APP_NUMBER, app_id).fetchall() if self._check(connection) else []
        if not known:
            connection.begin(self._patience)
            try:
                if not self._check(connection):
                    for statement in SCHEMA.read_text(encoding="utf-8").split(";\n"):
                        connection.execute(statement).close()
                    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}").close()
                    connection.execute(f"PRAGMA user_version = {STORE_FORMAT}").close()
                connection.execute("INSERT OR IGNORE INTO app (app_id) VALUES (?)", app_id).close()
                known = connection.execute(_APP_NUMBER, app_id).fetchall()
                connection.execute("COMMIT").close()
            finally:
                if connection.in_transaction:
                    connection.rollback()
        return int(known[0][0])


def _patiently(timeout: float, action: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Repeat an action while the file is busy, until the time for that is over."""
    pause, until = _SHORTEST, 0.0
    while True:
        try:
            return action(*arguments, **named)
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _BUSY:
                raise
            until = until or time.monotonic() + timeout
            if time.monotonic() > until:
                raise
        time.sleep(pause * (0.5 + random()))  # noqa: S311 - jitter, so that those who wait do not try in step
        pause = min(pause * 1.5, _LONGEST)


def _pages(folder: Path, wanted: int) -> int:
    """Return after how many pages to write the log back: a log that fills a small disk could not be written back any more."""
    if not hasattr(os, "statvfs"):
        return wanted
    disk = os.statvfs(folder)
    return max(1, min(wanted, disk.f_blocks * disk.f_frsize // _PAGE // _SHARE))


def _make_room(connection: Connection, error: sqlite3.Error) -> None:
    """On a full disk write the log back to the file: it may be what fills the disk, and only a commit would do it otherwise."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
        with contextlib.suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.rollback()
            connection.execute("PRAGMA wal_checkpoint(truncate)").close()


def open_databases() -> tuple[Database, ...]:
    """Return the files that this process uses."""
    return tuple(_databases)


def _fetch(connection: sqlite3.Connection, sql: str, values: tuple[object, ...]) -> list[Row]:
    return connection.execute(sql, values).fetchall()


_BUSY_PROBLEM = ("others were writing all the time", "see what keeps it locked, or raise `busy_timeout_sec` in [tool.pynenc.sqlite]")
_PROBLEMS = (
    ("SQLITE_FULL", "the disk is full", "nothing was written; it goes on by itself once there is space again"),
    ("SQLITE_READONLY", "it may only be read", "give write permission for the file and its directory"),
    ("SQLITE_CANTOPEN", "it cannot be opened", "check the path and its permissions"),
    ("SQLITE_PERM", "it may not be opened", "check its permissions"),
    ("SQLITE_BUSY", *_BUSY_PROBLEM),
    (
        "SQLITE_IOERR",
        "the disk does not read or write it",
        "see whether the disk is full or damaged; it goes on by itself once it works again",
    ),
)
_databases: WeakSet[Database] = WeakSet()
_abandoned: list[object] = []
"""Connections of a parent process that must not be closed here, not even by being forgotten."""


def _before_fork() -> None:
    for database in open_databases():
        database.before_fork()


def _after_fork() -> None:
    for database in open_databases():
        database.after_fork()


def _forget_all() -> None:
    for database in open_databases():
        database.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_forget_all)
