"""What the settings of a server put at risk: said at start in one line, and by `pynenc doctor`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from weakref import WeakSet

import attrs
from redis import exceptions as redis

from pynenc_backend_redis.keys import PREFIXES
from pynenc_backend_redis.link import Link
from pynenc_core.errors.backends import BackendError, BackendUnavailableError

OLDEST = (6, 2)
_NEARLY_FULL = 0.9
"""The share of maxmemory from which on that is worth a word."""


@attrs.frozen
class Health:
    """A server as it was at start."""

    server: str
    settings: tuple[str, ...]
    """Version and what else was asked, as far as it could be found out."""
    risks: tuple[str, ...]
    remark: str
    """What may be lost where nothing is at risk."""

    @property
    def detail(self) -> str:
        """All but the name."""
        return f"{', '.join(self.settings)}: {'; '.join(self.risks) or self.remark}"

    @property
    def line(self) -> str:
        """All of it in one line."""
        return f"{self.server}, {self.detail}"


def examine(link: Link) -> Health:
    """Return what a server's settings put at risk. Raises BackendUnavailableError where it is too old, or refuses what is needed."""
    info = _info(link)
    version = info.get("redis_version", "0")
    numbers = tuple(int(each) for each in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST:
        problem, remedy = f"its version is {version}", "use Redis 6.2 or newer, or Valkey"
        raise BackendUnavailableError(link.place.server, problem, remedy)
    # who may write but not tell would be refused half-way through a script, when all is written already
    link.call("PUBLISH", f"{link.prefix}{PREFIXES['EAR']}", "")
    _seen.add(link)
    shown = f"version {version}" + (f" (Valkey {info['valkey_version']})" if "valkey_version" in info else "")
    if "aof_enabled" not in info:
        unknown = "this user may not ask for INFO: see yourself that appendonly is on and maxmemory-policy is noeviction"
        return Health(link.place.server, (shown,), (unknown,), "")
    set_to = {"appendfsync": "", "save": "", **_config(link)}
    appendonly, policy = info["aof_enabled"] == "1", info.get("maxmemory_policy", "noeviction")
    flushed = f" ({set_to['appendfsync']})" if appendonly and set_to["appendfsync"] else ""
    settings = (shown, f"appendonly {'yes' if appendonly else 'no'}{flushed}", f"maxmemory-policy {policy}")
    return Health(link.place.server, settings, tuple(_risks(info, set_to)), _remark(set_to["appendfsync"]))


def _info(link: Link) -> Mapping[str, str]:
    """Return what INFO says; the version alone where that is not allowed, as on some managed servers."""
    try:
        text = link.call("INFO", "everything").decode("utf-8", "replace")
    except BackendUnavailableError as error:
        why = error.__cause__
        if not isinstance(why, redis.NoPermissionError) and not (isinstance(why, redis.ResponseError) and "unknown command" in str(why)):
            raise
    else:
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    said = [each.decode() if isinstance(each, bytes) else each for each in link.call("HELLO", "2")]
    return {"redis_version": str(dict(zip(said[::2], said[1::2], strict=True)).get("version", "0"))}


def _config(link: Link) -> Mapping[str, str]:
    """Return what CONFIG says, which many servers keep to themselves: nothing then."""
    found: dict[str, str] = {}
    for name in ("appendfsync", "save"):
        try:
            pair = link.call("CONFIG", "GET", name)
        except BackendUnavailableError as error:
            if isinstance(error.__cause__, redis.ResponseError):
                return {}
            raise
        found |= dict(zip([each.decode() for each in pair[::2]], [each.decode() or "never" for each in pair[1::2]], strict=True))
    return found


def _risks(info: Mapping[str, str], set_to: Mapping[str, str]) -> list[str]:
    found: list[str] = []
    if info["aof_enabled"] != "1":
        lost = "everything" if set_to["save"] == "never" else "what came after the last snapshot, or everything"
        found.append(f"without appendonly a restart loses {lost}")
    elif set_to["appendfsync"] == "no":
        found.append("a crash of its machine loses what the kernel had not written yet, up to half a minute; set appendfsync everysec")
    if info.get("aof_last_write_status", "ok") != "ok" or (info["aof_enabled"] != "1" and info.get("rdb_last_bgsave_status", "ok") != "ok"):
        found.append("its last write to disk failed; look at its log")
    policy, most, used = info.get("maxmemory_policy", "noeviction"), int(info.get("maxmemory", "0")), int(info.get("used_memory", "0"))
    if policy != "noeviction":
        now = "as soon as memory is full" if most else "once a maxmemory is set"
        found.append(f"it removes records {now}; set maxmemory-policy noeviction")
    if most and used > most * _NEARLY_FULL:
        found.append(f"{used / most:.0%} of maxmemory are used, and a full server accepts no tasks")
    return found


def _remark(appendfsync: str) -> str:
    if appendfsync == "always":
        return "it keeps what it has acknowledged"
    flushed = " (where appendfsync is everysec: it does not say)" if not appendfsync else ""
    return f"a crash of the server may lose what it acknowledged in its last second{flushed}"


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
    return {"name": name, "ok": None if health.risks else True, "detail": health.detail}


_seen: WeakSet[Link] = WeakSet()
