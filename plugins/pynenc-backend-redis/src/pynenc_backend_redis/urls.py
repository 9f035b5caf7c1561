"""Where the server is: from a URL and the settings to what redis-py connects by."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import attrs

from pynenc_backend_redis.settings import RedisSettings
from pynenc_core.errors.configuration import InvalidSettingError
from pynenc_core.ports.runtime import StoreView
from pynenc_core.redaction import redact_url

_PORT, _SENTINEL_PORT = 6379, 26379
_QUOTING = "its port is no number, or its password is not quoted: @, :, / and ? are written there as %40, %3A, %2F and %3F"
_TRUTH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def _truth(text: str) -> bool:
    return _TRUTH[text.lower()]


_OPTIONS: dict[str, Callable[[str], object]] = {
    "client_name": str,
    "db": int,
    "socket_connect_timeout": float,
    "socket_timeout": float,
    "password": str,
    "username": str,
}
_TLS: dict[str, Callable[[str], object]] = {
    "ssl_ca_certs": str,
    "ssl_ca_path": str,
    "ssl_cert_reqs": str,
    "ssl_certfile": str,
    "ssl_check_hostname": _truth,
    "ssl_keyfile": str,
    "ssl_password": str,
}
_FILES = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_OF_SCHEME: dict[str, dict[str, Callable[[str], object]]] = {
    "redis": {},
    "rediss": _TLS,
    "unix": {},
    "redis+sentinel": {"service": str, "ssl": _truth, "sentinel_username": str, "sentinel_password": str, **_TLS},
    "redis+cluster": {"ssl": _truth, **_TLS},
}


@attrs.frozen(kw_only=True)
class Place:
    """A server, or several that know which of them to ask."""

    scheme: str
    shown: str
    """The URL without secrets: how errors name the server."""
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    """Of the socket of `unix://`."""
    service: str = ""
    """Of `redis+sentinel://`: the name under which the sentinels know the primary."""
    tls: bool = False
    arguments: dict[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    sentinel: dict[str, Any] = attrs.field(factory=dict[str, Any], repr=False)

    @property
    def server(self) -> str:
        """How errors and log lines name it."""
        return f"Redis server {self.shown}"

    @property
    def identity(self) -> tuple[object, ...]:
        """What two places have in common that are one."""
        return (self.scheme, self.hosts, self.path, self.service, self.arguments.get("db"))


def locate(app: StoreView, part: str) -> Place:
    """Return where an app stores. Raises InvalidSettingError for a URL that cannot be read, or an option that is not known."""
    settings = app.section(RedisSettings)
    given = app.store_url(part)
    url = given if given.partition("://")[2] else settings.url
    shown = redact_url(url)
    try:
        return _read(url, shown, settings)
    except ValueError as error:
        raise InvalidSettingError("redis", "url", str(error), shown) from None


def _read(url: str, shown: str, settings: RedisSettings) -> Place:
    parts = urlsplit(url)
    if parts.scheme not in _OF_SCHEME:
        problem = f"a URL begins with one of {', '.join(f'{each}://' for each in _OF_SCHEME)}"
        raise ValueError(problem)
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    if parts.scheme != "unix" and "@" in "".join((parts.path, parts.fragment, *names)):
        raise ValueError(_QUOTING)  # that a part of the password would be taken for: nothing of it is repeated
    arguments: dict[str, Any] = {
        "socket_connect_timeout": settings.connect_timeout_sec,
        "socket_timeout": settings.reply_timeout_sec,
        "db": 0,
        **_options(parts),
    }
    user, _, netloc = parts.netloc.rpartition("@")
    name, colon, password = user.partition(":")
    if name:
        arguments["username"] = unquote(name)
    if colon:
        arguments["password"] = unquote(password)
    path = [each for each in unquote(parts.path).split("/") if each]
    tls = parts.scheme == "rediss" or bool(arguments.pop("ssl", False))
    if tls:  # redis-py before 6 does not look at names unless it is told to
        arguments.setdefault("ssl_check_hostname", arguments.get("ssl_cert_reqs") != "none")
    place = Place(scheme=parts.scheme, shown=shown, tls=tls, arguments=arguments)
    if parts.scheme == "unix":
        return attrs.evolve(place, path=unquote(parts.path) or netloc)
    sentinel = parts.scheme == "redis+sentinel"
    hosts = tuple(_host(each, _SENTINEL_PORT if sentinel else _PORT) for each in (netloc or "localhost").split(","))
    if len(hosts) > 1 and parts.scheme in {"redis", "rediss"}:
        raise ValueError("it names several servers: use redis+sentinel:// or redis+cluster://")
    if sentinel:
        service = arguments.pop("service", "") or (path.pop(0) if path and not path[0].isdigit() else "mymaster")
        known = {
            key.removeprefix("sentinel_"): arguments.pop(key) for key in ("sentinel_username", "sentinel_password") if key in arguments
        }
        place = attrs.evolve(place, service=service, sentinel=known)
    if path:
        arguments["db"] = _value("the database", int, path[0])
    if parts.scheme == "redis+cluster" and arguments["db"]:
        raise ValueError("a cluster has database 0 only")
    return attrs.evolve(place, hosts=hosts)


def _options(parts: SplitResult) -> dict[str, object]:
    known = _OPTIONS | _OF_SCHEME[parts.scheme]
    found: dict[str, object] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"; did you mean {near[0]}?" if near else f"; known for {parts.scheme}:// are {', '.join(sorted(known))}"
            problem = f"no option is named {name!r}{meant}"
            raise ValueError(problem)
        if name in _FILES and not Path(value).is_file():
            problem = f"{name} names no file: {value}"
            raise ValueError(problem)
        found[name] = _value(name, known[name], value)
    return found


def _value(name: str, kind: Callable[[str], object], text: str) -> object:
    try:
        return kind(text)
    except (ValueError, KeyError):
        problem = f"{name} is {text!r}, which is {'neither true nor false' if kind is _truth else 'no number'}"
        raise ValueError(problem) from None


def _host(text: str, port: int) -> tuple[str, int]:
    found = urlsplit(f"//{text}")
    try:
        return found.hostname or "localhost", found.port or port
    except ValueError:
        raise ValueError(_QUOTING) from None
