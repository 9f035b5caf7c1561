"""Queues of ids, for whoever keeps the records elsewhere; the memory dispatcher needs none."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import ClassVar

from pynenc_backend_memory.ranking import RankedIds
from pynenc_core.model import Queued
from pynenc_core.ports.broker import BaseBroker
from pynenc_core.ports.runtime import StoreView


class MemoryBroker(BaseBroker):
    """Keeps an app's queues as long as the app lives."""

    name: ClassVar[str] = "memory"

    def __init__(self, app: StoreView) -> None:
        super().__init__(app)
        self._changed = threading.Condition()
        self._queues: defaultdict[str, RankedIds] = defaultdict(RankedIds)
        self._woken = False
        self._waiting = 0

    def publish(self, entries: Sequence[Queued]) -> None:
        """Add entries and wake who waits for them."""
        with self._changed:
            for entry in entries:
                self._queues[entry.queue].put(entry.invocation_id, entry.rank, entry.due)
            self._changed.notify_all()

    def take(self, queues: Sequence[str], limit: int, timeout: float) -> tuple[str, ...]:
        """Remove and return ids that are due; block up to `timeout` seconds while there are none."""
        clock = self.app.clock
        deadline = clock.monotonic() + timeout
        with self._changed:
            while True:
                dues = [due - clock.time() for queue in queues if (due := self._queues[queue].advance(clock.time())) is not None]
                taken = self._take(queues, limit)
                left = deadline - clock.monotonic()
                if taken or left <= 0 or self._woken:
                    break
                self._waiting += 1
                self._changed.wait(min([left, *dues]))
                self._waiting -= 1
            if timeout > 0 and not taken:
                self._woken = self._woken and self._waiting > 0
            return taken

    def wake(self) -> None:
        """Let who waits for entries return."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def oldest(self, queue: str) -> Queued | None:
        """Return the entry of lowest rank, due or not."""
        with self._changed:
            lowest = self._queues[queue].lowest()
        return Queued(lowest[0], queue, lowest[1], lowest[2]) if lowest else None

    def size(self, queue: str) -> int:
        """Return how many entries a queue holds."""
        with self._changed:
            return len(self._queues[queue])

    def discard(self, invocation_ids: Iterable[str]) -> None:
        """Remove entries from every queue."""
        with self._changed:
            for invocation_id in invocation_ids:
                for queue in self._queues.values():
                    queue.discard(invocation_id)

    def purge(self) -> None:
        """Remove every entry."""
        with self._changed:
            self._queues.clear()

    def close(self) -> None:
        """Let who waits for entries return."""
        self.wake()

    def _take(self, queues: Sequence[str], limit: int) -> tuple[str, ...]:
        taken: list[str] = []
        for name in queues:
            queue = self._queues[name]
            while len(taken) < limit and (first := queue.first()):
                queue.discard(first)
                taken.append(first)
        return tuple(taken)
