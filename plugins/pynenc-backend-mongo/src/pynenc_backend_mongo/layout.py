"""The collections of one app, their indexes, and the versions of both."""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel

STORE_FORMAT = 1
INDEXES = 1
"""Raised when an index is added or changed: the first process of that version to come makes what is missing."""

META = "meta"
INVOCATIONS = "invocations"
DECISIONS = "decisions"
"""What became of batches: each attempt to store one is committed or given up by who writes its document first."""
HISTORY = "history"
SLOTS = "slots"
BLOBS = "blobs"
CHUNKS = "chunks"
VALUES = "values"
BEATS = "beats"
LEASES = "leases"
ENTRIES = "entries"
"""The broker's queues, where the records are kept elsewhere."""

PURGED = (INVOCATIONS, DECISIONS, HISTORY, SLOTS, BLOBS, CHUNKS, VALUES, BEATS, LEASES)
"""What the state backend removes; the records first, so that nothing refers to what is gone."""


def _index(name: str, *fields: str, unique: bool = False, where: dict[str, object] | None = None) -> IndexModel:
    """Return an index; `where` says which documents are in it."""
    options: dict[str, object] = {"unique": True} if unique else {}
    if where:
        options["partialFilterExpression"] = where
    return IndexModel([(field, ASCENDING) for field in fields], name=name, **options)


OF = {
    # The id stands in a field of its own besides `_id`, since some servers cannot have `_id` in a compound index.
    INVOCATIONS: [
        _index("by_place", "queue", "phase", "place", where={"phase": "ready"}),
        _index("by_due", "queue", "due", where={"phase": "later"}),
        _index("by_label", "labels", "id"),
        _index("by_status", "status", "id"),
        _index("by_runner", "runner", "id", where={"runner": {"$exists": True}}),
        _index("by_beside", "beside", "place", where={"beside": {"$exists": True}}),
        _index("by_unique_key", "unique_key", unique=True, where={"unique_key": {"$exists": True}}),
        _index("by_end", "ended", where={"ended": {"$exists": True}}),
        _index("by_batch", "batch", where={"batch": {"$exists": True}}),
        _index("by_outbox", "outbox", "id", where={"outbox": {"$exists": True}}),
        _index("by_begin", "began", "id"),
        _index("by_last", "last", "began"),
    ],
    DECISIONS: [_index("by_time", "at")],
    HISTORY: [_index("by_invocation", "invocation", "seq"), _index("by_time", "at", "invocation", "seq")],
    SLOTS: [_index("by_key", "key"), _index("by_holder", "holder")],
    BLOBS: [_index("by_end", "until")],
    CHUNKS: [_index("by_blob", "blob", "number"), _index("by_end", "until", where={"until": {"$exists": True}})],
    VALUES: [_index("by_kind", "kind", "key"), _index("by_end", "until")],
    ENTRIES: [_index("by_place", "queue", "rank")],
}
