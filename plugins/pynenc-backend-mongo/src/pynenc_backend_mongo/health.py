"""What `pynenc doctor` says of the server."""

from __future__ import annotations

from pynenc_backend_mongo.database import Database, open_databases
from pynenc_core.errors.backends import BackendError


def report(app_id: str) -> list[dict[str, object]]:
    """Return a line on what may be lost, and one on how waiting works, for each database that this process uses for an app."""
    used = {database.place: database for database in open_databases() if database.app_id == app_id and database.hello}
    return [line for database in used.values() for line in _lines(database)]


def _lines(database: Database) -> list[dict[str, object]]:
    name, risk = database.place.store, database.write_concern_risk
    try:
        version = f"version {database.version()}"
    except BackendError as error:
        return [{"name": name, "ok": False, "detail": str(error)}]
    if "setName" in database.hello or database.hello.get("msg") == "isdbgrid":
        safety = "an acknowledged write survives a failover"
        waiting = "whoever waits is told by a change stream"
    else:
        safety = "one server without a replica set: what it has not flushed is lost with it (up to 100 ms by its journal)"
        waiting = (
            f"no change streams without a replica set: whoever waits looks again every 5 ms to {database.settings.longest_poll_sec:g} s"
        )
    return [
        {"name": name, "ok": False if risk else None if "one server" in safety else True, "detail": f"{version}: {risk or safety}"},
        {"name": name, "ok": True, "detail": waiting},
    ]
