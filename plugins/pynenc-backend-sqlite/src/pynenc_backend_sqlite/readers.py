"""Connections that read, each lent to one thread at a time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager


class Readers:
    """Makes connections as they are needed and keeps them for the next who reads."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._idle: list[sqlite3.Connection] = []
        self._lent = 0
        self._changed = threading.Condition()
        self.made = 0
        """How many connections were ever made."""

    @contextmanager
    def lend(self) -> Generator[sqlite3.Connection]:
        """Lend a connection; one that an exception has passed is closed."""
        with self._changed:
            self._lent += 1
            connection = self._idle.pop() if self._idle else None
        fit = False
        try:
            if connection is None:
                connection = self._connect()
                self.made += 1
            yield connection
            fit = True
        finally:
            with self._changed:
                self._lent -= 1
                self._changed.notify_all()
                if connection is not None and fit:
                    self._idle.append(connection)
                elif connection is not None:
                    connection.close()

    def hold(self, timeout: float) -> None:
        """Wait for what is lent, up to so many seconds, and close all; nobody is lent another before `release`."""
        self._changed.acquire()
        self._changed.wait_for(lambda: not self._lent, timeout)
        while self._idle:
            self._idle.pop().close()

    def release(self) -> None:
        """Lend again, after `hold` in the same thread."""
        self._changed.release()
