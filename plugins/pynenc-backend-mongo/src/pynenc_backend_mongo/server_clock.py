"""An estimate of the server's clock that needs no call of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from pynenc_core.ports.clock import Clock

AGAIN_AFTER = 60.0
"""Seconds after which the clocks are compared again."""
_RESOLUTION = 0.001


class ServerClock:
    """This machine's clock, moved by what the server's differs from it: known to within one round trip."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ahead = 0.0
        self._measured: float | None = None

    @property
    def known(self) -> bool:
        """Whether it was ever compared with the server's."""
        return self._measured is not None

    @property
    def stale(self) -> bool:
        """Whether it should be compared again."""
        return self._measured is None or self._clock.monotonic() - self._measured > AGAIN_AFTER

    def monotonic(self) -> float:
        """Return this machine's seconds that never go back."""
        return self._clock.monotonic()

    def now(self) -> float:
        """Return seconds since 1970."""
        return self._clock.time() + self._ahead

    def measure(self, ask: Callable[[], datetime]) -> None:
        """Compare with the server: it read its clock between our call and its reply, so the estimate must lie between."""
        sent = self._clock.time()
        said = ask().timestamp()
        came = self._clock.time()
        least, most = said - came, said + _RESOLUTION - sent
        with self._lock:
            middle = (least + most) / 2 if self._measured is None else self._ahead
            self._ahead = min(max(middle, least), most)
            self._measured = self._clock.monotonic()
