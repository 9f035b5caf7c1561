"""The verbs through which processes agree elsewhere, and runners here: values, heartbeats and leases."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attrs import evolve

from pynenc_backend_memory.table import MemoryTable
from pynenc_core.model import Lease, RunnerBeat, Signal
from pynenc_core.ports.runtime import StoreView
from pynenc_core.ports.storage import CoordinationStorage


class MemoryCoordination(CoordinationStorage):
    """Small shared things in a table."""

    app: StoreView
    table: MemoryTable

    def now(self) -> float:
        """Return this machine's time: the store has no other."""
        return self.app.clock.time()

    def prepare(self) -> None:
        """Do nothing: there is nothing to create or to find."""

    def close(self) -> None:
        """Do nothing: what is stored goes when the app does."""

    def put_value(self, kind: str, key: str, value: bytes, *, if_absent: bool = False, ttl: float | None = None) -> bool:
        """Store a value; return whether it was written."""
        with self.table.lock:
            if if_absent and self.table.alive(kind, self.now(), (key,)):
                return False
            self.table.values[kind][key] = (value, None if ttl is None else self.now() + ttl)
            return True

    def get_values(self, kind: str, keys: Collection[str]) -> dict[str, bytes]:
        """Return the values that exist, by key."""
        with self.table.lock:
            return self.table.alive(kind, self.now(), keys)

    def list_values(self, kind: str, *, prefix: str = "", after: str = "", limit: int = 100) -> tuple[tuple[str, bytes], ...]:
        """Return pairs of key and value, by key."""
        with self.table.lock:
            alive = self.table.alive(kind, self.now())
            return tuple([(key, alive[key]) for key in sorted(alive) if key.startswith(prefix) and key > after][:limit])

    def drop_values(self, kind: str, keys: Collection[str]) -> int:
        """Remove values; return how many existed."""
        with self.table.lock:
            gone = self.table.alive(kind, self.now(), keys)
            for key in gone:
                del self.table.values[kind][key]
            return len(gone)

    def beat(self, runner_ids: Collection[str], lease: float, *, may_serve: bool = False) -> tuple[Signal, ...]:
        """Note that runners are alive; return the requests to what they own."""
        with self.table.lock:
            now, beats = self.now(), self.table.beats
            for each in runner_ids:
                first = beats[each].first_at if each in beats else now
                beats[each] = RunnerBeat(runner_id=each, first_at=first, last_at=now, alive_until=now + lease, may_serve=may_serve)
            return self.table.signals(runner_ids)

    def beats(self) -> tuple[RunnerBeat, ...]:
        """Return every runner known, by id."""
        with self.table.lock:
            return tuple([self.table.beats[each] for each in sorted(self.table.beats)])

    def forget_runners(self, runner_ids: Collection[str]) -> None:
        """Remove runners."""
        with self.table.lock:
            for each in runner_ids:
                self.table.beats.pop(each, None)

    def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take or renew a role; None while somebody else holds it."""
        with self.table.lock:
            now, held = self.now(), self.table.leases.get(name, Lease(name, "", 0, 0.0))
            if held.holder not in {"", holder} and held.until > now:
                return None
            lease = Lease(name, holder, held.fence + (held.holder != holder), now + seconds)
            self.table.leases[name] = lease
            return lease

    def drop_lease(self, name: str, holder: str) -> None:
        """Give a role back; its fence stays, so that the next holder's is higher."""
        with self.table.lock:
            held = self.table.leases.get(name)
            if held and held.holder == holder:
                self.table.leases[name] = evolve(held, holder="", until=0.0)

    def holders(self, keys: Collection[str]) -> Mapping[str, int]:
        """Return how many live holders each key has."""
        with self.table.lock:
            return {key: self.table.holders(key) for key in keys}
