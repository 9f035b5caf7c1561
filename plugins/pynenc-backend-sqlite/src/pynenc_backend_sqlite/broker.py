"""Queues of ids, for whoever keeps the records elsewhere; the SQLite dispatcher needs none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from pynenc_backend_sqlite import statements as sql
from pynenc_backend_sqlite.database import Database
from pynenc_backend_sqlite.doorbell import Doorbell
from pynenc_backend_sqlite.step import ENTRIES, Step
from pynenc_core.model import Queued
from pynenc_core.ports.broker import BaseBroker
from pynenc_core.ports.runtime import StoreView


class SQLiteBroker(BaseBroker):
    """Keeps an app's queues in a file; opens it when it is first used."""

    name: ClassVar[str] = "sqlite"

    def __init__(self, app: StoreView) -> None:
        super().__init__(app)
        self._database = Database(app, "broker")
        self._bell = Doorbell(self._database)
        self._woken = False
        self._waiting = 0

    def publish(self, entries: Sequence[Queued]) -> None:
        """Add entries and wake who waits for them."""
        with self._step() as step:
            for entry in entries:
                step.execute(sql.PUBLISH, entry.invocation_id, entry.queue, entry.rank, entry.due)
                step.tell_news(ENTRIES + entry.queue)

    def take(self, queues: Sequence[str], limit: int, timeout: float) -> tuple[str, ...]:
        """Remove and return ids that are due; block up to `timeout` seconds while there are none."""
        clock = self.app.clock
        deadline = clock.monotonic() + timeout
        names = [ENTRIES + queue for queue in queues]
        while True:
            seen = self._bell.news
            with self._step() as step:
                taken, due = _take(step, queues, limit)
                left = deadline - clock.monotonic()
                blocks = not taken and left > 0 and limit > 0
                if blocks:
                    step.wait_for_news(names)
            if not blocks:
                return taken
            until = left if due is None else min(left, due - self._database.now())
            if self._wait(names, seen, until):
                return ()

    def wake(self) -> None:
        """Let who waits for entries return."""
        with self._bell.changed:
            self._woken = True
            self._bell.changed.notify_all()

    def oldest(self, queue: str) -> Queued | None:
        """Return the entry of lowest rank, due or not."""
        rows = self._database.rows(sql.OLDEST_ENTRY, queue)
        return Queued(rows[0][0], queue, rows[0][1], rows[0][2]) if rows else None

    def size(self, queue: str) -> int:
        """Return how many entries a queue holds."""
        return int(self._database.rows(sql.SIZE, queue)[0][0])

    def discard(self, invocation_ids: Iterable[str]) -> None:
        """Remove entries from every queue."""
        with self._step() as step:
            for invocation_id in invocation_ids:
                step.execute(sql.TAKE_ENTRY, invocation_id)

    def purge(self) -> None:
        """Remove every entry."""
        with self._step() as step:
            step.execute(sql.PURGE_ENTRIES)

    def close(self) -> None:
        """Let who waits for entries return, and close the file."""
        self.wake()
        self._bell.close()
        self._database.close()

    def shares(self, database: Database) -> bool:
        """Return whether it stores in the same file."""
        return self._database.path == database.path

    def _wait(self, names: Sequence[str], seen: int, timeout: float) -> bool:
        """Wait for news; return whether that was ended by `wake`."""
        with self._bell.listening():
            self._bell.waits_for.update(names)
            self._waiting += 1
            self._bell.changed.wait_for(lambda: self._bell.news != seen or self._woken, timeout)
            self._waiting -= 1
            woken = self._woken
            self._woken = woken and self._waiting > 0
            return woken

    def _step(self) -> Step:
        return Step(self._database, self._bell)


def _take(step: Step, queues: Sequence[str], limit: int) -> tuple[tuple[str, ...], float | None]:
    """Return what was taken, and when the next one is due."""
    taken: list[str] = []
    dues: list[float] = []
    for queue in queues:
        step.execute(sql.ENTRIES_DUE, queue, step.now)
        for (invocation_id,) in step.execute(sql.FIRST_ENTRIES, queue, limit - len(taken)).fetchall():
            step.execute(sql.TAKE_ENTRY, invocation_id)
            taken.append(invocation_id)
        (due,) = step.execute(sql.NEXT_ENTRY_DUE, queue).fetchone()
        dues += [] if due is None else [due]
    return tuple(taken), min(dues, default=None)
