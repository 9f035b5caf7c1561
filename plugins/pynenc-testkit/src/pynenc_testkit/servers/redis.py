"""A real redis-server for tests, or a running one that the environment names."""

from __future__ import annotations

import atexit
import fcntl
import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from pynenc_testkit.stores import PATIENCE, eventually

VARIABLE = "PYNENC_TEST_REDIS_URL"
"""The URL of a running server to test against; its database is written to, under apps of the tests' own."""
_NAMES = ("redis-server", "valkey-server")
_INSTALL = ("apt-get", "install", "-y", "--no-install-recommends", "redis-server")
_UPDATE = ("apt-get", "update")


class RedisServer:
    """A server of the tests' own: without persistence unless told otherwise, in a folder that goes with it."""

    def __init__(self, *options: str, port: int = 0) -> None:
        self._options = options
        self._folder = tempfile.TemporaryDirectory(prefix="pynenc-redis-", ignore_cleanup_errors=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self.port = port or free_port()
        self.start()
        atexit.register(self.stop)

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return Path(self._folder.name)

    @property
    def url(self) -> str:
        """Its URL, without a database."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id; 0 while it is stopped."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start it, and wait until it answers; after `stop` it begins with what it has saved. Fails the test when it does not answer."""
        command = [binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._folder.name]
        command += ["--save", "", "--appendonly", "no", *self._options]
        log = self.folder / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            eventually(lambda: answers(self.port), f"an answer of {command[0]}")
        except AssertionError:
            pytest.fail(f"{' '.join(command)} does not answer: {log.read_text(errors='replace')[-2000:]}", pytrace=False)

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End it; tolerant of being called twice, and of a forked child."""
        process, self._process = self._process, None
        if process is None or os.getpid() != self._owner:
            return
        process.send_signal(how)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def binary() -> str:
    """Return the path of a server, installed first where that is possible; else fails the test and says how to get one."""
    found = _found()
    said = ""
    if not found and hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        found, said = _installed()
    if not found:
        advice = f"no {' or '.join(_NAMES)} is on PATH: {' '.join(_INSTALL)}, or name a running one in {VARIABLE}"
        pytest.fail(f"{advice}\n{said}".rstrip(), pytrace=False)
    return found


@functools.cache  # one that cannot be had is not asked for by each test
def _installed() -> tuple[str, str]:
    """Install a server; return its path, and what was said where there is none."""
    with (Path(tempfile.gettempdir()) / "pynenc-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # processes that test beside each other come here together
        said, environment = "", {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (_INSTALL, _UPDATE, _INSTALL):  # a new machine has no lists yet, and one with old ones asks for what is gone
            if found := _found():
                return found, ""
            ran = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
            said = f"{' '.join(command)} said: {(ran.stderr or ran.stdout)[-500:]}"
    return _found(), said


def _found() -> str:
    return next((path for name in _NAMES if (path := shutil.which(name))), "")


@functools.cache
def _shared(options: tuple[str, ...]) -> RedisServer:
    return RedisServer(*options)


def redis_url(options: Sequence[str] = ()) -> str:
    """Return the URL of the server that all tests of this run share, started at first need; or of the one that the environment names."""
    return os.environ.get(VARIABLE, "") or _shared(tuple(options)).url


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Return whether a server on this port says that it is ready."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as probe:
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False
