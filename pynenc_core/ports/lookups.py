"""Walks over what a store holds, page by page, for those who are not a store."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

from pynenc_core.errors.invocations import InvocationNotFoundError
from pynenc_core.model import InvocationRecord, Query
from pynenc_core.ports.clock import Clock
from pynenc_core.ports.storage import CoordinationStorage, RecordStorage

PAGE = 200


def record_of(store: RecordStorage, invocation_id: str, app_id: str) -> InvocationRecord:
    """Return a stored record. Raises InvocationNotFoundError."""
    found = store.get([invocation_id]).get(invocation_id)
    if found is None:
        raise InvocationNotFoundError(invocation_id, app_id)
    return found


def batches(
    store: RecordStorage, query: Query, *, after: str = "", before: str = "", size: int = PAGE
) -> Iterator[tuple[InvocationRecord, ...]]:
    """Yield all records that a query fits, by id, with `after < id < before`, in batches of at most `size`."""
    while page := store.find(query, after=after, before=before, limit=size):
        yield page
        after = page[-1].invocation_id


def each(store: RecordStorage, query: Query) -> Iterator[InvocationRecord]:
    """Yield all records that a query fits, by id."""
    for page in batches(store, query):
        yield from page


def values(store: CoordinationStorage, kind: str, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """Yield all keyed values of a kind whose key starts with `prefix`, by key."""
    after = ""
    while page := store.list_values(kind, prefix=prefix, after=after, limit=PAGE):
        yield from page
        after = page[-1][0]


def seconds_of(moment: datetime | float) -> float:
    """Return an instant in seconds since 1970; a naive time is read as UTC."""
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(moment)


class Recently:
    """Remembers for a while what was stored, so that it is not stored again each time. Thread-safe and bounded.

    Only for a while: somebody may purge the store behind our back, and what has a life span must be renewed.
    """

    def __init__(self, clock: Clock, seconds: float = 60.0, most: int = 10_000) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._lock = threading.Lock()
        self._until: dict[object, float] = {}

    def __contains__(self, key: object) -> bool:
        with self._lock:
            return self._until.get(key, float("-inf")) > self._clock.monotonic()

    def add(self, key: object) -> None:
        """Remember a key from now on."""
        with self._lock:
            if len(self._until) >= self._most:
                self._until.clear()
            self._until[key] = self._clock.monotonic() + self._seconds
