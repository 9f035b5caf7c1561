"""The SQLite backend under the kit's contracts."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import ClassVar

import pytest

from pynenc_testkit.contracts import (
    DispatcherContract,
    DurableContract,
    PluginContract,
    SharedBrokerContract,
    StateContract,
    StateMachineContract,
)
from pynenc_testkit.contracts.public_records import PublicRecordsContract
from pynenc_testkit.stores import Raw

URL = "sqlite:///{folder}/store.db"
CHOKES = tuple(f"pynenc_backend_sqlite.database:Connection.{name}" for name in ("begin", "execute", "executemany"))


class SQLiteRaw:
    """Looks into the file, past every connection of the backend."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def dump(self) -> object:
        """Return every row of every table, but for the addresses of processes that wait."""
        connection = sqlite3.connect(self._path)
        try:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
            return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables if name != "idle"}  # noqa: S608 - names from the schema
        finally:
            connection.close()

    def set_format(self, number: int) -> None:
        """Write another format number."""
        connection = sqlite3.connect(self._path)
        connection.execute(f"PRAGMA user_version = {number}")
        connection.close()


class SQLite:
    """What all contracts over storage are given."""

    url: ClassVar[str] = URL
    chokes: ClassVar[tuple[str, ...]] = CHOKES
    schedules: ClassVar[int] = 20
    silence: ClassVar[float] = 0.03  # a driver call takes less than one; every schedule waits once for a transaction that is blocked

    @pytest.fixture
    def raw(self, place: str) -> Raw:
        return SQLiteRaw(Path(place.removeprefix("sqlite:///")))


class TestState(SQLite, StateContract):
    pass


class TestDispatcher(SQLite, DispatcherContract):
    pass


class TestStateMachine(SQLite, StateMachineContract):
    pass


class TestBroker(SQLite, SharedBrokerContract):
    pass


class TestDurability(SQLite, DurableContract):
    pass


class TestPlugin(PluginContract):
    plugin: ClassVar[str] = "backend-sqlite"


class TestPublicRecords(SQLite, PublicRecordsContract):
    pass
