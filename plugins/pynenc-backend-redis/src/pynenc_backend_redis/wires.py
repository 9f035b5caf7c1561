"""Single connections: what is used of redis-py's, and how the server to connect to is found."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, cast

from redis import exceptions as redis
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.crc import key_slot
from redis.retry import Retry

from pynenc_backend_redis.urls import Place
from pynenc_core.errors.backends import BackendUnavailableError

Argument = str | bytes | int | float
Node = tuple[str, int]


class Wire(Protocol):
    """A connection of redis-py's. All of it raises redis.RedisError or OSError."""

    def connect(self) -> None:
        """Connect, unless it is, and log in."""
        ...

    def disconnect(self) -> None:
        """Close it; in a forked child only the descriptor, which leaves the parent's alone."""
        ...

    def send_packed_command(self, command: Sequence[bytes], check_health: bool = True) -> None:
        """Send what is encoded already."""
        ...

    def read_response(self) -> Any:
        """Return a reply; raise one that is an error."""
        ...

    def can_read(self, timeout: float = 0) -> bool:
        """Return whether there is something to read within so many seconds."""
        ...


_tcp = cast("Callable[..., Wire]", Connection)
_tls = cast("Callable[..., Wire]", SSLConnection)
_unix = cast("Callable[..., Wire]", UnixDomainSocketConnection)


def _packed(arguments: tuple[Argument, ...]) -> bytes:
    """Return a command as it is sent, where there is no hiredis to do it faster."""
    parts = [each if isinstance(each, bytes) else str(each).encode() for each in arguments]
    return b"*%d\r\n" % len(parts) + b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts])


def _packer() -> Callable[[tuple[Argument, ...]], bytes]:
    try:
        import hiredis  # imported here: there is none for every platform, and redis-py does without it as well
    except ImportError:
        return _packed
    return cast("Callable[[tuple[Argument, ...]], bytes]", getattr(hiredis, "pack_command"))  # noqa: B009 - its stub knows tuples of one only


_pack = _packer()


def send(wire: Wire, arguments: tuple[Argument, ...]) -> None:
    """Send a command."""
    wire.send_packed_command((_pack(arguments),), check_health=False)


def quiet(wire: Wire) -> bool:
    """Return whether nothing has come where nothing was asked, not even the end of the connection: then it can be used. Takes 1 us."""
    taken: socket.socket | None = getattr(wire, "_sock", None)
    if taken is None:
        return False
    poller = select.poll()
    poller.register(taken, select.POLLIN)
    return not poller.poll(0)


def end_reading(wire: Wire) -> None:
    """Let whoever reads from a connection come to its end."""
    taken: socket.socket | None = getattr(wire, "_sock", None)
    if taken is not None:
        with suppress(OSError):
            taken.shutdown(socket.SHUT_RDWR)


def connected(place: Place, node: Node | None) -> Wire:
    """Return a new connection to a node of a place."""
    wire = _new(place, node, place.arguments)
    wire.connect()
    return wire


def moved_to(error: Exception) -> Node | None:
    """Return the node that another one of its cluster names as the right one; redis-py has a class for it since 5.1."""
    text = str(error)
    if not isinstance(error, redis.MovedError) and not text.startswith("MOVED "):
        return None
    host, _, port = text.rsplit(maxsplit=1)[-1].rpartition(":")
    return host, int(port)


def find_node(place: Place, prefix: str) -> Node | None:
    """Return whom to connect to for the keys with this prefix; None where there is no choice."""
    if place.scheme == "unix":
        return None
    if place.scheme == "redis+sentinel":
        return _first_that(lambda node: _primary(place, node), place.hosts)
    if place.scheme == "redis+cluster":
        return _first_that(lambda node: _owner_of(place, node, key_slot(prefix.encode())), place.hosts)
    return place.hosts[0]


def _new(place: Place, node: Node | None, arguments: dict[str, Any]) -> Wire:
    common = {"retry": Retry(NoBackoff(), 0), "protocol": 2, **arguments}
    if node is None:
        return _unix(path=place.path, **common)
    host, port = node
    return (_tls if place.tls else _tcp)(host=host, port=port, socket_keepalive=True, **common)


def _asked(place: Place, node: Node, login: dict[str, Any], *command: str) -> Any:
    arguments = {name: value for name, value in place.arguments.items() if name not in {"db", "username", "password"}}
    wire = _new(place, node, {**arguments, **login})
    try:
        wire.connect()
        send(wire, command)
        return wire.read_response()
    finally:
        wire.disconnect()


def _primary(place: Place, sentinel: Node) -> Node:
    found = _asked(place, sentinel, place.sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", place.service)
    if not found:
        problem, remedy = f"its sentinels know no service {place.service!r}", "name it in the URL: redis+sentinel://host:26379/service"
        raise BackendUnavailableError(place.server, problem, remedy)
    return found[0].decode(), int(found[1])


def _owner_of(place: Place, node: Node, slot: int) -> Node:
    login = {name: value for name, value in place.arguments.items() if name in {"username", "password"}}
    for first, last, primary, *_ in _asked(place, node, login, "CLUSTER", "SLOTS"):
        if first <= slot <= last:
            return (primary[0] or node[0].encode()).decode(), int(primary[1])
    raise redis.ClusterDownError("CLUSTERDOWN no node keeps this app's slot")


def _first_that(ask: Callable[[Node], Node], nodes: Sequence[Node]) -> Node:
    """Return the first answer there is; raise the last failure if there is none."""
    failure: Exception = redis.ConnectionError("no host was given")
    for node in nodes:
        try:
            return ask(node)
        except (redis.RedisError, OSError) as error:
            failure = error
    raise failure
