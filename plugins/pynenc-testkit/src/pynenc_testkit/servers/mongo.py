"""A server that speaks MongoDB's protocol: a given one, `mongod` where it is installed, else the small `nx-27017` from PyPI.

nx-27017 runs one command at a time and lacks much (update pipelines, transactions, a replica set): what only a mongod shows
is marked `needs_mongod`.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

URL_VARIABLE = "PYNENC_TEST_MONGO_URL"
"""The URL of a running server; none is started then."""
_STARTS_WITHIN = 30.0  # seconds
_GOES_WITHIN = 5.0
_HEADER = struct.Struct("<iiii")
"""Length, number, the number that is answered, and kind of a message."""
_FIELDS = b"\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0"
_COMMAND = bytes(5) + struct.pack("<i", len(_FIELDS) + 5) + _FIELDS + bytes(1)
_HELLO = _HEADER.pack(_HEADER.size + len(_COMMAND), 1, 0, 2013) + _COMMAND
"""The command `{hello: 1, $db: "admin"}`."""


class MongoServer:
    """A server of the tests' own, in a folder that goes with it; it ends with this process at the latest."""

    def __init__(self, port: int = 0, *, keeps: bool = True) -> None:
        """`keeps` says whether what is stored must be there after `stop` and `start`."""
        self.port = port or free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="pynenc-mongo-", ignore_cleanup_errors=True)
        self._keeps = keeps
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self.start()
        atexit.register(self.stop)

    @property
    def url(self) -> str:
        """Its URL, without a database."""
        return f"mongodb://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id; 0 while it is stopped."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start it, and wait until it answers. Fails the test when it does not answer in time."""
        arguments = command(self.port, self._folder.name, keeps=self._keeps)
        output = Path(self._folder.name) / "output"
        with output.open("ab") as log:
            self._process = server = subprocess.Popen(arguments, stdout=log, stderr=log, start_new_session=True)
        give_up, pause = time.monotonic() + _STARTS_WITHIN, threading.Event()
        while time.monotonic() < give_up and server.poll() is None:
            if answers(self.port):
                return
            pause.wait(0.02)
        self.stop()
        said = "".join(log.read_text(errors="replace") for log in (output, output.with_name("log")) if log.is_file())
        self._folder.cleanup()
        pytest.fail(f"{' '.join(arguments)} does not answer on port {self.port}: {said[-2000:]}", pytrace=False)

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End it; tolerant of being called twice, and of a forked child, which ends without taking its parent's server along."""
        server, self._process = self._process, None
        if server is None or os.getpid() != self._owner:
            return
        server.send_signal(how)
        try:
            server.wait(_GOES_WITHIN)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def command(port: int, folder: str, *, keeps: bool = False) -> list[str]:
    """Return how to start the server there is; fails the test where there is none, saying how to get one."""
    if mongod := shutil.which("mongod"):
        return [mongod, "--port", str(port), "--bind_ip", "127.0.0.1", "--dbpath", folder, "--nounixsocket"]
    beside = Path(sys.executable).with_name("nx-27017")
    nx = str(beside) if beside.is_file() else shutil.which("nx-27017")
    if nx is None:
        pytest.fail(f"a MongoDB server is needed here: pip install nx-27017, install mongod, or set {URL_VARIABLE}", pytrace=False)
    files = ["--log-file", f"{folder}/log", "--pid-file", f"{folder}/pid"]
    return [nx, "--data-dir", folder if keeps else "memory", "--host", "127.0.0.1", "--port", str(port), *files]


def answers(port: int) -> bool:
    """Return whether a server on this port replies to a `hello`, not only accepts."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as probe:
            probe.sendall(_HELLO)
            return len(probe.recv(64)) > _HEADER.size
    except OSError:
        return False


@functools.cache
def mongo_server() -> str:
    """Return the URL of this test run's server: the one that the environment names, else of one that ends with this process."""
    return os.environ.get(URL_VARIABLE, "") or start_mongo(free_port())


def start_mongo(port: int) -> str:
    """Start a server on a port; it ends with this process at the latest. Fails the test when it does not answer in time."""
    return MongoServer(port, keeps=False).url
