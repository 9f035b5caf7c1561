"""One atomic step: a write transaction, and who is woken after it."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from pynenc_backend_sqlite import statements as sql
from pynenc_backend_sqlite.database import Connection, Database
from pynenc_backend_sqlite.doorbell import Doorbell
from pynenc_core.model import InvocationHistory, Queued

WORK = "work:"
"""Begins the name under which a process waits for invocations of a queue."""
ENTRIES = "entries:"
"""Begins the name under which a process waits for entries of a broker's queue."""


class Step:
    """A write transaction as a context: committed at its end, undone by an exception. Only then is anybody woken."""

    __slots__ = ("_bell", "_database", "_entries", "_finals", "_news", "_told", "_woken", "app", "connection", "fresh", "now")

    def __init__(self, database: Database, bell: Doorbell) -> None:
        self._database = database
        self._bell = bell
        self._entries: list[tuple[object, ...]] = []
        self._finals: list[str] = []
        self._news: set[str] = set()
        self._told: defaultdict[str, list[str]] = defaultdict(list)
        self._woken: set[str] = set()
        self.fresh: dict[str, Queued] = {}
        self.connection: Connection
        self.app = 0
        self.now = 0.0

    def __enter__(self) -> Self:
        self.connection = self._database.begin()
        self.app = self._database.number
        self.now = self._database.now()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if error is None:
            try:
                self._finish()
                self.connection.execute("COMMIT")
            except BaseException as failed:
                self._database.end(failed)
                if isinstance(failed, sqlite3.Error):
                    raise self._database.translated(failed) from failed
                raise
        self._database.end(error)
        if isinstance(error, sqlite3.Error):
            raise self._database.translated(error) from error
        if error is None and (self._told or self._woken):
            self._bell.ring(self._told, self._woken)

    def execute(self, statement: str, *arguments: object) -> sqlite3.Cursor:
        """Carry out a statement whose first parameter is the app's number."""
        return self.connection.execute(statement, (self.app, *arguments))

    def note(self, entries: Iterable[InvocationHistory]) -> None:
        """Write history entries."""
        for entry in entries:
            status = entry.status_record
            context = None if entry.runner_context_id == status.runner_id else entry.runner_context_id
            key = (self.app, entry.at, entry.invocation_id, entry.seq)
            self._entries.append((*key, status.status, status.runner_id, status.claim, status.reason, context, entry.registered_by))

    def tell_final(self, invocation_id: str) -> None:
        """Let whoever watches an invocation know that nothing will happen to it any more."""
        self._finals.append(invocation_id)

    def tell_news(self, waited_for: str) -> None:
        """Let whoever waits under this name know that there is something."""
        self._news.add(waited_for)

    def wait_for_news(self, names: Iterable[str]) -> None:
        """Let this process be woken by news that come after this step."""
        self._wake()
        address = self._bell.address
        self.connection.executemany(sql.WAIT, [(self.app, name, address) for name in names])

    def _finish(self) -> None:
        if self._entries:
            self.connection.executemany(sql.ADD_HISTORY, self._entries)
        for invocation_id in self._finals:
            for (address,) in self.execute(sql.WATCHERS, invocation_id).fetchall():
                self._told[address].append(invocation_id)
                self.execute(sql.DROP_WATCHERS, invocation_id)
        if self._news:
            self._wake()

    def _wake(self) -> None:
        for name in self._news:
            woken = [address for (address,) in self.execute(sql.WAITING, name).fetchall()]
            if woken:
                self.execute(sql.DROP_WAITING, name)
                self._woken.update(woken)
        self._news.clear()
