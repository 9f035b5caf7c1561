"""What the tests of this backend share: the server, and stores on databases of their own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pymongo
import pytest

from pynenc_backend_mongo.settings import MongoSettings
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.servers.mongo import mongo_server
from pynenc_testkit.servers.urls import extended
from pynenc_testkit.stores import KitApp, Store, open_installed


@pytest.fixture
def url() -> str:
    """The URL of a new database."""
    return extended(mongo_server(), f"/t{uuid4().hex}")


@pytest.fixture
def collection(url: str) -> Iterator[Callable[[str], Any]]:
    """A function that returns the app's collection of this name, past the backend."""
    with pymongo.MongoClient[dict[str, Any]](url) as client:
        database = client.get_default_database()

        @functools.cache
        def named(name: str) -> Any:
            (full,) = [each for each in database.list_collection_names() if each.endswith(f"_{name}")]
            return database[full]

        yield named


@pytest.fixture
def opened(url: str) -> Iterator[Callable[..., Store]]:
    """A function that opens the database once more, as a further process would; times are by a clock that tests move."""
    stores: list[Store] = []
    clock = ManualClock(ticking=True)

    def open_one(options: str = "", app_id: str = "kit") -> Store:
        settings: dict[type, object] = {MongoSettings: MongoSettings(server_time=False, reply_timeout_sec=60.0)}
        stores.append(open_installed(KitApp(app_id, extended(url, options), clock, settings)))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()
