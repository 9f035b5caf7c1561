"""The stores that the scenarios are run over, and everything in which they differ for who stops, kills and counts."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs
import pymongo
import pytest

from faults.runners import KINDS
from pynenc_testkit.servers.redis_sets import command


@attrs.frozen
class Store:
    """One kind of store, as the scenarios see it."""

    name: str
    url: str
    """As the kit's contracts take it: `{folder}`, `{name}` and servers are filled in."""
    chokes: tuple[str, ...]
    """The callables through which all of the driver's traffic goes, as `package.module:Class.method`."""
    size: Callable[[str, str], Mapping[str, int]]
    """How much is stored at a URL for an app: what there is, each with its size in some unit."""
    calls: int
    """About how many of those a runner makes that starts, carries out a few tasks and lives on for a moment."""
    points: int
    """More than any operation has kill points: two for each of those calls."""
    sections: Mapping[str, Mapping[str, object]] = attrs.field(factory=dict[str, Mapping[str, object]])
    """What is configured where a scenario says nothing else."""
    share: float = 1.0
    """How much of a scenario's full size it is put to."""
    free: Callable[[str], bool] = lambda _: True
    """Whether nobody holds a lock at a URL, which a process that stands still would keep."""


def _sqlite_is_free(url: str) -> bool:
    probe = sqlite3.connect(urlsplit(url).path, timeout=0.2, isolation_level=None)
    try:
        probe.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    finally:
        probe.close()
    return True


def _sqlite_size(url: str, _app_id: str) -> Mapping[str, int]:
    connection = sqlite3.connect(urlsplit(url).path)
    try:
        (pages,), (unused,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count"))
        return {"pages": pages - unused}
    finally:
        connection.close()


_COUNT = """
local found, text = {}, ''
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
    local kind = string.match(key, '}([^:]*)')
    found[kind] = (found[kind] or 0) + redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0)
end
for kind, bytes in pairs(found) do text = text .. kind .. '=' .. bytes .. ' ' end
return text
"""


def _redis_size(url: str, app_id: str) -> Mapping[str, int]:
    """Return the bytes that each kind of key takes."""
    port = urlsplit(url).port
    assert port is not None
    found = re.findall(r"(\w+)=(\d+)", command(port, "EVAL", _COUNT, "0", "{pynenc:" + app_id + "}*"))
    return {name: int(number) for name, number in found}


def _mongo_size(url: str, _app_id: str) -> Mapping[str, int]:
    """Return how many documents each collection has, but for the decisions about batches, which are kept for an hour."""
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        database = client.get_default_database()
        return {
            name.rpartition("_")[2]: database[name].count_documents({})
            for name in database.list_collection_names()
            if not name.endswith("_decisions")
        }


_SQLITE_CALLS = tuple(f"pynenc_backend_sqlite.database:Connection.{name}" for name in ("begin", "execute", "executemany"))
SQLITE = Store("sqlite", "sqlite:///{folder}/jobs.db", _SQLITE_CALLS, _sqlite_size, calls=400, points=60, free=_sqlite_is_free)
REDIS = Store("redis", "{redis}", ("pynenc_backend_redis.link:Link.call",), _redis_size, calls=40, points=12)
# Not a mongod as a rule, but nx-27017, which takes one command at a time.
MONGO = Store(
    "mongo",
    "{mongo}/{name}",
    ("pynenc_backend_mongo.database:Database.call",),
    _mongo_size,
    calls=30,
    points=24,
    sections={"mongo": {"reply_timeout_sec": 60.0}},
    share=0.1,
)
STORES: Mapping[str, Store] = {store.name: store for store in (SQLITE, REDIS, MONGO)}


def stores(*quick: str, of: Iterable[str] = STORES) -> pytest.MarkDecorator:
    """Return what gives a test each store: `make test` runs it with the ones named first, `nox -s faults` with all."""
    return pytest.mark.parametrize("store", [name if name in quick else pytest.param(name, marks=pytest.mark.full) for name in of])


def pairs(*quick: str, of: Iterable[str] = KINDS, over: Iterable[str] = STORES, less: Iterable[str] = ()) -> pytest.MarkDecorator:
    """Return what gives a test each runner over each store, but for the pairs in `less`; `make test` runs those named first.

    A pair is written as `thread-redis`.
    """
    chosen = [(runner, store) for store in over for runner in of if f"{runner}-{store}" not in less]
    found = [pytest.param(*pair, id="-".join(pair), marks=[] if "-".join(pair) in quick else [pytest.mark.full]) for pair in chosen]
    return pytest.mark.parametrize(("runner", "store"), found)
