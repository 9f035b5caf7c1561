"""Connections to a server, each lent to one call at a time; what a call left half done is never lent again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from redis import exceptions as redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.crc import key_slot
from redis.retry import Retry

from pynenc_backend_redis.encoding import Argument
from pynenc_backend_redis.keys import prefix_of
from pynenc_backend_redis.scripts import script
from pynenc_backend_redis.troubles import translated
from pynenc_backend_redis.urls import locate
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.ports.runtime import StoreView

LOOK_AFTER = 1.0
"""Seconds of rest after which a connection is looked at before it is used: the server may have closed it."""


class Link:
    """An app's way to its server. Every method may be called from any thread."""

    def __init__(self, app: StoreView, part: str) -> None:
        self.app = app
        self.place = locate(app, part)
        self.prefix = prefix_of(app.app_id)
        self._begin_anew()
        _links.add(self)

    def _begin_anew(self) -> None:
        self._idle: list[tuple[AbstractConnection, float]] = []
        self._generation = 0
        self._node: tuple[str, int] | None = None
        self._lock = threading.Lock()
        self._offset = float("-inf")
        self._sampled = float("-inf")

    def forget(self) -> None:
        """Start anew: in a forked child the connections are the parent's. Only its descriptors are closed."""
        for connection, _ in self._idle:
            connection.disconnect()
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
        except redis.MovedError as moved:
            if self.place.scheme != "redis+cluster":
                raise translated(moved, self.place.shown) from moved
            self._rebuild((moved.host, moved.port))
        except redis.ReadOnlyError as error:
            self._rebuild(None)  # behind sentinels another one may be the primary by now
            raise translated(error, self.place.shown) from error
        except (redis.RedisError, OSError) as error:
            raise translated(error, self.place.shown) from error
        try:
            return self._exchange(arguments)
        except (redis.RedisError, OSError) as error:
            raise translated(error, self.place.shown) from error

    def now(self) -> float:
        """Return the server's clock, in seconds since 1970: measured once a second, and never ahead of it."""
        if time.monotonic() - self._sampled > LOOK_AFTER:
            for _ in range(2):
                sent = time.monotonic()
                whole, micros = self.call("TIME")
                got = time.monotonic()
                offset = int(whole) + int(micros) / 1e6 - got
                late = got - self._sampled > 60 * LOOK_AFTER or offset < self._offset - 0.5  # drift, or the server's clock went back
                self._offset = offset if late else max(self._offset, offset)
                if got - sent < 1e-3:
                    break
            self._sampled = time.monotonic()
        return self._offset + time.monotonic()

    def connect(self) -> AbstractConnection:
        """Return a new connection of the caller's own. Raises redis.RedisError, OSError."""
        connection = self._make()
        connection.connect()
        return connection

    def close(self) -> None:
        """Close every connection that rests; those that are lent are closed when they come back."""
        self._rebuild(self._node)

    def _rebuild(self, node: tuple[str, int] | None) -> None:
        with self._lock:
            self._generation += 1
            self._node = node
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.disconnect()

    def _exchange(self, arguments: tuple[Argument, ...]) -> Any:
        generation, connection = self._generation, self._lent()
        fit = False
        try:
            connection.send_command(*arguments)
            reply = connection.read_response()
            fit = True
        except redis.ResponseError as error:
            fit = not isinstance(error, redis.ReadOnlyError | redis.MovedError)  # a whole reply, which says no
            raise
        finally:
            if fit and generation == self._generation:
                self._idle.append((connection, time.monotonic()))
            else:  # a reply may still be on its way: nobody else may read it
                connection.disconnect()
        return reply

    def _lent(self) -> AbstractConnection:
        while self._idle:
            try:
                connection, since = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if time.monotonic() - since < LOOK_AFTER or not _spoken(connection):
                return connection
            connection.disconnect()
        try:
            return self.connect()
        except BaseException:
            self._node = None
            raise

    def _make(self) -> AbstractConnection:
        place = self.place
        options = {**place.options, "retry": Retry(NoBackoff(), 0), "protocol": 2}
        if place.scheme == "unix":
            return UnixDomainSocketConnection(path=place.path, **options)
        kind: Callable[..., AbstractConnection] = SSLConnection if place.tls else Connection
        options["socket_keepalive"] = True
        if place.scheme == "redis+sentinel":
            host, port = _first_that(self._primary, place.hosts)
        elif place.scheme == "redis+cluster":
            if self._node is None:
                self._node = _first_that(self._node_of, place.hosts)
            host, port = self._node
        else:
            ((host, port),) = place.hosts
        return kind(host=host, port=port, **options)

    def _asked(self, host: str, port: int, login: dict[str, Any], *command: str) -> Any:
        place = self.place
        options = {name: value for name, value in place.options.items() if name not in {"db", "username", "password"}}
        kind: Callable[..., AbstractConnection] = SSLConnection if place.tls else Connection
        connection = kind(host=host, port=port, retry=Retry(NoBackoff(), 0), protocol=2, **options, **login)
        try:
            connection.connect()
            connection.send_command(*command)
            return connection.read_response()
        finally:
            connection.disconnect()

    def _primary(self, host: str, port: int) -> tuple[str, int]:
        """Ask a sentinel for the primary."""
        found = self._asked(host, port, self.place.sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.place.service)
        if not found:
            server, remedy = f"Redis server {self.place.shown}", "name the service in the URL: redis+sentinel://host:26379/service"
            raise BackendUnavailableError(server, f"its sentinels know no service {self.place.service!r}", remedy)
        return found[0].decode(), int(found[1])

    def _node_of(self, host: str, port: int) -> tuple[str, int]:
        """Ask a node of a cluster which one keeps this app."""
        login = {name: value for name, value in self.place.options.items() if name in {"username", "password"}}
        slot = key_slot(self.prefix.encode())
        for first, last, primary, *_ in self._asked(host, port, login, "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return (primary[0] or host.encode()).decode(), int(primary[1])
        raise redis.ClusterDownError("CLUSTERDOWN no node keeps this app's slot")


def _first_that(ask: Callable[[str, int], tuple[str, int]], hosts: tuple[tuple[str, int], ...]) -> tuple[str, int]:
    """Return the first answer there is; the last failure if there is none."""
    failure: Exception | None = None
    for host, port in hosts:
        try:
            return ask(host, port)
        except (redis.RedisError, OSError) as error:
            failure = error
    raise failure or redis.ConnectionError("no host was given")


def _spoken(connection: AbstractConnection) -> bool:
    """Return whether there is something to read where nothing was asked: the end of the connection, mostly."""
    try:
        return bool(connection.can_read(timeout=0))
    except (redis.RedisError, OSError):
        return True


_links: WeakSet[Link] = WeakSet()


def _forget_all() -> None:
    for link in tuple(_links):
        link.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
