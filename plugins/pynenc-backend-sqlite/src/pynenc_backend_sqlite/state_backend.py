"""The state backend: all verbs over one file."""

from __future__ import annotations

from typing import ClassVar

from pynenc_backend_sqlite.coordination import SQLiteCoordination
from pynenc_backend_sqlite.database import Database
from pynenc_backend_sqlite.doorbell import Doorbell
from pynenc_backend_sqlite.records import SQLiteRecords
from pynenc_core.ports.runtime import StoreView
from pynenc_core.ports.state_backend import BaseStateBackend


class SQLiteStateBackend(SQLiteRecords, SQLiteCoordination, BaseStateBackend):
    """Keeps an app's records in one file, which any number of processes of one host, and of apps, may share."""

    name: ClassVar[str] = "sqlite"

    def __init__(self, app: StoreView) -> None:
        super().__init__(app)
        self.database = Database(app, "state_backend")
        self.bell = Doorbell(self.database)
