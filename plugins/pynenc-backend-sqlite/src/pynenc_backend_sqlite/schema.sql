-- The store's format 1. Every table begins with `app`, the number of the app in `app`, so that apps share a file and nothing else.
-- Tables are WITHOUT ROWID: each row stands in its key's order, and a write touches one page less.

CREATE TABLE app (
    app INTEGER PRIMARY KEY,
    app_id TEXT NOT NULL UNIQUE
);

-- What changes, in small rows, so that a busy worker's writes fall on few pages.
CREATE TABLE invocation (
    app INTEGER NOT NULL,
    id TEXT NOT NULL,
    status TEXT NOT NULL,
    runner TEXT,                -- the owner, in an owned status
    claim INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    since REAL NOT NULL,
    queue TEXT NOT NULL,
    root INTEGER NOT NULL,      -- 1 where its workflow is named by its own id, which then is no label
    rank REAL NOT NULL,
    boost REAL,
    place REAL,                 -- the rank that counts, while it may be claimed now
    due REAL,                   -- the instant from which it may be claimed, until that has been noticed
    beside TEXT,                -- the limit key that a CONCURRENCY_CONTROLLED one waits for
    ended REAL,                 -- since when it is final
    unique_key TEXT,            -- while it counts
    unique_until REAL,          -- until when it counts, where that is not its end
    outbox INTEGER,             -- 1 where its outbox is not empty
    asked INTEGER,              -- 1 where a request to its owner is among the side values
    limits BLOB,                -- its limits, where it has any
    outcome BLOB,
    extra BLOB,                 -- the whole state, where it holds more than the columns do
    side BLOB,
    steps BLOB NOT NULL,        -- time (float64) and number (uint32) of each history entry that is kept
    PRIMARY KEY (app, id)
) WITHOUT ROWID;

CREATE INDEX by_place ON invocation (app, queue, place) WHERE place IS NOT NULL;
CREATE INDEX by_boost ON invocation (app, queue, place) WHERE place IS NOT NULL AND boost IS NOT NULL;
CREATE INDEX by_due ON invocation (app, queue, due) WHERE due IS NOT NULL;
CREATE INDEX by_runner ON invocation (app, runner) WHERE runner IS NOT NULL;
CREATE INDEX by_request ON invocation (app, runner) WHERE asked IS NOT NULL AND runner IS NOT NULL;
CREATE INDEX by_status ON invocation (app, status);
CREATE INDEX by_beside ON invocation (app, beside, min(rank, ifnull(boost, rank))) WHERE beside IS NOT NULL;
CREATE INDEX by_ended ON invocation (app, ended) WHERE ended IS NOT NULL;
CREATE INDEX by_outbox ON invocation (app, id) WHERE outbox IS NOT NULL;
CREATE UNIQUE INDEX by_unique ON invocation (app, unique_key) WHERE unique_key IS NOT NULL;

-- What never changes: the invocation and its call, in one value.
CREATE TABLE fixed (
    app INTEGER NOT NULL,
    id TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (app, id)
) WITHOUT ROWID;

-- What never changes and may be asked for; `label` is a hash of a query's field and its value.
CREATE TABLE label (
    app INTEGER NOT NULL,
    label INTEGER NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (app, label, id)
) WITHOUT ROWID;

CREATE TABLE history (
    app INTEGER NOT NULL,
    at REAL NOT NULL,
    id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    status TEXT NOT NULL,
    runner TEXT NOT NULL,
    claim INTEGER NOT NULL,
    reason TEXT NOT NULL,
    context TEXT,               -- NULL: the same as `runner`
    registered_by TEXT NOT NULL,
    PRIMARY KEY (app, at, id, seq)
) WITHOUT ROWID;

-- Who holds which limit: the owned invocations.
CREATE TABLE slot (
    app INTEGER NOT NULL,
    key TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (app, key, id)
) WITHOUT ROWID;

CREATE TABLE blob (
    app INTEGER NOT NULL,
    key TEXT NOT NULL,
    expires REAL NOT NULL,
    PRIMARY KEY (app, key)
) WITHOUT ROWID;
CREATE INDEX blob_by_expiry ON blob (app, expires);

CREATE TABLE chunk (
    app INTEGER NOT NULL,
    key TEXT NOT NULL,
    number INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (app, key, number)
);

CREATE TABLE value (
    app INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    expires REAL,
    PRIMARY KEY (app, kind, key)
) WITHOUT ROWID;
CREATE INDEX value_by_expiry ON value (app, expires) WHERE expires IS NOT NULL;

CREATE TABLE beat (
    app INTEGER NOT NULL,
    runner TEXT NOT NULL,
    first_at REAL NOT NULL,
    last_at REAL NOT NULL,
    alive_until REAL NOT NULL,
    may_serve INTEGER NOT NULL,
    PRIMARY KEY (app, runner)
) WITHOUT ROWID;

CREATE TABLE lease (
    app INTEGER NOT NULL,
    name TEXT NOT NULL,
    holder TEXT NOT NULL,
    fence INTEGER NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (app, name)
) WITHOUT ROWID;

-- The broker's queue, for who keeps the records elsewhere.
CREATE TABLE entry (
    app INTEGER NOT NULL,
    id TEXT NOT NULL,
    queue TEXT NOT NULL,
    rank REAL NOT NULL,
    due REAL,
    PRIMARY KEY (app, id)
) WITHOUT ROWID;
CREATE INDEX entry_ready ON entry (app, queue, rank) WHERE due IS NULL;
CREATE INDEX entry_by_due ON entry (app, queue, due) WHERE due IS NOT NULL;
CREATE INDEX entry_by_queue ON entry (app, queue, rank);

-- Addresses of processes to wake: what a queue receives (the broker's queues with a leading "broker:"), or an invocation's end.
CREATE TABLE idle (
    app INTEGER NOT NULL,
    queue TEXT NOT NULL,
    address TEXT NOT NULL,
    PRIMARY KEY (app, queue, address)
) WITHOUT ROWID;

CREATE TABLE watcher (
    app INTEGER NOT NULL,
    id TEXT NOT NULL,
    address TEXT NOT NULL,
    PRIMARY KEY (app, id, address)
) WITHOUT ROWID;
CREATE INDEX watcher_by_address ON watcher (app, address);
