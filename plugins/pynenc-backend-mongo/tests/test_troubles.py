"""Whatever is wrong with a server: the same typed error for whoever asks, with a name and a way out, and without a secret."""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import attrs
import bson
import pytest

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.errors.configuration import InvalidSettingError
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.refusals import SECRET, everybody_is_refused
from pynenc_testkit.samples import found, new, submit
from pynenc_testkit.servers.mongo import free_port, mongo_server
from pynenc_testkit.stores import KitApp, open_installed

_HEADER = struct.Struct("<iiii")
_OP_REPLY, _OP_MSG = 1, 2013
_HELLO = {"hello", "isMaster", "ismaster"}
_WRITES = {"insert", "update", "delete", "findAndModify", "createIndexes"}


class Front:
    """Stands before the tests' server and answers some commands itself, with an error."""

    def __init__(self) -> None:
        self.refused: Collection[str] = ()
        self.code, self.message = 0, ""
        self.hello: Mapping[str, object] = {}
        """What it says of itself instead of what the server says."""
        self._server = urlsplit(mongo_server())  # started now, if it was not
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def refuse(self, commands: Collection[str], code: int, message: str) -> None:
        """Answer these with an error from now on; with none of them, pass everything on."""
        self.refused, self.code, self.message = commands, code, message

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with client, socket.create_connection((self._server.hostname or "", self._server.port or 0)) as server, suppress(OSError, EOFError):
            self._open |= {client, server}
            while True:
                asked = _message(client)
                server_says = self._answer(asked)
                if server_says is None:
                    server.sendall(asked)
                    server_says = _message(server)
                client.sendall(server_says)
        self._open -= {client, server}

    def _answer(self, asked: bytes) -> bytes | None:
        _, number, _, kind = _HEADER.unpack_from(asked)
        begin = 21 if kind == _OP_MSG else asked.index(b"\0", 20) + 9
        document = bson.decode(asked[begin : begin + struct.unpack_from("<i", asked, begin)[0]])
        command = next(iter(document))
        if command in _HELLO and self.hello:
            said: dict[str, Any] = {"ok": 1.0, "isWritablePrimary": True, "ismaster": True, **self.hello}
        elif command in self.refused:
            said = {"ok": 0.0, "code": self.code, "codeName": "Refused", "errmsg": self.message}
        else:
            return None
        body = b"\0\0\0\0\0" + bson.encode(said) if kind == _OP_MSG else struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(said)
        return _HEADER.pack(_HEADER.size + len(body), 0, number, _OP_MSG if kind == _OP_MSG else _OP_REPLY) + body


def _message(source: socket.socket) -> bytes:
    """Read one message, whole; raises EOFError at the end of the connection."""
    data = b""
    while len(data) < 4 or len(data) < struct.unpack_from("<i", data)[0]:
        more = source.recv((4 if len(data) < 4 else struct.unpack_from("<i", data)[0]) - len(data))
        if not more:
            raise EOFError
        data += more
    return data


@pytest.fixture
def front() -> Iterator[Front]:
    made = Front()
    yield made
    made.close()


@pytest.fixture
def seen(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """A function that returns all that was logged and printed; in the end nothing of it may hold the secret."""
    caplog.set_level(logging.INFO)
    printed: list[str] = []

    def look() -> str:
        printed.extend(capsys.readouterr())
        return "\n".join([*printed, caplog.text])

    yield look
    assert SECRET not in look()


@attrs.frozen
class Case:
    """What a server answers to some commands."""

    commands: Collection[str]
    code: int
    message: str
    says: str


REFUSED = {
    "wrong password": Case({"saslStart"}, 18, "Authentication failed.", "user or password are not accepted .*check them in the URL"),
    "no password": Case({"find"}, 13, "Command find requires authentication", "it asks for user and password"),
    "no rights": Case(_WRITES, 13, "not authorized on jobs to execute command", "may not do that .*give it the role readWrite"),
    "read-only": Case(_WRITES, 10107, "not primary", "may not be written at present .*once there is a primary"),
    "full disk": Case(_WRITES, 14031, "available disk space is less than required", "the server's disk is full"),
    "full memory": Case(_WRITES, 146, "memory limit exceeded", "the server is out of memory"),
    "too slow": Case(_WRITES, 50, "operation exceeded time limit", "did not answer in time"),
    "alone": Case(_WRITES, 2, "cannot use 'w' > 1 when a host is not replicated", "leave `w` out of the URL"),
    "something else": Case(_WRITES, 999, "of another kind", "it refuses a command .*of another kind"),
}
QUICK = "serverSelectionTimeoutMS=250"
"""For servers that do not answer."""


@pytest.mark.parametrize("name", REFUSED)
def test_everybody_is_told_the_same_and_no_secret(name: str, front: Front, seen: Callable[[], str]) -> None:
    case = REFUSED[name]
    front.refuse(case.commands, case.code, case.message)
    if "saslStart" in case.commands:
        front.hello = {"minWireVersion": 0, "maxWireVersion": 21}
    login = f"me:{SECRET}@" if "saslStart" in case.commands else ""
    url = f"mongodb://{login}127.0.0.1:{front.port}/jobs"
    everybody_is_refused(url, BackendUnavailableError, case.says, seen)


@pytest.mark.parametrize("wire", [6, 8])
def test_a_server_that_is_too_old(wire: int, front: Front, seen: Callable[[], str]) -> None:
    front.hello = {"minWireVersion": 0, "maxWireVersion": wire}
    url = f"mongodb://127.0.0.1:{front.port}/jobs"
    everybody_is_refused(url, BackendUnavailableError, "older than MongoDB 4.4.*; upgrade it", seen)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mongodb://me:{secret}@127.0.0.1:{nobody}/jobs?{quick}", "no server answers .*Connection refused.*check host and port"),
        ("mongodb://me:{secret}@nowhere.invalid/jobs?{quick}", "nowhere.invalid.* no server answers"),
        ("mongodb://127.0.0.1:{port}/jobs?{quick}&replicaSet=rs0", "not of that replica set .*check `replicaSet`"),
        (
            "mongodb://me:{secret}@127.0.0.1:{mute}/jobs?serverSelectionTimeoutMS=800&connectTimeoutMS=150&tls=true",
            "TLS could not be agreed on .*leave tls out",
        ),
    ],
)
def test_a_server_that_is_not_the_one_meant(url: str, says: str, front: Front, seen: Callable[[], str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        filled = url.format(nobody=free_port(), mute=mute.getsockname()[1], port=front.port, secret=SECRET, quick=QUICK)
        everybody_is_refused(filled, BackendUnavailableError, says, seen)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mongodb://me:{secret}@127.0.0.1:port/jobs", "write it as mongodb://"),
        ("mongodb://me:12/{secret}@127.0.0.1/jobs", "write it as mongodb://"),
        ("mongodb://me:12?{secret}@127.0.0.1/jobs", "write it as mongodb://"),
        ("mongodb://me:{secret}@127.0.0.1/jobs?tiemout=1", "tiemout"),
        ("mongodb://me:{secret}@127.0.0.1/jobs?tls=true&tlsCAFile=/nowhere.pem", "write it as mongodb://"),
        ("mongodb://me:{secret}@127.0.0.1/jobs?readPreference=nearest", "readPreference must be primary"),
    ],
)
def test_a_url_that_cannot_be_meant_is_told_without_its_secret(url: str, says: str, seen: Callable[[], str]) -> None:
    everybody_is_refused(url.format(secret=SECRET), InvalidSettingError, says, seen)


def test_nothing_is_lost_to_a_server_that_refuses_for_a_time(front: Front) -> None:
    store = open_installed(KitApp("refused", f"mongodb://127.0.0.1:{front.port}/{free_port()}", ManualClock(ticking=True)))
    submit(store, new("a"))
    front.refuse(_WRITES, 14031, "no space")
    for _ in range(2):
        with pytest.raises(BackendUnavailableError, match="disk is full"):
            submit(store, new("b"), new("c"))
    assert found(store) == ["a"]
    front.refuse((), 0, "")
    submit(store, new("d"))
    assert found(store) == ["a", "d"]
    store.close()
