"""The state backend: all verbs over one file."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import ClassVar

import msgspec

from pynenc_backend_sqlite import statements as sql
from pynenc_backend_sqlite.coordination import SQLiteCoordination
from pynenc_backend_sqlite.database import Database
from pynenc_backend_sqlite.doorbell import Doorbell
from pynenc_backend_sqlite.records import SQLiteRecords
from pynenc_core.ports.app_records import APP_INFO, AppInfo
from pynenc_core.ports.runtime import StoreView
from pynenc_core.ports.state_backend import BaseStateBackend


class SQLiteStateBackend(SQLiteRecords, SQLiteCoordination, BaseStateBackend):
    """Keeps an app's records in one file, which any number of processes of one host, and of apps, may share."""

    name: ClassVar[str] = "sqlite"

    def __init__(self, app: StoreView) -> None:
        super().__init__(app)
        self.database = Database(app, "state_backend")
        self.bell = Doorbell(self.database)

    @staticmethod
    def discover_app_infos() -> dict[str, AppInfo]:
        """Return the apps in the files `.pynenc/*.db` of the current directory, by id; what cannot be read is passed over."""
        found: dict[str, AppInfo] = {}
        for path in sorted(Path.cwd().glob(".pynenc/*.db")):
            with (
                contextlib.suppress(sqlite3.Error, msgspec.MsgspecError),
                contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as file,
            ):
                infos = [AppInfo.from_json(value) for (value,) in file.execute(sql.APP_INFOS, (APP_INFO,))]
                found.update({info.app_id: info for info in infos})
        return found
