"""Large values: a small one in one document, a larger one in pieces beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import uuid4

from bson import Binary
from pymongo.errors import DuplicateKeyError

from pynenc_backend_mongo import layout
from pynenc_backend_mongo.database import Database, Document
from pynenc_core.model import Blob

_ORPHANED_AFTER = 3600.0  # seconds after which pieces that no blob refers to were left by somebody who died


def put(database: Database, blobs: Iterable[Blob]) -> None:
    """Store blobs; of one that exists, only move the expiry forward."""
    for blob in blobs:
        until = database.now() + blob.ttl
        if not database.call(layout.BLOBS, "update_one", {"_id": blob.key}, {"$max": {"until": until}}).matched_count:
            _add(database, blob, until)


def _add(database: Database, blob: Blob, until: float) -> None:
    """Store a new one: its pieces first, under a name of this attempt, then the document that refers to them."""
    made: Document = {"_id": blob.key, "until": until}
    if len(blob.chunks) == 1:
        made["data"] = Binary(blob.chunks[0])
    else:
        made["pieces"] = name = uuid4().hex
        orphaned = database.now() + _ORPHANED_AFTER
        for number, chunk in enumerate(blob.chunks):  # one by one: together they may be larger than a message may be
            piece = {"_id": f"{number}:{name}", "blob": name, "number": number, "data": Binary(chunk), "until": orphaned, "key": blob.key}
            database.call(layout.CHUNKS, "insert_one", piece)
    try:
        database.call(layout.BLOBS, "insert_one", made)
    except DuplicateKeyError:  # somebody else has just stored it
        database.call(layout.BLOBS, "update_one", {"_id": blob.key}, {"$max": {"until": until}})
        if "pieces" in made:
            database.call(layout.CHUNKS, "delete_many", {"blob": made["pieces"]})
        return
    if "pieces" in made:
        database.call(layout.CHUNKS, "update_many", {"blob": made["pieces"]}, {"$unset": {"until": ""}})


def get(database: Database, keys: Collection[str]) -> dict[str, bytes]:
    """Return the contents that exist, whole, by key."""
    found: dict[str, bytes] = {}
    for blob in database.find(layout.BLOBS, {"_id": {"$in": list(keys)}}) if keys else ():
        if "data" in blob:
            found[blob["_id"]] = bytes(blob["data"])
        else:
            pieces = database.find(layout.CHUNKS, {"blob": blob["pieces"]}, sort=[("number", 1)])
            found[blob["_id"]] = b"".join(bytes(piece["data"]) for piece in pieces)
    return found


def sweep(database: Database) -> int:
    """Remove what has expired, and pieces that nobody refers to; return how many blobs went."""
    now, gone = database.now(), 0
    for blob in database.find(layout.BLOBS, {"until": {"$lte": now}}, {"data": 0}):
        # A reference that comes meanwhile has moved the expiry, and then this removes nothing.
        if database.call(layout.BLOBS, "delete_one", {"_id": blob["_id"], "until": {"$lte": now}}).deleted_count:
            gone += 1
            if "pieces" in blob:
                database.call(layout.CHUNKS, "delete_many", {"blob": blob["pieces"]})
    for piece in database.find(layout.CHUNKS, {"until": {"$lte": now}}, {"blob": 1, "key": 1}):
        used = database.call(layout.BLOBS, "find_one", {"_id": piece["key"], "pieces": piece["blob"]}, {"_id": 1})
        if used is None:
            database.call(layout.CHUNKS, "delete_one", {"_id": piece["_id"]})
        else:
            database.call(layout.CHUNKS, "update_one", {"_id": piece["_id"]}, {"$unset": {"until": ""}})
    return gone
