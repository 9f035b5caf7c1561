"""A clock that stands still until a test moves it."""

from __future__ import annotations

import threading
import time


class ManualClock:
    """A `Clock` whose time moves when a test says so; with `ticking` it also runs on by itself, as the machine's does.

    A test of a store uses a ticking one: its blocking calls end at their timeouts, and a lease of an hour still runs out
    at once by `advance(3600)`.
    """

    def __init__(self, start: float = 1_700_000_000.0, *, ticking: bool = False) -> None:
        self._start = start
        self._ticking = ticking
        self._began = time.monotonic()
        self._advanced = 0.0
        self._moved = threading.Condition()
        self._sleepers = 0

    def monotonic(self) -> float:
        """Return the seconds that have passed on this clock."""
        return self._advanced + (time.monotonic() - self._began if self._ticking else 0.0)

    def time(self) -> float:
        """Return this clock's seconds since 1970."""
        return self._start + self.monotonic()

    @property
    def sleepers(self) -> int:
        """How many threads sleep on this clock now."""
        return self._sleepers

    def advance(self, seconds: float) -> None:
        """Move on, and let every sleeper return whose time has come."""
        with self._moved:
            self._advanced += seconds
            self._moved.notify_all()

    def sleep(self, seconds: float) -> None:
        """Block until this clock has moved on by so many seconds."""
        until = self.monotonic() + seconds
        with self._moved:
            self._sleepers += 1
            self._moved.notify_all()
            try:
                while (left := until - self.monotonic()) > 0:
                    self._moved.wait(left if self._ticking else None)
            finally:
                self._sleepers -= 1

    def wait_for_sleepers(self, count: int, timeout: float = 5.0) -> bool:
        """Return whether `count` threads sleep on this clock, waiting up to `timeout` seconds of real time for them."""
        with self._moved:
            return self._moved.wait_for(lambda: self._sleepers >= count, timeout)
