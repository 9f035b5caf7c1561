"""The state backend: all verbs over one database."""

from __future__ import annotations

from typing import ClassVar

from pynenc_backend_mongo.batches import Batches
from pynenc_backend_mongo.coordination import MongoCoordination
from pynenc_backend_mongo.database import Database
from pynenc_backend_mongo.records import MongoRecords
from pynenc_backend_mongo.transitions import Transitions
from pynenc_core.ports.runtime import StoreView
from pynenc_core.ports.state_backend import BaseStateBackend


class MongoStateBackend(MongoRecords, MongoCoordination, BaseStateBackend):
    """Keeps an app's records in a database, which any number of processes and of apps may share."""

    name: ClassVar[str] = "mongo"

    def __init__(self, app: StoreView) -> None:
        super().__init__(app)
        self.database = Database(app, "state_backend")
        self.batches = Batches(self.database)
        self.transitions = Transitions(self.database)
        self._fences = {}
