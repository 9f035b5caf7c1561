"""The verbs through which processes agree: values, heartbeats and leases."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from bson import Binary
from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from pynenc_backend_mongo import layout
from pynenc_backend_mongo.database import Database
from pynenc_backend_mongo.documents import OWN, label
from pynenc_backend_mongo.transitions import Transitions
from pynenc_core.model import Lease, RunnerBeat, Signal
from pynenc_core.ports.storage import CoordinationStorage

_NEVER = 1e18
"""When a value without a life span ends, in seconds since 1970."""
_LAST = "\U0010ffff"


class MongoCoordination(CoordinationStorage):
    """Small shared things in a database."""

    database: Database
    transitions: Transitions
    _fences: dict[str, int]
    """By role: the fence under which somebody here took it last."""

    def now(self) -> float:
        """Return an estimate of the server's clock."""
        return self.database.now()

    def prepare(self) -> None:
        """Connect, check what is there, and make the indexes."""
        self.database.open()

    def close(self) -> None:
        """Close every connection."""
        self.transitions.writes.forget()
        self.database.close()

    def put_value(self, kind: str, key: str, value: bytes, *, if_absent: bool = False, ttl: float | None = None) -> bool:
        """Store a value; return whether it was written."""
        now, name = self.now(), _id(kind, key)
        fields = {"kind": kind, "key": key, "value": Binary(value), "until": _NEVER if ttl is None else now + ttl}
        call = self.database.call
        while True:
            try:
                if not if_absent:
                    call(layout.VALUES, "update_one", {"_id": name}, {"$set": fields}, upsert=True)
                    return True
                if call(layout.VALUES, "update_one", {"_id": name, "until": {"$lte": now}}, {"$set": fields}).matched_count:
                    return True
                call(layout.VALUES, "insert_one", {"_id": name, **fields})
            except DuplicateKeyError:
                if if_absent:
                    return False
            else:
                return True

    def get_values(self, kind: str, keys: Collection[str]) -> dict[str, bytes]:
        """Return the values that exist, by key."""
        wanted = {"_id": {"$in": [_id(kind, key) for key in keys]}, "until": {"$gt": self.now()}}
        return {each["key"]: bytes(each["value"]) for each in self.database.find(layout.VALUES, wanted)} if keys else {}

    def list_values(self, kind: str, *, prefix: str = "", after: str = "", limit: int = 100) -> tuple[tuple[str, bytes], ...]:
        """Return pairs of key and value, by key."""
        bounds = {"$gt": after, "$gte": prefix, "$lt": prefix + _LAST}
        wanted = {"kind": kind, "key": bounds, "until": {"$gt": self.now()}}
        found = self.database.find(layout.VALUES, wanted, sort=[("key", 1)], limit=limit)
        return tuple([(each["key"], bytes(each["value"])) for each in found])

    def drop_values(self, kind: str, keys: Collection[str]) -> int:
        """Remove values; return how many existed."""
        wanted = {"_id": {"$in": [_id(kind, key) for key in keys]}, "until": {"$gt": self.now()}}
        return int(self.database.call(layout.VALUES, "delete_many", wanted).deleted_count) if keys else 0

    def beat(self, runner_ids: Collection[str], lease: float, *, may_serve: bool = False) -> tuple[Signal, ...]:
        """Note that runners are alive; return the requests to what they own."""
        self.database.measure()
        now = self.now()
        fields = {"last_at": now, "alive_until": now + lease, "may_serve": may_serve}
        beats = [UpdateOne({"_id": each}, {"$set": fields, "$setOnInsert": {"first_at": now}}, upsert=True) for each in runner_ids]
        if beats:
            self.database.call(layout.BEATS, "bulk_write", beats)
        return self.transitions.signals(list(runner_ids))

    def beats(self) -> tuple[RunnerBeat, ...]:
        """Return every runner known, by id."""
        found = self.database.find(layout.BEATS, {})
        return tuple([RunnerBeat(runner_id=each.pop("_id"), **each) for each in sorted(found, key=lambda each: str(each["_id"]))])

    def forget_runners(self, runner_ids: Collection[str]) -> None:
        """Remove runners."""
        self.database.call(layout.BEATS, "delete_many", {"_id": {"$in": list(runner_ids)}})

    def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take or renew a role; None while somebody else holds it."""
        call = self.database.call
        if (fence := self._fences.get(name)) is not None:  # most often it is renewed, which takes one call
            until = self.now() + seconds
            if call(layout.LEASES, "update_one", {"_id": name, "holder": holder, "fence": fence}, {"$set": {"until": until}}).matched_count:
                return Lease(name, holder, fence, until)
            del self._fences[name]
        while True:
            now = self.now()
            held: dict[str, Any] | None = call(layout.LEASES, "find_one", {"_id": name})
            if held is not None and held["holder"] not in {"", holder} and held["until"] > now:
                return None
            before = held or {"holder": "", "fence": 0}
            lease = Lease(name, holder, before["fence"] + (before["holder"] != holder), now + seconds)
            fields = {"holder": holder, "fence": lease.fence, "until": lease.until}
            if held is not None:
                if call(layout.LEASES, "update_one", held, {"$set": fields}).matched_count:
                    self._fences[name] = lease.fence
                    return lease
                continue
            try:
                call(layout.LEASES, "insert_one", {"_id": name, **fields})
            except DuplicateKeyError:
                continue
            self._fences[name] = lease.fence
            return lease

    def drop_lease(self, name: str, holder: str) -> None:
        """Give a role back; its fence stays, so that the next holder's is higher."""
        self.database.call(layout.LEASES, "update_one", {"_id": name, "holder": holder}, {"$set": {"holder": "", "until": 0.0}})

    def holders(self, keys: Collection[str]) -> Mapping[str, int]:
        """Return how many live holders each key has."""
        labels = {key: label("limit_key", key) for key in keys}
        owned = {"labels": {"$in": sorted(labels.values())}, "phase": OWN}
        live = self.database.find(layout.INVOCATIONS, owned, {"labels": 1}) if labels else []
        return {key: sum(wanted in each["labels"] for each in live) for key, wanted in labels.items()}


def _id(kind: str, key: str) -> str:
    return f"{len(kind)}:{kind}:{key}"
