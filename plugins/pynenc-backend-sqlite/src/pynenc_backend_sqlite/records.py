"""The verbs for invocations: their records, history and payloads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from heapq import merge
from itertools import islice

from pynenc_backend_sqlite import statements as sql
from pynenc_backend_sqlite import transitions
from pynenc_backend_sqlite.database import Database, Row
from pynenc_backend_sqlite.doorbell import Doorbell
from pynenc_backend_sqlite.step import Step
from pynenc_backend_sqlite.transitions import RecordStep
from pynenc_core.model import (
    Ask,
    Batch,
    Blob,
    Change,
    ClaimReply,
    InvocationHistory,
    InvocationRecord,
    Mark,
    Query,
    StatusRecord,
    Submitted,
    Swapped,
    Swept,
)
from pynenc_core.ports import atomic
from pynenc_core.ports.storage import RecordStorage
from pynenc_core.status import FINAL, Status

_SWEPT_AT_ONCE = 100  # invocations in one transaction, which takes some 5 ms
_SELECTIVE = ("unique_key", "call_id", "parent_id", "workflow_id")
_LABELS = (*_SELECTIVE, "limit_key", "task_id", "workflow_type")
"""A query's fields that are labels, the most selective first."""


class SQLiteWatch:
    """A wait for invocations to become final, woken by the doorbell."""

    def __init__(self, records: SQLiteRecords, invocation_ids: Collection[str]) -> None:
        self._bell = bell = records.bell
        self._closed = False
        wanted, ids = set(invocation_ids), sql.as_json(invocation_ids)
        self._open = {each for (each,) in records.database.rows(sql.NOT_FINAL, ids)}
        self._ended = wanted - self._open
        if not self._open:
            return
        with bell.changed:  # before the store knows it, so that nothing that is told is missed
            for invocation_id in self._open:
                bell.listeners[invocation_id].add(self)
        with records.step() as step:
            going_on = {each for (each,) in step.execute(sql.NOT_FINAL, ids)}
            step.connection.executemany(sql.WATCH, [(step.app, each, bell.address) for each in going_on])
        with bell.changed:
            for invocation_id in self._open - going_on:
                bell.tell(invocation_id)

    def tell(self, invocation_id: str) -> None:
        """Learn that an invocation ended."""
        if invocation_id in self._open:
            self._open.discard(invocation_id)
            self._ended.add(invocation_id)

    def wait(self, timeout: float | None) -> frozenset[str]:
        """Return what ended since the last call; block up to `timeout` seconds while that is nothing."""
        if not self._ended and not self._closed and timeout != 0:
            with self._bell.listening():
                self._bell.changed.wait_for(lambda: self._ended or self._closed, timeout)
        with self._bell.changed:
            ended, self._ended = frozenset(self._ended), set[str]()
        return ended

    def close(self) -> None:
        """Stop listening; the store forgets it when the invocation ends."""
        with self._bell.changed:
            self._closed = True
            for invocation_id in self._open & self._bell.listeners.keys():
                self._bell.listeners[invocation_id].discard(self)
                if not self._bell.listeners[invocation_id]:
                    del self._bell.listeners[invocation_id]
            self._bell.changed.notify_all()


class SQLiteRecords(RecordStorage):
    """Invocations in a file."""

    database: Database
    bell: Doorbell

    def step(self) -> RecordStep:
        """Return a context that is one atomic step."""
        return RecordStep(self.database, self.bell)

    def add_batch(self, batch: Batch) -> Submitted:
        """Store a batch."""
        with self.step() as step:
            return atomic.submit(step, batch)

    def get(self, invocation_ids: Collection[str]) -> dict[str, InvocationRecord]:
        """Return the records that exist, by id."""
        rows = self.database.rows(sql.GET, sql.as_json(invocation_ids))
        return {row[0]: _record(row) for row in rows}

    def swap(self, changes: Sequence[Change]) -> Swapped:
        """Write or refuse each change."""
        with self.step() as step:
            return atomic.swap(step, changes)

    def acquire(self, invocation_ids: Sequence[str], ask: Ask) -> ClaimReply:
        """Claim what is claimable of these."""
        with self.step() as step:
            return atomic.acquire(step, invocation_ids, ask)

    def mark(self, marks: Sequence[Mark]) -> tuple[str, ...]:
        """Write side values; return the ids of those refused."""
        with self.step() as step:
            return tuple([mark.invocation_id for mark in marks if atomic.mark(step, mark)])

    def find(
        self, query: Query, *, after: str = "", before: str = "", limit: int = 100, newest_first: bool = False
    ) -> tuple[InvocationRecord, ...]:
        """Return the records that the query fits, by id."""
        pages: list[list[Row]] = []
        for source, key, conditions, arguments in _lookups(query):
            bounds = [f"{key} > ?"] * bool(after) + [f"{key} < ?"] * bool(before)
            statement = sql.WHOLE_OF.format(
                source=source,
                conditions=" AND ".join([*conditions, *bounds]),
                key=key,
                order="DESC" if newest_first else "ASC",
                limit=int(limit),
            )
            pages.append(self.database.rows(statement, *arguments, *filter(None, (after, before))))
        rows = islice(merge(*pages, key=_id, reverse=newest_first), limit)
        return tuple([_record(row) for row in rows])

    def count(self, query: Query) -> dict[Status, int]:
        """Return how many invocations the query fits, by status."""
        found: Counter[Status] = Counter()
        for source, _, conditions, arguments in _lookups(query):
            statement = sql.COUNT_OF.format(source=source, conditions=" AND ".join(conditions))
            found.update({Status(status): number for status, number in self.database.rows(statement, *arguments)})
        return dict(found)

    def history(self, invocation_ids: Collection[str]) -> dict[str, tuple[InvocationHistory, ...]]:
        """Return the entries that are kept of each known invocation."""
        found = {each: transitions.STEP.iter_unpack(steps) for each, steps in self.database.rows(sql.STEPS, sql.as_json(invocation_ids))}
        rows = self.database.rows_of_each(sql.HISTORY, [(at, each, seq) for each, steps in found.items() for at, seq in steps])
        entries: dict[str, list[InvocationHistory]] = {each: [] for each in found}
        for row in rows:
            entries[row[0]].append(_entry(row))
        return {each: tuple(kept) for each, kept in entries.items()}

    def history_between(
        self, start: float, end: float, *, after: tuple[float, str, int] | None = None, limit: int = 100
    ) -> tuple[InvocationHistory, ...]:
        """Return entries of a time range, in order."""
        rows = self.database.rows(sql.HISTORY_BETWEEN, start, end, *(after or (start, "", 0)), limit)
        return tuple([_entry(row) for row in rows])

    def put_blobs(self, blobs: Iterable[Blob]) -> None:
        """Store blobs, or move their expiry forward."""
        with self.step() as step:
            step.put_blobs(blobs)

    def get_blobs(self, keys: Collection[str]) -> dict[str, bytes]:
        """Return the contents that exist, by key."""
        found: dict[str, list[bytes]] = {}
        for key, data in self.database.rows(sql.GET_BLOBS, sql.as_json(keys)):
            found.setdefault(key, []).append(data)
        return {key: b"".join(chunks) for key, chunks in found.items()}

    def watch(self, invocation_ids: Collection[str]) -> SQLiteWatch:
        """Begin to watch invocations for becoming final."""
        return SQLiteWatch(self, invocation_ids)

    def sweep(self, before: float, limit: int = 1000) -> Swept:
        """Remove old final invocations, some at a time so that nobody waits long for them, expired blobs and values."""
        removed = 0
        while removed < limit:
            wanted = min(limit - removed, _SWEPT_AT_ONCE)
            with self.step() as step:
                found = _remove_ended(step, before, wanted)
            removed += found
            if found < wanted:
                break
        with self.step() as step:
            blobs = step.execute(sql.EXPIRED_BLOBS, step.now).fetchall()
            for (key,) in blobs:
                for statement in sql.DROP_BLOB:
                    step.execute(statement, key)
            return Swept(removed, len(blobs), step.execute(sql.DROP_EXPIRED_VALUES, step.now).rowcount)

    def purge(self) -> None:
        """Remove everything of this app, one table after the other, so that nobody has to wait for all of it."""
        for table in sql.PURGED:
            with self.step() as step:
                step.execute(sql.PURGE.format(table=table))
                if table == "invocation":
                    for (invocation_id,) in step.execute(sql.ALL_WATCHERS).fetchall():
                        step.tell_final(invocation_id)


def _remove_ended(step: Step, before: float, limit: int) -> int:
    ended = step.execute(sql.ENDED_BEFORE, before, limit).fetchall()
    for invocation_id, steps, body in ended:
        for at, seq in transitions.STEP.iter_unpack(steps):
            step.execute(sql.DROP_HISTORY, at, invocation_id, seq)
        for label in transitions.labels(transitions.decode_body(invocation_id, body)[0]):
            step.execute(sql.DROP_LABEL, label, invocation_id)
        for statement in sql.DROP:
            step.execute(statement, invocation_id)
    return len(ended)


def _id(row: Row) -> str:
    return str(row[0])


def _record(row: Row) -> InvocationRecord:
    held = transitions.Held(row)
    invocation, call = transitions.decode_body(held.invocation_id, row[14])
    return InvocationRecord(invocation=invocation, call=call, state=held.state, side=held.side)


def _entry(row: Row) -> InvocationHistory:
    invocation_id, seq, at, status, runner, claim, reason, context, registered_by = row
    shown = StatusRecord(Status(status), runner, claim, reason)
    return InvocationHistory(invocation_id, seq, at, shown, runner if context is None else context, registered_by)


def _lookups(query: Query) -> list[tuple[str, str, list[str], list[object]]]:
    """Return the lookups whose answers, each in order of ids, are together what fits: source, key, conditions and arguments.

    What leads is the outbox, an owner, a label that few have, a status that few are in, or any label or status, in this order.
    """
    rest = [_labelled(field, value) for field in _LABELS if (value := getattr(query, field))]
    few = any(getattr(query, field) for field in _SELECTIVE)
    if query.queue:
        rest.append(("i.queue = ?", [query.queue]))
    statuses: list[object] = [str(status) for status in sorted(query.statuses)]
    among = [(f"i.status IN ({', '.join('?' * len(statuses))})", statuses)] if statuses else []
    if query.has_outbox:
        owner: list[tuple[str, list[object]]] = [("i.runner = ?", [query.runner_id])] if query.runner_id else []
        return [_lookup(sql.BY_OUTBOX, "i.id", ("i.app = ?1 AND i.outbox IS NOT NULL", []), *owner, *rest, *among)]
    if query.runner_id:
        return [_lookup(sql.BY_RUNNER, "i.id", ("i.app = ?1 AND i.runner = ?", [query.runner_id]), *rest, *among)]
    labelled = bool(rest) and rest[0][0] in {sql.HAS_LABEL, sql.IN_WORKFLOW}
    if statuses and not few and not (labelled and query.statuses & FINAL):
        return [_lookup(sql.BY_STATUS, "i.id", ("i.app = ?1 AND i.status = ?", [status]), *rest) for status in statuses]
    if not labelled:
        return [_lookup(sql.ALL, "i.id", ("i.app = ?1", []), *rest, *among)]
    (condition, (first, *root)), *rest = rest
    found = [_lookup(sql.BY_LABEL, "l.id", ("l.app = ?1 AND l.label = ?", [first]), *rest, *among)]
    if condition == sql.IN_WORKFLOW:
        found.append(_lookup(sql.ALL, "i.id", ("i.app = ?1 AND i.root AND i.id = ?", root), *rest, *among))
    return found


def _labelled(field: str, value: str) -> tuple[str, list[object]]:
    hashed = transitions.label(field, value)
    return (sql.IN_WORKFLOW, [hashed, value]) if field == "workflow_id" else (sql.HAS_LABEL, [hashed])


def _lookup(source: str, key: str, *conditions: tuple[str, list[object]]) -> tuple[str, str, list[str], list[object]]:
    return source, key, [text for text, _ in conditions], [each for _, arguments in conditions for each in arguments]
