"""The MongoDB backend under the kit's contracts, over whatever server the kit finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import attrs
import pymongo
import pytest

from pynenc_backend_mongo.settings import MongoSettings
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
from pynenc_testkit.stores import KitApp, Raw, Store, open_installed

CHOKES = ("pynenc_backend_mongo.database:Database.call",)


class MongoRaw:
    """Looks into the database with a client of its own."""

    def __init__(self, client: pymongo.MongoClient[dict[str, Any]]) -> None:
        self._database = client.get_default_database()

    def dump(self) -> object:
        """Return every document of every collection."""
        found = {name: list(self._database[name].find()) for name in self._database.list_collection_names()}
        return {name: sorted(documents, key=lambda each: str(each["_id"])) for name, documents in found.items()}

    def set_format(self, number: int) -> None:
        """Write another format number."""
        for name in self._database.list_collection_names():
            if name.endswith("_meta"):
                self._database[name].update_one({"_id": "store"}, {"$set": {"format": number}})


class Mongo:
    """What all contracts over storage are given."""

    url: ClassVar[str] = "{mongo}/{name}"
    chokes: ClassVar[tuple[str, ...]] = CHOKES
    schedules: ClassVar[int] = 20
    silence: ClassVar[float] = 0.15  # a call of a loaded server may take some time
    one_step: ClassVar[bool] = False

    def open_store(self, app: KitApp) -> Store:
        """Open it by the app's clock, which tests can advance, instead of the server's."""
        return open_installed(attrs.evolve(app, settings={MongoSettings: MongoSettings(server_time=False, reply_timeout_sec=60.0)}))

    @pytest.fixture
    def raw(self, place: str) -> Iterator[Raw]:
        with pymongo.MongoClient[dict[str, Any]](place) as client:
            yield MongoRaw(client)


class TestState(Mongo, StateContract):
    pass


class TestDispatcher(Mongo, DispatcherContract):
    pass


class TestSplit(Mongo, SplitContract):
    """Broker and records as if they were in different places."""

    schedules: ClassVar[int] = 5

    def open_store(self, app: KitApp) -> Store:
        return apart(super().open_store(app))


class TestStateMachine(Mongo, StateMachineContract):
    pass


class TestBroker(Mongo, SharedBrokerContract):
    pass


class TestDurability(Mongo, DurableContract):
    pass


class TestPlugin(PluginContract):
    plugin: ClassVar[str] = "backend-mongo"


class TestPublicRecords(Mongo, PublicRecordsContract):
    pass


class TestRemote(Mongo, RemoteContract):
    def open_store(self, app: KitApp) -> Store:
        """Open it so that a test need not wait long; the driver looks twice a second for a server that it has lost."""
        quick = MongoSettings(server_time=False, timeout_sec=0.5, reply_timeout_sec=2.0)
        return open_installed(attrs.evolve(app, settings={MongoSettings: quick}))
