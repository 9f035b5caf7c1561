"""Queues of ids on a server, for whoever keeps the records elsewhere; our dispatcher needs none."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import ClassVar

from pynenc_backend_redis.ear import Ear
from pynenc_backend_redis.keys import BROKER, PREFIXES, pattern
from pynenc_backend_redis.link import Link
from pynenc_backend_redis.records import scan
from pynenc_core.model import Queued
from pynenc_core.ports.broker import BaseBroker
from pynenc_core.ports.runtime import StoreView


class RedisBroker(BaseBroker):
    """Keeps an app's queues on one server."""

    name: ClassVar[str] = "redis"

    def __init__(self, app: StoreView) -> None:
        super().__init__(app)
        self._link = Link(app, "broker")
        self._ear = Ear(self._link)

    def publish(self, entries: Sequence[Queued]) -> None:
        """Add entries and wake who waits for them."""
        rows = [(each.invocation_id, each.queue, repr(each.rank), "" if each.due is None else repr(each.due)) for each in entries]
        self._link.run("publish", *[value for row in rows for value in row])

    def take(self, queues: Sequence[str], limit: int, timeout: float) -> tuple[str, ...]:
        """Remove and return ids that are due; block up to `timeout` seconds while there are none."""
        ear, until = self._ear, time.monotonic() + timeout
        if timeout > 0:
            ear.listen()
        while True:
            seen = ear.news
            taken, micros = self._link.run("take", limit, ear.name if timeout > 0 else "", *queues)
            left = until - time.monotonic()
            if taken or left <= 0:
                return tuple([each.decode() for each in taken])
            if ear.wait(lambda: ear.news != seen, min(left, micros / 1e6 + 1e-4) if micros >= 0 else left):  # noqa: B023 - called at once
                return ()

    def wake(self) -> None:
        """Let who waits for entries return."""
        self._ear.wake()

    def oldest(self, queue: str) -> Queued | None:
        """Return the entry of lowest rank, due or not."""
        found = self._link.run("oldest", queue)
        return Queued(found[0].decode(), queue, float(found[1]), float(found[2]) if found[2] else None) if found else None

    def size(self, queue: str) -> int:
        """Return how many entries a queue holds."""
        return int(self._link.run("size", queue))

    def discard(self, invocation_ids: Iterable[str]) -> None:
        """Remove entries from every queue."""
        self._link.run("discard", *invocation_ids)

    def purge(self) -> None:
        """Remove every entry."""
        for name in BROKER:
            for keys in scan(self._link, pattern(f"{self._link.prefix}{PREFIXES[name]}")):
                self._link.run("purge", *keys)

    def close(self) -> None:
        """Let who waits for entries return, and close every connection."""
        self.wake()
        self._ear.close()
        self._link.close()

    def shares(self, link: Link) -> bool:
        """Return whether it stores in the same place."""
        return self._link.place.identity == link.place.identity
