"""Stores that go away and come back: each has a server of its own, or is a file that somebody else holds."""

from __future__ import annotations

import os
import secrets
import signal
import sqlite3
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import attrs
import pymongo
import pytest
from pymongo.errors import AutoReconnect

from pynenc_testkit.servers.mongo import MongoServer, mongo_server
from pynenc_testkit.servers.proxy import Proxy
from pynenc_testkit.servers.redis import RedisServer
from pynenc_testkit.servers.redis_sets import RedisSentinel, command
from pynenc_testkit.servers.urls import extended
from pynenc_testkit.stores import eventually

Away = Callable[[], AbstractContextManager[None]]
NO_BEAT = "cannot give its heartbeat"
"""What a runner says that is cut off from its store."""
PERSISTENT = ("--appendonly", "yes", "--appendfsync", "everysec")


@attrs.frozen
class Place:
    """A store that is there, and how it goes away."""

    url: str
    away: Away
    """Let it be out of reach within a block; at its end the store can be used."""


@attrs.frozen
class Outage:
    """One way in which one kind of store goes away."""

    store: str
    opened: Callable[[Path], AbstractContextManager[Place]]
    """Make such a store, in a folder if it needs one."""
    said: str = ""
    """What callers are told meanwhile; empty where they only wait."""
    sections: Mapping[str, Mapping[str, object]] = attrs.field(factory=dict[str, Mapping[str, object]])
    marks: tuple[pytest.MarkDecorator, ...] = ()


class Server(Protocol):
    """A server of the kit's."""

    port: int

    @property
    def url(self) -> str: ...

    @property
    def pid(self) -> int: ...

    def start(self) -> None: ...

    def stop(self, how: int = signal.SIGTERM) -> None: ...


@contextmanager
def killed(server: Server) -> Generator[None]:
    """SIGKILL it, and start it again at the end."""
    server.stop(signal.SIGKILL)
    yield
    server.start()


@contextmanager
def ended(server: Server) -> Generator[None]:
    """Let it end properly, and start it again at the end."""
    server.stop()
    yield
    server.start()


@contextmanager
def paused(server: Server) -> Generator[None]:
    """Let it stand still."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


@contextmanager
def held(path: Path) -> Generator[None]:
    """Hold a database file so that nobody else can write."""
    connection = sqlite3.connect(path, timeout=30.0, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        connection.close()


@contextmanager
def _file(folder: Path) -> Generator[Place]:
    path = folder / "held.db"
    yield Place(f"sqlite:///{path}", lambda: held(path))


@contextmanager
def _served(make: Callable[[], Server], path: str, how: Callable[[Server], AbstractContextManager[None]]) -> Generator[Place]:
    server = make()
    try:
        yield Place(server.url + path, lambda: how(server))
    finally:
        server.stop()


@contextmanager
def _behind(make: Callable[[], Server], path: str, how: Callable[[Proxy], AbstractContextManager[None]]) -> Generator[Place]:
    server = make()
    try:
        with Proxy(server.port) as proxy:
            yield Place(server.url.replace(str(server.port), str(proxy.port)) + path, lambda: how(proxy))
    finally:
        server.stop()


@contextmanager
def _watched() -> Generator[Place]:
    servers = RedisSentinel()
    try:
        yield Place(servers.url, lambda: _failover(servers))
    finally:
        servers.stop()


@contextmanager
def _failover(servers: RedisSentinel) -> Generator[None]:
    """Kill the primary; at the end the replica has taken its place."""
    eventually(lambda: "lag=0" in command(servers.primary.port, "INFO", "replication"), "a replica that has everything")
    servers.primary.stop(signal.SIGKILL)
    yield
    promoted = str(servers.replica.port)
    eventually(lambda: promoted in command(servers.port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"), "a new primary", 30.0)


@contextmanager
def _replica_set() -> Generator[Place]:
    """Take a database of the replica set that the environment names."""
    url = extended(mongo_server(), f"/faults_{secrets.token_hex(4)}")
    yield Place(url, lambda: _step_down(url))


@contextmanager
def _step_down(url: str) -> Generator[None]:
    """Let the primary step down; at the end there is one again."""
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        with suppress(AutoReconnect):  # older ones close the connection instead of an answer
            client.admin.command("replSetStepDown", 10, force=True)
        yield
        eventually(lambda: client.primary, "a new primary", 60.0)


def _redis() -> Server:
    return RedisServer(*PERSISTENT)


def _over_redis(opened: Callable[[Path], AbstractContextManager[Place]], said: str = "") -> Outage:
    return Outage("redis", opened, said)


def _over_mongo(opened: Callable[[Path], AbstractContextManager[Place]], said: str = "") -> Outage:
    return Outage("mongo", opened, said, {"mongo": {"timeout_sec": 1.0}})


OUTAGES: Mapping[str, Outage] = {
    "sqlite-held": Outage("sqlite", _file, "others were writing all the time", {"sqlite": {"busy_timeout_sec": 0.3}}),
    "redis-killed": _over_redis(lambda _: _served(_redis, "", killed), "connection failed"),
    "redis-ended": _over_redis(lambda _: _served(_redis, "", ended), "connection failed"),
    "redis-paused": _over_redis(lambda _: _served(_redis, "", paused)),
    "redis-refused": _over_redis(lambda _: _behind(_redis, "", Proxy.refusing), "connection|closed"),
    "redis-stalled": _over_redis(lambda _: _behind(_redis, "", Proxy.stalled)),
    "redis-failover": _over_redis(lambda _: _watched(), ""),
    "mongo-killed": _over_mongo(lambda _: _served(MongoServer, "/jobs", killed), "no server answers|refused|closed"),
    "mongo-paused": _over_mongo(lambda _: _served(MongoServer, "/jobs", paused)),
    "mongo-refused": _over_mongo(lambda _: _behind(MongoServer, "/jobs", Proxy.refusing), "no server answers|closed|reset"),
    "mongo-stepdown": Outage("mongo", lambda _: _replica_set(), marks=(pytest.mark.needs_mongod,)),
    "mongo-stalled": _over_mongo(lambda _: _behind(MongoServer, "/jobs", Proxy.stalled)),
}


def outages(*quick: str) -> pytest.MarkDecorator:
    """Return what gives a test each outage: `make test` runs it with the ones named first, `nox -s faults` with all."""
    found = [
        pytest.param(name, marks=outage.marks if name in quick else (pytest.mark.full, *outage.marks)) for name, outage in OUTAGES.items()
    ]
    return pytest.mark.parametrize("outage", found)
