"""Connections to a server, each lent to one call at a time; what a call left half done is never lent again."""

from __future__ import annotations

import os
import threading
import time
from typing import Any
from weakref import WeakSet

from redis import exceptions as redis

from pynenc_backend_redis.keys import prefix_of
from pynenc_backend_redis.scripts import script
from pynenc_backend_redis.troubles import translated
from pynenc_backend_redis.urls import locate
from pynenc_backend_redis.wires import Argument, Node, Wire, connected, find_node, moved_to, quiet, send
from pynenc_core.ports.runtime import StoreView

SAMPLE_AFTER = 1.0
"""Seconds after which the server's clock is asked for again."""
SAMPLE_KEPT = 60.0
"""Seconds after which the difference of the clocks is measured afresh: they drift."""


class Link:
    """An app's way to its server. Every method may be called from any thread."""

    def __init__(self, app: StoreView, part: str) -> None:
        self.app = app
        self.place = locate(app, part)
        self.prefix = prefix_of(app.app_id)
        self._begin_anew()
        _links.add(self)

    def _begin_anew(self) -> None:
        self._idle: list[Wire] = []
        self._generation = 0
        self._node: Node | None = None
        self._lock = threading.Lock()
        self._offset = self._sampled = self._renewed = float("-inf")

    def forget(self) -> None:
        """Start anew: in a forked child the connections are the parent's."""
        for wire in self._idle:
            wire.disconnect()
        self._begin_anew()

    def run(self, name: str, *arguments: Argument) -> Any:
        """Carry out one of our commands in one call; the server is taught it where it does not know it (any more).

        Raises BackendUnavailableError, StoreCorruptError.
        """
        command = script(name)
        try:
            return self.call("EVALSHA", command.sha, 1, self.prefix, *arguments)
        except redis.NoScriptError:
            self.call("SCRIPT", "LOAD", command.source)
            return self.call("EVALSHA", command.sha, 1, self.prefix, *arguments)

    def call(self, *arguments: Argument) -> Any:
        """Send a command and return its reply; all traffic but that of ears goes through here.

        Raises BackendUnavailableError, StoreCorruptError, and redis.NoScriptError for a script that is not known.
        """
        try:
            return self._exchange(arguments)
        except redis.NoScriptError:
            raise
        except (redis.RedisError, OSError) as error:
            node = moved_to(error) if self.place.scheme == "redis+cluster" else None
            if node is None:
                if isinstance(error, redis.ReadOnlyError):
                    self._drop(None)  # behind sentinels another one may be the primary by now
                raise translated(error, self.place.server) from error
            self._drop(node)
        try:
            return self._exchange(arguments)
        except redis.NoScriptError:
            raise
        except (redis.RedisError, OSError) as error:
            raise translated(error, self.place.server) from error

    def now(self) -> float:
        """Return the server's clock, in seconds since 1970: measured once a second, and never ahead of it."""
        began = time.monotonic()
        if began - self._sampled > SAMPLE_AFTER:
            for _ in range(2):
                sent = time.monotonic()
                whole, micros = self.call("TIME")
                got = time.monotonic()
                offset = int(whole) + int(micros) / 1e6 - got  # too small by the way of the reply, so the largest is the best
                if offset < self._offset - (got - sent) - 1e-3 or got - self._renewed > SAMPLE_KEPT:
                    self._offset, self._renewed = offset, got
                self._offset = max(self._offset, offset)
                if got - sent < 1e-3:
                    break
            self._sampled = time.monotonic()
        return self._offset + time.monotonic()

    def connect(self) -> Wire:
        """Return a new connection of the caller's own. Raises redis.RedisError, OSError, BackendUnavailableError."""
        known, self._node = self._node, None
        node = known or find_node(self.place, self.prefix)
        try:
            wire = connected(self.place, node)
        except (redis.ConnectionError, OSError):
            if known is None or (node := find_node(self.place, self.prefix)) == known:
                raise
            wire = connected(self.place, node)  # another one has taken its place
        self._node = node
        return wire

    def close(self) -> None:
        """Close every connection that rests; those that are lent are closed when they come back."""
        self._drop(self._node)

    def _drop(self, node: Node | None) -> None:
        with self._lock:
            self._generation += 1
            self._node = node
            idle, self._idle = self._idle, []
        for wire in idle:
            wire.disconnect()

    def _exchange(self, arguments: tuple[Argument, ...]) -> Any:
        generation, wire = self._generation, self._lent()
        fit = False
        try:
            send(wire, arguments)
            reply = wire.read_response()
            fit = True
        except redis.ResponseError:
            fit = True  # a whole reply, which says no
            raise
        finally:
            if fit and generation == self._generation:
                self._idle.append(wire)
            else:  # a reply may still be on its way: nobody else may read it
                wire.disconnect()
        return reply

    def _lent(self) -> Wire:
        while self._idle:
            try:
                wire = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if quiet(wire):
                return wire
            wire.disconnect()
            self._node = None  # whoever closed it may not be the one to go to any more
        return self.connect()


_links: WeakSet[Link] = WeakSet()


def _forget_all() -> None:
    for link in tuple(_links):
        link.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
