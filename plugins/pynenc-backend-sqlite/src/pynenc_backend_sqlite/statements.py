"""Every statement that is sent to the file; the first parameter of each is the app's number."""

# ruff: noqa: S608 - all text here is constant; values are bound

from __future__ import annotations

from collections.abc import Iterable

import msgspec


def as_json(values: Iterable[object]) -> str:
    """Return values as the array that `json_each` takes: one statement for any number of them."""
    return msgspec.json.encode(list(values)).decode()


# --- invocations ------------------------------------------------------------------------------------------------------

STATE = "i.id, i.status, i.runner, i.claim, i.seq, i.since, i.outcome, i.extra, i.boost, i.side, i.rank, i.queue, i.limits, i.steps"
"""What `transitions.Held` is made of."""
_WHOLE = f"SELECT {STATE}, f.body FROM"
_FIXED = "CROSS JOIN fixed AS f ON f.app = i.app AND f.id = i.id"
_AMONG = "json_each(?2) AS j CROSS JOIN invocation AS i ON i.app = ?1 AND i.id = j.value"

ADD = """
INSERT INTO invocation (app, id, status, claim, seq, since, root, queue, rank, place, due, unique_key, unique_until, limits, extra, steps)
VALUES (?1, ?2, ?3, 0, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
"""
ADD_FIXED = "INSERT INTO fixed (app, id, body) VALUES (?1, ?2, ?3)"
ADD_LABEL = "INSERT INTO label (app, label, id) VALUES (?1, ?2, ?3)"
KNOWN = f"SELECT i.id FROM {_AMONG}"
NOT_FINAL = f"SELECT i.id FROM {_AMONG} WHERE i.ended IS NULL"
UNIQUE_HOLDER = "SELECT id, unique_until FROM invocation WHERE app = ?1 AND unique_key = ?2"

GET = f"{_WHOLE} {_AMONG} {_FIXED}"
BODY = "SELECT body FROM fixed WHERE app = ?1 AND id = ?2"
HELD = f"SELECT {STATE} FROM invocation AS i WHERE i.app = ?1 AND i.id = ?2"
MOVE = """
UPDATE invocation SET status = ?3, runner = ?4, claim = ?5, seq = ?6, since = ?7, place = ?8, due = ?9, beside = ?10,
ended = max(?11, ifnull(unique_until, ?11)), outcome = ?12, extra = ?13, outbox = ?14, steps = ?15 WHERE app = ?1 AND id = ?2
"""
FREE_KEY = "UPDATE invocation SET unique_key = NULL WHERE app = ?1 AND unique_key = ?2"
END_KEY = "UPDATE invocation SET unique_key = NULL WHERE app = ?1 AND id = ?2 AND unique_key IS NOT NULL AND unique_until IS NULL"
SET_OUTBOX = "UPDATE invocation SET extra = ?3, outbox = ?4 WHERE app = ?1 AND id = ?2"
SET_SIDE = """
UPDATE invocation SET boost = ?3, place = iif(place IS NULL, NULL, min(rank, ifnull(?3, rank))), asked = ?4, side = ?5
WHERE app = ?1 AND id = ?2
"""

# --- claiming ---------------------------------------------------------------------------------------------------------

NEXT_DUE = "SELECT min(due) FROM invocation WHERE app = ?1 AND queue = ?2 AND due IS NOT NULL"
NOW_DUE = """
UPDATE invocation SET place = min(rank, ifnull(boost, rank)), due = NULL
WHERE app = ?1 AND queue = ?2 AND due IS NOT NULL AND due <= ?3
"""
FIRST = f"""
{_WHOLE} invocation AS i INDEXED BY by_place {_FIXED}
WHERE i.app = ?1 AND i.queue = ?2 AND i.place IS NOT NULL ORDER BY i.place, i.id LIMIT ?3
"""
FIRST_AWAITED = f"""
{_WHOLE} invocation AS i INDEXED BY by_boost {_FIXED}
WHERE i.app = ?1 AND i.queue = ?2 AND i.place IS NOT NULL AND i.boost IS NOT NULL ORDER BY i.place, i.id LIMIT ?3
"""
REQUESTS = """
SELECT side, status, claim FROM invocation INDEXED BY by_request WHERE app = ?1 AND runner = ?2 AND asked IS NOT NULL ORDER BY id
"""
DEPTH = """
SELECT (SELECT count(*) FROM invocation WHERE app = ?1 AND queue = ?2 AND place IS NOT NULL)
     + (SELECT count(*) FROM invocation WHERE app = ?1 AND queue = ?2 AND due IS NOT NULL)
"""

# --- limits -----------------------------------------------------------------------------------------------------------

HOLDERS = "SELECT count(*) FROM slot WHERE app = ?1 AND key = ?2"
TAKE_SLOT = "INSERT OR IGNORE INTO slot (app, key, id) VALUES (?1, ?2, ?3)"
FREE_SLOT = "DELETE FROM slot WHERE app = ?1 AND key = ?2 AND id = ?3"
FIRST_BESIDE = f"""
SELECT {STATE} FROM invocation AS i INDEXED BY by_beside
WHERE i.app = ?1 AND i.beside = ?2 ORDER BY min(i.rank, ifnull(i.boost, i.rank)), i.id LIMIT 1
"""
WAIT_BESIDE = "UPDATE invocation SET beside = ?3 WHERE app = ?1 AND id = ?2"

# --- listings ---------------------------------------------------------------------------------------------------------

WHOLE_OF = f"{_WHOLE} {{source}} {_FIXED} WHERE {{conditions}} ORDER BY {{key}} {{order}} LIMIT {{limit}}"
COUNT_OF = "SELECT i.status, count(*) FROM {source} WHERE {conditions} GROUP BY i.status"
BY_LABEL = "label AS l CROSS JOIN invocation AS i ON i.app = l.app AND i.id = l.id"
BY_STATUS = "invocation AS i INDEXED BY by_status"
BY_OUTBOX = "invocation AS i INDEXED BY by_outbox"
BY_RUNNER = "invocation AS i INDEXED BY by_runner"
ALL = "invocation AS i"
HAS_LABEL = "EXISTS (SELECT 1 FROM label AS x WHERE x.app = ?1 AND x.label = ? AND x.id = i.id)"
IN_WORKFLOW = f"({HAS_LABEL} OR (i.root AND i.id = ?))"

# --- history ----------------------------------------------------------------------------------------------------------

_ENTRY = "h.id, h.seq, h.at, h.status, h.runner, h.claim, h.reason, h.context, h.registered_by"
ADD_HISTORY = """
INSERT INTO history (app, at, id, seq, status, runner, claim, reason, context, registered_by)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
"""
STEPS = f"SELECT i.id, i.steps FROM {_AMONG}"
HISTORY = f"SELECT {_ENTRY} FROM history AS h WHERE h.app = ?1 AND h.at = ?2 AND h.id = ?3 AND h.seq = ?4"
HISTORY_BETWEEN = f"""
SELECT {_ENTRY} FROM history AS h WHERE h.app = ?1 AND h.at >= ?2 AND h.at < ?3 AND (h.at, h.id, h.seq) > (?4, ?5, ?6)
ORDER BY h.at, h.id, h.seq LIMIT ?7
"""
DROP_HISTORY = "DELETE FROM history WHERE app = ?1 AND at = ?2 AND id = ?3 AND seq = ?4"

# --- payloads and upkeep ----------------------------------------------------------------------------------------------

KEEP_BLOB = "UPDATE blob SET expires = max(expires, ?3) WHERE app = ?1 AND key = ?2"
ADD_BLOB = "INSERT INTO blob (app, key, expires) VALUES (?1, ?2, ?3)"
ADD_CHUNK = "INSERT INTO chunk (app, key, number, data) VALUES (?1, ?2, ?3, ?4)"
GET_BLOBS = """
SELECT c.key, c.data FROM json_each(?2) AS j CROSS JOIN chunk AS c ON c.app = ?1 AND c.key = j.value ORDER BY c.key, c.number
"""
EXPIRED_BLOBS = "SELECT key FROM blob WHERE app = ?1 AND expires <= ?2"
DROP_BLOB = ("DELETE FROM blob WHERE app = ?1 AND key = ?2", "DELETE FROM chunk WHERE app = ?1 AND key = ?2")
DROP_EXPIRED_VALUES = "DELETE FROM value WHERE app = ?1 AND expires IS NOT NULL AND expires <= ?2"
ENDED_BEFORE = f"""
SELECT i.id, i.steps, f.body FROM invocation AS i INDEXED BY by_ended {_FIXED}
WHERE i.app = ?1 AND i.ended IS NOT NULL AND i.ended < ?2 ORDER BY i.ended LIMIT ?3
"""
DROP = ("DELETE FROM invocation WHERE app = ?1 AND id = ?2", "DELETE FROM fixed WHERE app = ?1 AND id = ?2")
DROP_LABEL = "DELETE FROM label WHERE app = ?1 AND label = ?2 AND id = ?3"
PURGED = ("invocation", "fixed", "label", "history", "slot", "blob", "chunk", "value", "beat", "lease")
PURGE = "DELETE FROM {table} WHERE app = ?1"

# --- who waits --------------------------------------------------------------------------------------------------------

WAIT = "INSERT OR IGNORE INTO idle (app, queue, address) VALUES (?1, ?2, ?3)"
WAITING = "SELECT address FROM idle WHERE app = ?1 AND queue = ?2"
DROP_WAITING = "DELETE FROM idle WHERE app = ?1 AND queue = ?2"
MY_WAITS = "SELECT queue FROM idle WHERE app = ?1 AND address = ?2"
WATCH = "INSERT OR IGNORE INTO watcher (app, id, address) VALUES (?1, ?2, ?3)"
WATCHERS = "SELECT address FROM watcher WHERE app = ?1 AND id = ?2"
DROP_WATCHERS = "DELETE FROM watcher WHERE app = ?1 AND id = ?2"
MY_WATCHES = "SELECT id FROM watcher WHERE app = ?1 AND address = ?2"
ALL_WATCHERS = "SELECT id FROM watcher WHERE app = ?1"

# --- values, heartbeats and roles -------------------------------------------------------------------------------------

PUT_VALUE = "INSERT OR REPLACE INTO value (app, kind, key, value, expires) VALUES (?1, ?2, ?3, ?4, ?5)"
GET_VALUES = """
SELECT v.key, v.value FROM json_each(?3) AS j CROSS JOIN value AS v ON v.app = ?1 AND v.kind = ?2 AND v.key = j.value
WHERE ifnull(v.expires > ?4, 1)
"""
LIST_VALUES = """
SELECT key, value FROM value WHERE app = ?1 AND kind = ?2 AND key > ?3 AND key >= ?4 AND substr(key, 1, length(?4)) = ?4
AND ifnull(expires > ?5, 1) ORDER BY key LIMIT ?6
"""
DROP_VALUE = "DELETE FROM value WHERE app = ?1 AND kind = ?2 AND key = ?3 AND ifnull(expires > ?4, 1)"

APP_INFOS = "SELECT value FROM value WHERE kind = ?"
"""Of all apps of a file: the one statement that is not given an app's number."""

BEAT = """
INSERT INTO beat (app, runner, first_at, last_at, alive_until, may_serve) VALUES (?1, ?2, ?3, ?3, ?4, ?5)
ON CONFLICT (app, runner) DO UPDATE SET last_at = excluded.last_at, alive_until = excluded.alive_until, may_serve = excluded.may_serve
"""
BEATS = "SELECT runner, first_at, last_at, alive_until, may_serve FROM beat WHERE app = ?1 ORDER BY runner"
FORGET_RUNNER = "DELETE FROM beat WHERE app = ?1 AND runner = ?2"

LEASE = "SELECT holder, fence, until FROM lease WHERE app = ?1 AND name = ?2"
SET_LEASE = "INSERT OR REPLACE INTO lease (app, name, holder, fence, until) VALUES (?1, ?2, ?3, ?4, ?5)"
DROP_LEASE = "UPDATE lease SET holder = '', until = 0.0 WHERE app = ?1 AND name = ?2 AND holder = ?3"

# --- the broker's queue -----------------------------------------------------------------------------------------------

PUBLISH = "INSERT OR REPLACE INTO entry (app, id, queue, rank, due) VALUES (?1, ?2, ?3, ?4, ?5)"
ENTRIES_DUE = "UPDATE entry SET due = NULL WHERE app = ?1 AND queue = ?2 AND due IS NOT NULL AND due <= ?3"
FIRST_ENTRIES = "SELECT id FROM entry INDEXED BY entry_ready WHERE app = ?1 AND queue = ?2 AND due IS NULL ORDER BY rank, id LIMIT ?3"
TAKE_ENTRY = "DELETE FROM entry WHERE app = ?1 AND id = ?2"
OLDEST_ENTRY = "SELECT id, rank, due FROM entry INDEXED BY entry_by_queue WHERE app = ?1 AND queue = ?2 ORDER BY rank, id LIMIT 1"
SIZE = "SELECT count(*) FROM entry INDEXED BY entry_by_queue WHERE app = ?1 AND queue = ?2"
NEXT_ENTRY_DUE = "SELECT min(due) FROM entry WHERE app = ?1 AND queue = ?2 AND due IS NOT NULL"
PURGE_ENTRIES = "DELETE FROM entry WHERE app = ?1"
