"""The keys of one app: all of them begin with one hash tag, so that a cluster keeps an app on one shard, and many apps on many.

Scripts build keys of these prefixes themselves: which queue a woken invocation is in cannot be known before.
"""

from __future__ import annotations

import re
from urllib.parse import quote

PREFIXES = {
    "INVOCATION": "i:",  # hash of an invocation's state and side values
    "BODY": "f:",  # string: what never changes, behind its labels
    "STATUS": "s:",  # ids by status, for those that nobody owns
    "OWNERS": "own",  # runner and id of those that are owned
    "LABELS": "lab",  # eight bytes of hash of what may be asked for, and id
    "OUTBOX": "out",  # ids with an outbox
    "HISTORY": "his",  # stream: the id of a message is the microsecond of its transition
    "ENDED": "end",  # ids of final ones, by when they are of no more use
    "QUEUE": "q:",  # ids by rank, due ones
    "DUE": "d:",  # ids by the instant they are due
    "AWAITED": "a:",  # ids by rank, due ones that somebody waits for
    "SLOTS": "l:",  # ids that hold a limit
    "BESIDE": "w:",  # ids by rank that wait for a limit
    "UNIQUE": "uni",  # hash of unique keys: the id that stands for each
    "ASKED": "ask",  # ids with a request
    "BATCH": "bat:",  # the answer to a batch that found something there; expires
    "BLOB": "b:",  # pieces of a blob
    "BLOB_EXPIRY": "bx",
    "VALUE": "v:",  # hash of the values of a kind
    "VALUE_KEYS": "vk:",
    "VALUE_EXPIRY": "vx",
    "BEATS": "bea",
    "LEASES": "lea",
    "IDLE": "idl:",  # ears that wait for work, by since when; expire
    "IDLE_AWAITED": "ida:",  # those that wait for awaited work only
    "EAR": "ear:",  # channel of a process
    "ENTRY": "ent",  # hash of the broker's entries: the queue of each
    "ENTRIES": "eq:",  # ids by rank, due ones
    "ENTRIES_DUE": "ed:",
    "ENTRIES_LATER": "er:",  # ids by rank, those not due
    "FORMAT": "format",
}
BROKER = ("ENTRY", "ENTRIES", "ENTRIES_DUE", "ENTRIES_LATER")
"""What belongs to a broker alone."""


def prefix_of(app_id: str) -> str:
    """Return what all keys of an app begin with; no two apps have prefixes that begin with each other."""
    return f"{{pynenc:{quote(app_id, safe=' /@+,=')}}}"


def pattern(prefix: str) -> str:
    """Return the pattern that SCAN takes for keys that begin so."""
    return re.sub(r"([\\*?\[\]])", r"\\\1", prefix) + "*"
