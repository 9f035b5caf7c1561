"""What `pynenc doctor` says of the file."""

from __future__ import annotations

import shutil

from pynenc_backend_sqlite.database import Database, open_databases

LITTLE_SPACE = 256 << 20
"""Bytes of free disk space below which it is worth a note."""
_DURABILITY = {
    "normal": (None, "every commit survives the kill of any process; a power cut may take the last ones, unless `synchronous` is `full`"),
    "full": (True, "every commit survives a power cut too"),
}


def report(app_id: str) -> list[dict[str, object]]:
    """Return a line on durability and one on space for each file that this process has open for an app."""
    files = {database.path: database for database in open_databases() if database.app_id == app_id and database.number}
    return [line for database in files.values() for line in _lines(database)]


def _lines(database: Database) -> list[dict[str, object]]:
    name = f"SQLite file {database.path}"
    ok, durability = _DURABILITY[database.synchronous]
    free = shutil.disk_usage(database.path.parent).free
    return [
        {"name": name, "ok": ok, "detail": durability},
        {"name": name, "ok": None if free < LITTLE_SPACE else True, "detail": f"{free >> 20} MiB are free on its disk"},
    ]
