"""Whose turn it is to write: one thread of a process, one process of the host."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from pathlib import Path
from random import random

SHORTEST, LONGEST = 0.00001, 0.0005
"""Seconds between two looks; SQLite's own pauses are 1 to 100 ms. A transaction takes about 0.15 ms."""


class Turn:
    """A lock that queues before SQLite's, on a file beside the store.

    Asking SQLite itself costs some ten system calls and an exception each time it refuses, which two busy processes pay
    at every other transaction (3,700 a second instead of 5,300). A blocking `flock` would be as fast, and could not be
    given a time limit. It only orders; what protects the data is SQLite's lock, taken after it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = threading.Lock()
        self._file = -1

    def take(self, patience: float) -> bool:
        """Wait up to so many seconds for the turn; return whether it was taken."""
        until = time.monotonic() + patience
        if not self._thread.acquire(timeout=patience):
            return False
        try:
            taken = self._take_file(until)
        except BaseException:
            self._thread.release()
            raise
        if not taken:
            self._thread.release()
        return taken

    def give(self) -> None:
        """Let the next one on."""
        if self._file >= 0:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        self._thread.release()

    def hold(self, timeout: float) -> bool:
        """Keep the threads of this process from writing; return whether that was possible, and `release` has to follow."""
        return self._thread.acquire(timeout=timeout)

    def release(self) -> None:
        """Let them write again."""
        self._thread.release()

    def open(self) -> None:
        """From the next turn on queue with other processes too, where a file can be made for that."""
        if self._file < 0:
            with contextlib.suppress(OSError):
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        """Close the file; in a forked child too, which would otherwise keep the parent's turn beyond its death."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _take_file(self, until: float) -> bool:
        if self._file < 0:
            return True
        pause = SHORTEST
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    return False
                time.sleep(pause * (0.5 + random()))  # noqa: S311 - jitter, so that those who wait do not look in step
                pause = min(pause * 1.3, LONGEST)
            else:
                return True
