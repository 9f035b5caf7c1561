"""The verbs through which processes agree: values, heartbeats and leases."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs

from pynenc_backend_sqlite import statements as sql
from pynenc_backend_sqlite.database import Database, Row
from pynenc_backend_sqlite.doorbell import Doorbell
from pynenc_backend_sqlite.transitions import RecordStep
from pynenc_core.model import Lease, RunnerBeat, Signal
from pynenc_core.ports.storage import CoordinationStorage


class SQLiteCoordination(CoordinationStorage):
    """Small shared things in a file."""

    database: Database
    bell: Doorbell

    def step(self) -> RecordStep:
        """Return a context that is one atomic step."""
        return RecordStep(self.database, self.bell)

    def now(self) -> float:
        """Return this machine's time: all processes that share the file are on it."""
        return self.database.now()

    def prepare(self) -> None:
        """Make the file and its tables, or check those that are there, and make sure that they can be written."""
        self.database.open()

    def close(self) -> None:
        """Close the file and stop listening."""
        self.bell.close()
        self.database.close()

    def put_value(self, kind: str, key: str, value: bytes, *, if_absent: bool = False, ttl: float | None = None) -> bool:
        """Store a value; return whether it was written."""
        with self.step() as step:
            if if_absent and step.value(kind, key) is not None:
                return False
            step.put_value(kind, key, value, ttl)
            return True

    def get_values(self, kind: str, keys: Collection[str]) -> dict[str, bytes]:
        """Return the values that exist, by key."""
        return dict(self.database.rows(sql.GET_VALUES, kind, sql.as_json(keys), self.now()))

    def list_values(self, kind: str, *, prefix: str = "", after: str = "", limit: int = 100) -> tuple[tuple[str, bytes], ...]:
        """Return pairs of key and value, by key."""
        return tuple(self.database.rows(sql.LIST_VALUES, kind, after, prefix, self.now(), limit))

    def drop_values(self, kind: str, keys: Collection[str]) -> int:
        """Remove values; return how many existed."""
        with self.step() as step:
            return sum(step.execute(sql.DROP_VALUE, kind, key, step.now).rowcount for key in keys)

    def beat(self, runner_ids: Collection[str], lease: float, *, may_serve: bool = False) -> tuple[Signal, ...]:
        """Note that runners are alive; return the requests to what they own."""
        self.database.must_be_there()
        with self.step() as step:
            for each in runner_ids:
                step.execute(sql.BEAT, each, step.now, step.now + lease, may_serve)
            return step.signals(runner_ids)

    def beats(self) -> tuple[RunnerBeat, ...]:
        """Return every runner known, by id."""
        return tuple([_beat(row) for row in self.database.rows(sql.BEATS)])

    def forget_runners(self, runner_ids: Collection[str]) -> None:
        """Remove runners."""
        with self.step() as step:
            for each in runner_ids:
                step.execute(sql.FORGET_RUNNER, each)

    def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take or renew a role; None while somebody else holds it."""
        with self.step() as step:
            held_by, fence, until = step.execute(sql.LEASE, name).fetchone() or ("", 0, 0.0)
            if held_by not in {"", holder} and until > step.now:
                return None
            lease = Lease(name, holder, fence + (held_by != holder), step.now + seconds)
            step.execute(sql.SET_LEASE, *attrs.astuple(lease))
            return lease

    def drop_lease(self, name: str, holder: str) -> None:
        """Give a role back; its fence stays, so that the next holder's is higher."""
        with self.step() as step:
            step.execute(sql.DROP_LEASE, name, holder)

    def holders(self, keys: Collection[str]) -> Mapping[str, int]:
        """Return how many live holders each key has."""
        return {key: self.database.rows(sql.HOLDERS, key)[0][0] for key in keys}


def _beat(row: Row) -> RunnerBeat:
    runner_id, first_at, last_at, alive_until, may_serve = row
    return RunnerBeat(runner_id=runner_id, first_at=first_at, last_at=last_at, alive_until=alive_until, may_serve=bool(may_serve))
