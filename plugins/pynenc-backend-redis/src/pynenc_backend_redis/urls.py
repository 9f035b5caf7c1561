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
_QUOTING = (
    "its host is no name, its port is no number, or its password is not quoted: @, :, / and ? are written there as %40, %3A, %2F and %3F"
)
_MOST_SECONDS = 1e6
_TRUTH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def _truth(text: str) -> bool:
    return _TRUTH[text.lower()]


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < _MOST_SECONDS:  # nor nan
        raise ValueError
    return seconds


_OPTIONS: dict[str, Callable[[str], object]] = {
    "client_name": str,
    "db": int,
    "socket_connect_timeout": _seconds,
    "socket_timeout": _seconds,
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
_WANTED: dict[Callable[[str], object], str] = {
    _truth: "neither true nor false",
    _seconds: f"no number of seconds above 0 and below {_MOST_SECONDS:,.0f}",
}
_FILES = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_OF_SCHEME: dict[str, dict[str, Callable[[str], object]]] = {
    "redis": {},
    "rediss": _TLS,
    "unix": {},
    "redis+sentinel": {"service": str, "ssl": _truth, "sentinel_username": str, "sentinel_password": str, **_TLS},
    "redis+cluster": {"ssl": _truth, **_TLS},
}


class _UnmeantError(ValueError):
    """What is wrong with a URL, in our words: those of other errors may repeat a password."""


def _must(fits: bool, problem: str) -> None:
    if not fits:
        raise _UnmeantError(problem)


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
    scheme, _, rest = given.partition("://")
    url = given if rest or scheme.lower() not in {"", "redis", settings.url.partition("://")[0]} else settings.url
    shown = redact_url(url)
    try:
        return _read(url, shown, settings)
    except ValueError as error:
        # after an "@" behind the "?" anything may be a part of the password: nothing of it is repeated
        problem = str(error) if isinstance(error, _UnmeantError) and "@" not in url.partition("?")[2] else _QUOTING
        raise InvalidSettingError("redis", "url", problem, shown) from None


def _read(url: str, shown: str, settings: RedisSettings) -> Place:
    parts = urlsplit(url)
    unix = parts.scheme == "unix"
    _must(parts.scheme in _OF_SCHEME, f"a URL begins with one of {', '.join(f'{each}://' for each in _OF_SCHEME)}")
    _must(unix or parts.scheme == "redis" or any(parts[1:]), "it names no host")
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    # where a part of the password is taken for something else, nothing of it is repeated
    _must(unix or "@" not in "".join((parts.path, parts.fragment, *names)), _QUOTING)
    options = _options(parts)
    arguments: dict[str, Any] = {
        "socket_connect_timeout": settings.connect_timeout_sec,
        "socket_timeout": settings.reply_timeout_sec,
        "db": 0,
        **options,
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
    if unix:
        _must(bool(netloc + parts.path), "it names no path of a socket")
        return attrs.evolve(place, path=unquote(netloc + parts.path))
    sentinel = parts.scheme == "redis+sentinel"
    hosts = tuple(_host(each, _SENTINEL_PORT if sentinel else _PORT) for each in (netloc or "localhost").split(","))
    _must(len(hosts) == 1 or "+" in parts.scheme, "it names several servers: use redis+sentinel:// or redis+cluster://")
    if sentinel:
        service = arguments.pop("service", "") or (path.pop(0) if path and not path[0].isdigit() else "mymaster")
        known = {key.removeprefix("sentinel_"): arguments.pop(key) for key in tuple(arguments) if key.startswith("sentinel_")}
        place = attrs.evolve(place, service=service, sentinel=known)
    if path:
        _must(len(path) == 1, "its path names more than a database")
        _must("db" not in options, "it names the database twice: in its path and as db")
        arguments["db"] = _value("the database", int, path[0])
    _must(parts.scheme != "redis+cluster" or not arguments["db"], "a cluster has database 0 only")
    return attrs.evolve(place, hosts=hosts)


def _options(parts: SplitResult) -> dict[str, object]:
    known = _OPTIONS | _OF_SCHEME[parts.scheme]
    found: dict[str, object] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        near = difflib.get_close_matches(name, known, 1)
        meant = f"did you mean {near[0]}?" if near else f"known for {parts.scheme}:// are {', '.join(sorted(known))}"
        _must(name in known, f"no option is named {name!r}; {meant}")
        _must(name not in found, f"{name} is given twice")
        _must(name not in _FILES or Path(value).is_file(), f"{name} names no file: {value}")
        found[name] = _value(name, known[name], value)
    return found


def _value(name: str, kind: Callable[[str], object], text: str) -> object:
    try:
        return kind(text)
    except (ValueError, KeyError):
        problem = f"{name} is {text!r}, which is {_WANTED.get(kind, 'no number')}"
        raise _UnmeantError(problem) from None


def _host(text: str, default: int) -> tuple[str, int]:
    found = urlsplit(f"//{text}")
    name, port = found.hostname or "localhost", found.port
    name.encode("idna")  # as it is when its address is looked up, where nobody expects a UnicodeError
    _must(port != 0 and "\0" not in name, _QUOTING)
    return name, default if port is None else port
