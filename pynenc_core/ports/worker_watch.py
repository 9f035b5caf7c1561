"""What a runner of worker processes keeps an eye on: when it may start one again, and which has overrun its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from pynenc_core.ports.children import Child

_DELAY_MOST = 30.0  # seconds between two starts that fail
_OVERRUN = 0.5  # seconds that a worker has for ending by itself what has run too long
_LOOK, _LOOK_LEAST = 0.5, 0.01  # seconds between looks at the gauges, which are memory: nothing tells of a time that is up


class Starts:
    """When the next worker may be started: at once, or after a delay that grows with each failure."""

    def __init__(self) -> None:
        self._failures = 0
        self._next = 0.0

    @property
    def delay(self) -> float:
        """How many seconds to wait; 0 or less: none."""
        return self._next - time.monotonic()

    def failed(self) -> None:
        """Note that one could not be started, or died without having done anything."""
        self._failures += 1
        self._next = time.monotonic() + min(0.1 * 2**self._failures, _DELAY_MOST)

    def succeeded(self) -> None:
        """Note that one did start well."""
        self._failures = 0


def watch_deadlines(workers: Callable[[], Iterable[Child]], overran: Callable[[Child], None], stopped: threading.Event) -> None:
    """Start to look at the gauges of workers, in a thread of its own, until `stopped` is set.

    `overran` is told, again and again, of each in which something has run too long and which did not end it by itself, as
    code that keeps the interpreter's lock. A thread of its own, because a worker that stands still may hold a lock of the
    store, for which the runner's loop waits.
    """

    def watch() -> None:
        wait = 0.0
        while not stopped.wait(wait):
            deadlines: list[float] = []
            for worker in workers():
                deadline = worker.gauge.deadline
                if not deadline or not worker.alive:
                    continue
                if deadline < time.monotonic() - _OVERRUN:
                    overran(worker)
                else:
                    deadlines.append(deadline)
            wait = min(_LOOK, max(_LOOK_LEAST, min(deadlines, default=float("inf")) + _OVERRUN - time.monotonic()))

    threading.Thread(target=watch, name="pynenc-deadlines", daemon=True).start()
