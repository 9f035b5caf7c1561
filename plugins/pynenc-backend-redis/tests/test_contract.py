"""The Redis backend under the kit's contracts, over a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, ClassVar

import pytest
from redis import Redis
from redis.exceptions import NoScriptError

from pynenc_backend_redis import scripts
from pynenc_backend_redis.keys import PREFIXES, pattern, prefix_of
from pynenc_backend_redis.link import Link
from pynenc_backend_redis.settings import RedisSettings
from pynenc_backend_redis.wires import Argument
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.contracts import (
    DispatcherContract,
    DurableContract,
    PluginContract,
    RemoteContract,
    SharedBrokerContract,
    SplitContract,
    StateContract,
    StateMachineContract,
)
from pynenc_testkit.contracts.public_records import PublicRecordsContract
from pynenc_testkit.contracts.split import apart
from pynenc_testkit.servers.redis import redis_url
from pynenc_testkit.servers.urls import extended
from pynenc_testkit.stores import KitApp, Raw, Store, open_installed

CHOKES = ("pynenc_backend_redis.link:Link.call",)
TRANSIENT = tuple(PREFIXES[name] for name in ("IDLE", "IDLE_AWAITED", "BATCH"))


class RedisRaw:
    """Looks into the server, past every connection of the backend."""

    def __init__(self, url: str, begin: str) -> None:
        self._client: Redis = Redis.from_url(url)
        self._begin = prefix_of(begin)[:-1]

    def keys(self) -> list[bytes]:
        """Return the keys of this test's apps, but for those of processes that wait."""
        found = sorted(self._client.scan_iter(match=pattern(self._begin), count=1000))
        return [key for key in found if not key.partition(b"}")[2].startswith(tuple(each.encode() for each in TRANSIENT))]

    def dump(self) -> object:
        """Return the content of every key, but for the processes that wait."""
        return {key: self._content(key) for key in self.keys()}

    def _content(self, key: bytes) -> object:
        client = self._client
        read: dict[bytes | str, Callable[[], object]] = {
            b"string": lambda: client.get(key),
            b"hash": lambda: {name: value for name, value in client.hgetall(key).items() if name != b"watchers"},
            b"zset": lambda: client.zrange(key, 0, -1, withscores=True),
            b"set": lambda: client.smembers(key),
            b"list": lambda: client.lrange(key, 0, -1),
            b"stream": lambda: client.xrange(key),
        }
        return read[client.type(key)]()

    def set_format(self, number: int) -> None:
        """Write another format number."""
        for key in self._client.scan_iter(match=pattern(self._begin), count=1000):
            if key.endswith(b"}" + PREFIXES["FORMAT"].encode()):
                self._client.set(key, number)

    def clear(self) -> None:
        """Remove all of this test's keys."""
        for key in self._client.scan_iter(match=pattern(self._begin), count=1000):
            self._client.unlink(key)
        self._client.close()


_now, _read = Link.now, scripts._read


def _skew(link: Link) -> float:
    clock = link.app.clock
    return clock._advanced if isinstance(clock, ManualClock) else 0.0


def _read_skewed(name: str) -> str:
    text = _read(name)
    if name != "_common":
        return text
    assert text.count("call('TIME')\n") == 1
    skewed = (
        "(function() local t = call('TIME') local us = t[1] * 1e6 + t[2] + KEYS[2] "
        "return {string.format('%.0f', math.floor(us / 1e6)), us % 1e6} end)()\n"
    )
    return text.replace("call('TIME')\n", skewed)


def _run_skewed(link: Link, name: str, *arguments: Argument) -> Any:
    command, skew = scripts.script(name), f"{_skew(link) * 1e6:.0f}"
    try:
        return link.call("EVALSHA", command.sha, 2, link.prefix, skew, *arguments)
    except NoScriptError:
        link.call("SCRIPT", "LOAD", command.source)
        return link.call("EVALSHA", command.sha, 2, link.prefix, skew, *arguments)


def _now_skewed(link: Link) -> float:
    return _now(link) + _skew(link)


def _name(url: str) -> str:
    """Return what the app ids of a test begin with."""
    return url.rpartition("=")[2]


class RedisSubject:
    """What all contracts over storage are given: a server for all tests, and app ids of each test's own."""

    url: ClassVar[str] = "redis://?client_name={name}"
    chokes: ClassVar[tuple[str, ...]] = CHOKES
    schedules: ClassVar[int] = 20
    silence: ClassVar[float] = 0.03
    opened_names: ClassVar[set[str]] = set()

    @pytest.fixture(autouse=True)
    def skewed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Let the server's clock be as far ahead as the test's: nobody can wait for a million seconds to pass there."""
        monkeypatch.setattr(scripts, "_read", _read_skewed)
        monkeypatch.setattr(scripts, "script", cache(scripts.script.__wrapped__))
        monkeypatch.setattr(Link, "run", _run_skewed)
        monkeypatch.setattr(Link, "now", _now_skewed)
        yield
        while self.opened_names:
            RedisRaw(redis_url(), self.opened_names.pop()).clear()

    @pytest.fixture
    def raw(self, place: str) -> Raw:
        return RedisRaw(redis_url(), _name(place))

    def open_store(self, app: KitApp) -> Store:
        name = _name(app.url)
        RedisSubject.opened_names.add(name)
        app_id = app.app_id if app.app_id.startswith(name) else f"{name} {app.app_id}"
        return open_installed(KitApp(app_id, extended(redis_url(), f"?client_name={name}"), app.clock, app.settings))


class TestState(RedisSubject, StateContract):
    pass


class TestDispatcher(RedisSubject, DispatcherContract):
    pass


class TestSplit(RedisSubject, SplitContract):
    """Broker and records as if they were in different places."""

    schedules: ClassVar[int] = 5

    def open_store(self, app: KitApp) -> Store:
        return apart(super().open_store(app))


class TestStateMachine(RedisSubject, StateMachineContract):
    pass


class TestBroker(RedisSubject, SharedBrokerContract):
    pass


class TestDurability(RedisSubject, DurableContract):
    pass


class TestPlugin(PluginContract):
    plugin: ClassVar[str] = "backend-redis"


class TestPublicRecords(RedisSubject, PublicRecordsContract):
    pass


class TestRemote(RedisSubject, RemoteContract):
    url: ClassVar[str] = "{redis}?client_name={name}"

    def open_store(self, app: KitApp) -> Store:
        """Open it by way of the proxy, and so that a test need not wait long."""
        name = _name(app.url)
        RedisSubject.opened_names.add(name)
        quick = RedisSettings(connect_timeout_sec=0.5, reply_timeout_sec=0.5)
        return open_installed(KitApp(f"{name} {app.app_id}", app.url, app.clock, {RedisSettings: quick}))
