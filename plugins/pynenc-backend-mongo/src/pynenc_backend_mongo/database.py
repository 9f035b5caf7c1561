"""The connection to one app's collections: every call passes here, and every error leaves as one of ours."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakSet, finalize

import pymongo
from pymongo import errors as driver
from pymongo.database import Database as _DriverDatabase
from pymongo.errors import PyMongoError

from pynenc_backend_mongo import layout, troubles
from pynenc_backend_mongo.bell import Bell
from pynenc_backend_mongo.place import locate
from pynenc_backend_mongo.server_clock import ServerClock
from pynenc_backend_mongo.settings import MongoSettings
from pynenc_core.errors.backends import BackendError, StoreCorruptError, StoreFormatError
from pynenc_core.errors.base import PynencError
from pynenc_core.ports.runtime import StoreView

Document = dict[str, Any]
DriverDatabase = _DriverDatabase[Document]

_LONGEST = 600.0
"""Seconds that a call may last that has to do as much as there is: an index, a purge."""
PAGE = 1000
"""How many ids are asked for at once."""
OLDEST_WIRE = 9
"""The wire version of MongoDB 4.4."""


class Database:
    """One app's collections, as this process uses them. Every method may be called from any thread, and in a forked child."""

    def __init__(self, app: StoreView, part: str) -> None:
        self._app = app
        self.app_id = app.app_id
        self.place = locate(app, part)
        self.settings = app.section(MongoSettings)
        self.clock = ServerClock(app.clock)
        self.hello: Document = {}
        """What the server said of itself when the connection was opened; empty while there is none."""
        self._warned = ""
        self._start_anew()
        _databases.add(self)

    def _start_anew(self) -> None:
        self._lock = threading.RLock()
        self._client: pymongo.MongoClient[Document] | None = None
        self._closes: finalize[..., Database] | None = None
        """Closes the connection of who is forgotten without `close`, or still there at the end: the driver would warn."""
        self.bell = Bell(self._app.clock, self.settings.longest_poll_sec)

    def forget(self) -> None:
        """Start anew in a forked child: the parent's sockets are left alone."""
        if self._closes is not None:
            self._closes.detach()
        _abandoned.append(self._client)
        self._start_anew()

    def now(self) -> float:
        """Return the store's clock; asks the server only on the first call."""
        if self.settings.server_time and not self.clock.known:
            self.open()
        return self.clock.now()

    def call(self, collection: str, verb: str, *arguments: Any, **named: Any) -> Any:
        """Make one call of the driver; what it finds comes back as a list.

        Raises DuplicateKeyError and BulkWriteError as the driver does, any other error as a BackendError.
        """
        return self._call(self.settings.reply_timeout_sec, collection, verb, *arguments, **named)

    def empty(self, collection: str) -> None:
        """Remove all there is; errors as in `call`."""
        self._call(_LONGEST, collection, "delete_many", {})

    def _call(self, most: float, collection: str, verb: str, *arguments: Any, **named: Any) -> Any:
        opened = self.open()[f"{self.place.prefix}_{collection}"]
        try:
            with pymongo.timeout(most):  # the driver would wait for ever on a connection that is half open
                found = getattr(opened, verb)(*arguments, **named)
                return list(found) if verb in {"find", "aggregate"} else found
        except (driver.DuplicateKeyError, driver.BulkWriteError) as error:
            if _only_duplicates(error):
                raise
            raise self.translated(error) from error
        except PyMongoError as error:
            if isinstance(error, driver.InvalidOperation) and opened.database.client is not self._client:
                return self._call(most, collection, verb, *arguments, **named)  # closed by another thread before anything was sent
            raise self.translated(error) from error

    def find(
        self,
        collection: str,
        wanted: Document,
        fields: Document | None = None,
        *,
        sort: Sequence[tuple[str, int]] | None = None,
        limit: int = 0,
    ) -> list[Document]:
        """Return the documents that fit, only some of their fields if those are given; errors as in `call`."""
        found: list[Document] = self.call(collection, "find", wanted, fields, sort=sort, limit=limit)
        return found

    def find_all(self, name: str, ids: Iterable[str], wanted: Document, fields: Document | None = None, by: str = "_id") -> list[Document]:
        """Return a collection's documents of these ids that fit, asked for in pages: a message has a limit; errors as in `call`."""
        asked = list(dict.fromkeys(ids))
        pages = [{by: {"$in": asked[start : start + PAGE]}, **wanted} for start in range(0, len(asked), PAGE)]
        return [document for page in pages for document in self.find(name, page, fields)]

    def open(self) -> DriverDatabase:
        """Return the database, connected and with its indexes; checks what is there on the first call."""
        with self._lock:
            if self._client is None:
                self._client = self._connect()
                self._closes = finalize(self, _close, self._client)
            return self._client[self.place.database]

    def close(self) -> None:
        """Close every connection; the next call connects anew."""
        with self._lock:
            client, self._client = self._client, None
            if self._closes is not None:
                self._closes.detach()
        self.bell.close()
        if client is not None:
            _close(client)

    def measure(self) -> None:
        """Compare clocks with the server again, if that was long ago."""
        if self.settings.server_time and self.clock.stale:
            try:
                with pymongo.timeout(self.settings.reply_timeout_sec):
                    self.clock.measure(lambda: self.open().client.admin.command("hello")["localTime"])
            except PyMongoError as error:
                raise self.translated(error) from error

    def _connect(self) -> pymongo.MongoClient[Document]:
        place, options = self.place, dict[str, Any]()
        if not place.write_concern:
            concern = self.settings.write_concern
            options["w"] = int(concern) if concern.isdigit() else concern
        seconds = {
            "serverSelectionTimeoutMS": self.settings.timeout_sec,
            "connectTimeoutMS": self.settings.timeout_sec * 0.8,  # so that it is known by then why nobody could be selected
        }
        options |= {name: int(most * 1000) for name, most in seconds.items() if name.lower() not in place.given}
        if "appname" not in place.given:
            options["appname"] = f"pynenc {self.app_id}"[:100]
        client: pymongo.MongoClient[Document] | None = None
        try:
            client = pymongo.MongoClient(place.url, tz_aware=True, **options)
            self._greet(client)
            self._prepare(client[place.database])
        except BaseException as error:
            if client is not None:
                client.close()
            if isinstance(error, Exception) and not isinstance(error, PynencError):
                raise self.translated(error) from error
            raise
        if self._warned != self.write_concern_risk:
            self._warned = self.write_concern_risk
            self._app.logger.warning("%s: %s", self.place.store, self._warned)
        if "setName" in self.hello or self.hello.get("msg") == "isdbgrid":
            self.bell.follow(client[place.database][f"{place.prefix}_{layout.INVOCATIONS}"])
        return client

    def _greet(self, client: pymongo.MongoClient[Document]) -> None:
        """Learn what the server says of itself. Raises BackendUnavailableError for one that is too old."""
        with pymongo.timeout(self.place.selection_sec or self.settings.timeout_sec):  # a limit of ours counts instead of the driver's
            self.hello = dict(client.admin.command("hello"))
            if self.hello.get("maxWireVersion", 0) < OLDEST_WIRE:
                raise troubles.too_old(self.place.store)
            if self.settings.server_time:
                self.clock.measure(lambda: client.admin.command("hello")["localTime"])

    def _prepare(self, database: DriverDatabase) -> None:
        """Check the store's format; make the indexes, unless that was done before."""
        prefix, meta = self.place.prefix, database[f"{self.place.prefix}_{layout.META}"]
        with pymongo.timeout(self.settings.reply_timeout_sec):
            found = meta.find_one({"_id": "store"})
        if found is not None and not isinstance(found.get("format"), int):
            raise StoreCorruptError(self.place.store, "its format number is missing")
        if found is not None and found["format"] != layout.STORE_FORMAT:
            raise StoreFormatError(self.place.store, found["format"], layout.STORE_FORMAT)
        if found is None or found.get("indexes", 0) < layout.INDEXES:
            for name, indexes in layout.OF.items():
                with pymongo.timeout(_LONGEST):
                    database[f"{prefix}_{name}"].create_indexes(indexes)
            described = {"format": layout.STORE_FORMAT, "indexes": layout.INDEXES, "app": self.app_id}
            meta.update_one({"_id": "store"}, {"$set": described}, upsert=True)

    @property
    def write_concern_risk(self) -> str:
        """What the write concern puts at risk, in one line; empty where nothing."""
        concern = self.place.write_concern or self.settings.write_concern
        if concern == "0":
            return "writes are not acknowledged (w=0): any of them may be lost, and two runners may run one invocation; use w=majority"
        if concern != "majority" and "setName" in self.hello:
            return f"a failover may take back acknowledged writes (w={concern}); use w=majority"
        return ""

    def version(self) -> str:
        """Ask the server for its version; "unknown" where it does not say. Raises BackendUnavailableError."""
        try:
            with pymongo.timeout(self.settings.reply_timeout_sec):
                return str(self.open().client.admin.command("buildInfo").get("version", "unknown"))
        except driver.OperationFailure:
            return "unknown"
        except PyMongoError as error:
            raise self.translated(error) from error

    def translated(self, error: Exception) -> BackendError:
        """Return our error for one of the driver's."""
        return troubles.translated(error, self.place.store)


def _close(client: pymongo.MongoClient[Document]) -> None:
    """Close a connection, also at the end of the process: the driver tells the server, which may be gone."""
    with pymongo.timeout(1.0):
        client.close()


def _only_duplicates(error: driver.OperationFailure) -> bool:
    if isinstance(error, driver.BulkWriteError):
        found = error.details or {}
        return not found.get("writeConcernErrors") and all(each.get("code") == DUPLICATE for each in found.get("writeErrors", ()))
    return True


DUPLICATE = 11000
_databases: WeakSet[Database] = WeakSet()
_abandoned: list[object] = []
"""Clients of a parent process: not to be closed here, not even by being forgotten."""


def open_databases() -> tuple[Database, ...]:
    """Return the databases that this process uses."""
    return tuple(_databases)


def _forget_all() -> None:
    for database in open_databases():
        database.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
