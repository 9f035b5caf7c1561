"""Some of what design section 8 asks of a store, over MongoDB: `mongod` where it is installed, else nx-27017.

What nx-27017 shows says nothing of a mongod's speed, but for the number of calls. The floors are bare pymongo: the documents,
the indexes and the calls of the backend, without anything around them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import fleet
import runners
from pymongo import MongoClient
from pymongo.collection import Collection
from stores import POOL, Store
from table import REPEATS, Row, median

from pynenc_testkit.servers.mongo import mongo_server

Document = dict[str, Any]
_SETTINGS = {"runner.num_processes": 2}
_FIXED = frozenset({"_id", "id"})
_AS_IT_IS: Mapping[str, Any] = {"$inc": {"version": 1}}


class Floor:
    """The writes of a task, as the backend has left them in the database of a benchmark."""

    def __init__(self, url: str, env: Mapping[str, str]) -> None:
        with fleet.folder() as where:
            fleet.client("fill:1", where, env)
            database = MongoClient[Document](url).get_database("pynenc")
            (name,) = [each for each in database.list_collection_names() if each.endswith("invocations")]
            stored: Collection[Document] = database[name]
            self.new = stored.find_one() or {}
            with fleet.runner(POOL, where, env):
                fleet.client("ready", where, env)
            self.ended = stored.find_one({"_id": self.new["_id"]}) or {}
            self.collection = database["floor"]
            for index, how in stored.index_information().items():
                if index != "_id_":
                    options = {option: how[option] for option in ("unique", "partialFilterExpression") if option in how}
                    self.collection.create_index(how["key"], name=index, **options)
            stored.drop()

    def enqueue(self, count: int, batch: int) -> float:
        """Return invocations a second that can be inserted; a batch is staged, committed and published."""
        self.collection.delete_many({})
        began = time.perf_counter()
        for first in range(0, count, batch):
            ids = [f"{n:026d}" for n in range(first, min(first + batch, count))]
            documents = [{**self.new, "_id": each, "id": each, "place": float(n)} for n, each in enumerate(ids, first)]
            if batch == 1:
                self.collection.insert_one(documents[0])
            else:
                self.collection.insert_many([{**each, "batch": ids[0], "phase": "staged"} for each in documents], ordered=False)
                self.collection.database["decided"].insert_one({"committed": True})
                self.collection.update_many({"batch": ids[0]}, {"$set": {"phase": self.new["phase"]}, "$unset": {"batch": ""}})
        return count / (time.perf_counter() - began)

    def drain(self, count: int) -> float:
        """Return tasks a second that one process claims and settles, one at a time."""
        self.enqueue(count, 500)
        changed = {name: value for name, value in self.ended.items() if name not in {*_FIXED, "version"}}
        claimed = {**_AS_IT_IS, "$set": {**changed, "status": "RUNNING", "runner": "somebody", "phase": "owned"}}
        settled = {**_AS_IT_IS, "$set": changed, "$unset": {"runner": ""}}
        began = time.perf_counter()
        for _ in range(count):
            found = self.collection.find_one({"queue": "default", "phase": self.new["phase"]}, sort=[("place", 1)]) or {}
            self.collection.find_one_and_update({"_id": found["_id"], "version": found["version"]}, claimed)
            self.collection.find_one_and_update({"_id": found["_id"], "version": found["version"] + 1}, settled)
        return count / (time.perf_counter() - began)


def _drained(url: str, env: Mapping[str, str], count: int) -> float:
    _empty(url)
    with fleet.folder() as where:
        fleet.client(f"fill:{count}", where, env)
        with fleet.runner(POOL, where, env):
            return fleet.client(f"drained:{count}", where, env)["drain"]


def _empty(url: str) -> None:
    with MongoClient[Document](url) as client:
        client.drop_database("pynenc")


def mongo(count: int, idle: float) -> list[Row]:
    """Measure enqueueing, draining, latency, and what a worker costs."""
    url = mongo_server()
    env = fleet.environment(url, _SETTINGS)
    _empty(url)
    floor = Floor(url, env)
    with fleet.folder() as where:
        found = [fleet.client(f"enqueue:{count}", where, env) for _ in range(REPEATS)]
    rows = [
        Row(
            f"MongoDB: enqueue in batches of {batch}",
            statistics.median(each[key] for each in found),
            "/s",
            floor=median(partial(floor.enqueue, count, batch))[0],
        )
        for key, batch in (("one", 1), ("batch", 500))
    ]
    least = floor.drain(count)
    drain: Callable[[], float] = partial(_drained, url, env, count)
    value, spread = median(drain)
    rows.append(Row("MongoDB: drain, 2 processes", value, "/s", spread=spread, floor=least))
    _empty(url)
    with fleet.folder() as where, fleet.runner(POOL, where, env):
        latency = fleet.client(f"latency:{max(20, count // 5)}", where, env)
    store = Store("MongoDB", url, 52, 600)
    return [
        *rows,
        *[Row(f"MongoDB: enqueue to result, {name}", latency[name], "ms") for name in ("p50", "p99")],
        *runners.idle(POOL, idle, store, waits=False),
    ]
