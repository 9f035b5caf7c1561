"""Waiting for results."""

from __future__ import annotations

from collections.abc import Collection

from pynenc_backend_mongo import layout
from pynenc_backend_mongo.database import Database
from pynenc_backend_mongo.documents import FINISHED


class MongoWatch:
    """A wait for invocations to become final: told by this process's writes and the change stream, else by looking."""

    def __init__(self, database: Database, invocation_ids: Collection[str]) -> None:
        self._database = database
        self._bell = database.bell
        self._closed = False
        self._open, self._ended = set(invocation_ids), set[str]()
        with self._bell.changed:  # before the first look, so that nothing that is told is missed
            for invocation_id in self._open:
                self._bell.listeners[invocation_id].add(self)
        self._look()

    def tell(self, invocation_id: str) -> None:
        """Learn that an invocation ended."""
        if invocation_id in self._open:
            self._open.discard(invocation_id)
            self._ended.add(invocation_id)

    def wait(self, timeout: float | None) -> frozenset[str]:
        """Return what ended since the last call; block up to `timeout` seconds while that is nothing."""
        clock, waited = self._database.clock, 0.0
        began = clock.monotonic()
        while True:
            left = None if timeout is None else timeout - waited
            pause = self._bell.pause(waited)
            with self._bell.changed:
                if not self._ended and not self._closed and (left is None or left > 0):
                    told = self._bell.changed.wait_for(lambda: self._ended or self._closed, pause if left is None else min(pause, left))
                    waited = clock.monotonic() - began
                    left = None if timeout is None else timeout - waited
                else:
                    told = True
                if told or (left is not None and left <= 0):
                    ended, self._ended = frozenset(self._ended), set[str]()
                    return ended
            self._look()

    def close(self) -> None:
        """Stop listening."""
        with self._bell.changed:
            self._closed = True
            for invocation_id in self._open & self._bell.listeners.keys():
                self._bell.listeners[invocation_id].discard(self)
                if not self._bell.listeners[invocation_id]:
                    del self._bell.listeners[invocation_id]
            self._bell.changed.notify_all()

    def _look(self) -> None:
        """See which have ended, or are there no more."""
        with self._bell.changed:
            asked = sorted(self._open)
        found = {each["_id"] for each in self._database.find_all(layout.INVOCATIONS, asked, {"phase": {"$ne": FINISHED}}, {"_id": 1})}
        with self._bell.changed:
            for invocation_id in set(asked) - found:
                self.tell(invocation_id)
