"""What a process shows of itself in a few bytes that others may look at: how busy it is, and until when something may run.

The bytes may be shared memory (an `mmap` of a file that parent and child both hold), so that a parent sees them at any moment,
also while the child computes with the interpreter's lock held. All times are seconds of the machine's monotonic clock, which on
Linux all processes share; 0 stands for never.
"""

from __future__ import annotations

import struct
import time

_FIELDS = ("jobs", "paused", "idle_since", "polled_at", "deadline")
_WIDTH = struct.calcsize("=d")
_ID_AT = _WIDTH * len(_FIELDS)
_ID = "=64s"


class Gauge:
    """Five numbers, each written whole by the one process that it is about, and one id."""

    SIZE = _ID_AT + struct.calcsize(_ID)
    """How many bytes it takes."""

    def __init__(self, shown_in: memoryview | None = None) -> None:
        """`shown_in` are at least `SIZE` writable bytes; without them nobody else looks."""
        self._shown_in = shown_in if shown_in is not None else memoryview(bytearray(self.SIZE))
        self._numbers = self._shown_in[:_ID_AT].cast("d")

    def show_jobs(self, count: int) -> None:
        """Show how many invocations run or wait here; notes since when there are none."""
        if count:
            self._numbers[2] = 0.0
        elif self.idle_since == 0.0:
            self._numbers[2] = time.monotonic()
        self._numbers[0] = count

    def show_paused(self, count: int) -> None:
        """Show how many of them wait for others, and hold no slot."""
        self._numbers[1] = count

    def show_poll(self) -> None:
        """Show that the store has just answered a claim, or a heartbeat while there was nothing to claim for."""
        self._numbers[3] = time.monotonic()

    def show_deadline(self, deadline: float, invocation_id: str = "") -> None:
        """Show by when the invocation whose time is up first must have ended, and which one that is; 0: none has a limit.

        Without an id it is the process itself that must have ended by then.
        """
        self._numbers[4] = 0.0  # so that nobody sees the one with the other's
        struct.pack_into(_ID, self._shown_in, _ID_AT, invocation_id.encode())
        self._numbers[4] = deadline

    @property
    def jobs(self) -> int:
        """How many invocations run or wait here."""
        return int(self._numbers[0])

    @property
    def paused(self) -> int:
        """How many of them wait for others."""
        return int(self._numbers[1])

    @property
    def idle_since(self) -> float:
        """Since when nothing runs or waits here; 0 while something does, and before the process has shown anything."""
        return self._numbers[2]

    @property
    def polled_at(self) -> float:
        """When the store last answered a claim, or a heartbeat while there was nothing to claim for; 0 before the first time."""
        return self._numbers[3]

    @property
    def deadline(self) -> float:
        """By when the invocation whose time is up first must have ended; 0: none has a limit."""
        return self._numbers[4]

    @property
    def deadline_of(self) -> str:
        """Whose time is up first; empty: nobody's, or that of the process. Read it of a process that does not change it any more."""
        shown: bytes = struct.unpack_from(_ID, self._shown_in, _ID_AT)[0]
        return shown.rstrip(b"\0").decode("ascii", "replace")
