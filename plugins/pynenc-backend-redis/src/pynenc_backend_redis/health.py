"""What the settings of a server put at risk: said at start in one line, and by `pynenc doctor`."""

from __future__ import annotations

import re
from weakref import WeakSet

import attrs

from pynenc_backend_redis.link import Link
from pynenc_core.errors.backends import BackendError, BackendUnavailableError

OLDEST = (6, 2)


@attrs.frozen
class Health:
    """A server as it was at start."""

    server: str
    version: str
    risks: tuple[str, ...]

    @property
    def line(self) -> str:
        """All of it in one line."""
        return f"{self.server} (version {self.version}): {'; '.join(self.risks) or 'nothing is at risk'}"


def examine(link: Link) -> Health:
    """Return what a server's settings put at risk. Raises BackendUnavailableError where it is too old."""
    text = link.call("INFO", "everything").decode("utf-8", "replace")
    info = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    version = info.get("redis_version", "0")
    numbers = tuple(int(each) for each in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST:
        problem, remedy = f"its version is {version}", "use Redis 6.2 or newer, or Valkey"
        raise BackendUnavailableError(link.place.server, problem, remedy)
    _seen.add(link)
    shown = f"{version}, Valkey {info['valkey_version']}" if "valkey_version" in info else version
    return Health(link.place.server, shown, tuple(_risks(info)))


def _risks(info: dict[str, str]) -> list[str]:
    found: list[str] = []
    if info.get("aof_enabled") != "1":
        found.append("appendonly is off, so a restart loses what came after the last snapshot, or everything")
    policy, most = info.get("maxmemory_policy", "noeviction"), info.get("maxmemory", "0")
    if policy != "noeviction":
        now = "as soon as memory is full" if most != "0" else "once a maxmemory is set"
        found.append(f"maxmemory-policy is {policy}, so it removes records {now}; set noeviction")
    return found


def report(app_id: str) -> list[dict[str, object]]:
    """Return a line for each server that this process has looked at for an app."""
    links = {link.place.identity: link for link in _seen if link.app.app_id == app_id}
    return [_line(link) for link in links.values()]


def _line(link: Link) -> dict[str, object]:
    name = link.place.server
    try:
        health = examine(link)
    except BackendError as error:
        return {"name": name, "ok": False, "detail": str(error)}
    return {"name": name, "ok": None if health.risks else True, "detail": health.line}


_seen: WeakSet[Link] = WeakSet()
