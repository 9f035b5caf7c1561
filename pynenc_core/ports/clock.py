"""Time and randomness as ports, so that a simulator can drive them."""

from __future__ import annotations

import random
import time
from typing import Protocol


class Clock(Protocol):
    """Where waits and intervals inside a process take their time from."""

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean anything."""
        ...

    def time(self) -> float:
        """Return seconds since 1970 by this machine; leases and due times use the store's clock instead."""
        ...


class SystemClock:
    """The clock of this machine."""

    def monotonic(self) -> float:
        """Return `time.monotonic()`."""
        return time.monotonic()

    def time(self) -> float:
        """Return `time.time()`."""
        return time.time()


SYSTEM_CLOCK = SystemClock()
SYSTEM_RANDOM = random.SystemRandom()
