"""The verbs through which processes agree: values, heartbeats and leases."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from pynenc_backend_redis import encoding
from pynenc_backend_redis.ear import Ear
from pynenc_backend_redis.health import Health, examine
from pynenc_backend_redis.keys import PREFIXES
from pynenc_backend_redis.link import Link
from pynenc_core.errors.backends import StoreCorruptError, StoreFormatError
from pynenc_core.model import FORMAT, Lease, RunnerBeat, Signal
from pynenc_core.ports.runtime import StoreView
from pynenc_core.ports.storage import CoordinationStorage


class RedisCoordination(CoordinationStorage):
    """Small shared things on a server."""

    app: StoreView
    link: Link
    ear: Ear
    health: Health | None = None

    def now(self) -> float:
        """Return the server's time, by an estimate that is never ahead of it."""
        return self.link.now()

    def prepare(self) -> None:
        """Look whether the server is what is needed, and whether its records can be read; say what its settings put at risk."""
        first, self.health = self.health is None, examine(self.link)
        if first:
            self.app.logger.log(logging.WARNING if self.health.risks else logging.INFO, "%s", self.health.line)
        key = f"{self.link.prefix}{PREFIXES['FORMAT']}"
        if not self.link.call("SET", key, FORMAT, "NX"):
            stored = self.link.call("GET", key) or str(FORMAT).encode()
            if not stored.isdigit():
                problem = f"the key {key} holds no number: something else writes there"
                raise StoreCorruptError(self.link.place.server, problem)
            found = int(stored)
            if found != FORMAT:
                raise StoreFormatError(self.link.place.server, found, FORMAT)

    def close(self) -> None:
        """Close every connection and end every watch; the next call connects anew."""
        self.ear.close()
        self.link.close()

    def put_value(self, kind: str, key: str, value: bytes, *, if_absent: bool = False, ttl: float | None = None) -> bool:
        """Store a value; return whether it was written."""
        return bool(self.link.run("put_value", kind, key, value, "1" if if_absent else "", "" if ttl is None else repr(ttl)))

    def get_values(self, kind: str, keys: Collection[str]) -> dict[str, bytes]:
        """Return the values that exist, by key."""
        return {key.decode(): value for key, value in self.link.run("get_values", kind, *keys)}

    def list_values(self, kind: str, *, prefix: str = "", after: str = "", limit: int = 100) -> tuple[tuple[str, bytes], ...]:
        """Return pairs of key and value, by key."""
        lowest = f"({after}" if after >= prefix and after else f"[{prefix}" if prefix else "-"
        highest = b"(" + prefix.encode() + b"\xff" if prefix else b"+"
        return tuple([(key.decode(), value) for key, value in self.link.run("list_values", kind, lowest, highest, limit)])

    def drop_values(self, kind: str, keys: Collection[str]) -> int:
        """Remove values; return how many existed."""
        return int(self.link.run("drop_values", kind, *keys))

    def beat(self, runner_ids: Collection[str], lease: float, *, may_serve: bool = False) -> tuple[Signal, ...]:
        """Note that runners are alive; return the requests to what they own."""
        return encoding.signals_of(self.link.run("beat", repr(lease), "1" if may_serve else "0", *runner_ids))

    def beats(self) -> tuple[RunnerBeat, ...]:
        """Return every runner known, by id."""
        flat = self.link.call("HGETALL", f"{self.link.prefix}{PREFIXES['BEATS']}")
        return tuple(sorted((_beat(*pair) for pair in zip(flat[::2], flat[1::2], strict=True)), key=lambda beat: beat.runner_id))

    def forget_runners(self, runner_ids: Collection[str]) -> None:
        """Remove runners."""
        if runner_ids:
            self.link.call("HDEL", f"{self.link.prefix}{PREFIXES['BEATS']}", *runner_ids)

    def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take or renew a role; None while somebody else holds it."""
        reply = self.link.run("lease", name, holder, repr(seconds))
        return Lease(name, holder, int(reply[0]), float(reply[1])) if reply else None

    def drop_lease(self, name: str, holder: str) -> None:
        """Give a role back; its fence stays, so that the next holder's is higher."""
        self.link.run("lease", name, holder, "")

    def holders(self, keys: Collection[str]) -> Mapping[str, int]:
        """Return how many live holders each key has."""
        wanted = tuple(keys)
        return dict(zip(wanted, self.link.run("holders", *wanted), strict=True))


def _beat(runner_id: bytes, noted: bytes) -> RunnerBeat:
    first, last, until, serve = noted.decode().split()
    return RunnerBeat(
        runner_id=runner_id.decode(),
        first_at=encoding.seconds(first),
        last_at=encoding.seconds(last),
        alive_until=float(until),
        may_serve=serve == "1",
    )
