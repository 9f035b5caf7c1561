"""A server that speaks MongoDB's protocol: a given one, `mongod` where it is installed, else the small `nx-27017` from PyPI.

nx-27017 runs one command at a time and lacks much (update pipelines, transactions, a replica set): what only a mongod shows
is marked `needs_mongod`.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import signal
import socket
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


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def command(port: int, folder: str) -> list[str]:
    """Return how to start the server there is; fails the test where there is none, saying how to get one."""
    if mongod := shutil.which("mongod"):
        return [mongod, "--port", str(port), "--bind_ip", "127.0.0.1", "--dbpath", folder, "--nounixsocket"]
    beside = Path(sys.executable).with_name("nx-27017")
    nx = str(beside) if beside.is_file() else shutil.which("nx-27017")
    if nx is None:
        pytest.fail(f"a MongoDB server is needed here: pip install nx-27017, install mongod, or set {URL_VARIABLE}", pytrace=False)
    files = ["--log-file", f"{folder}/log", "--pid-file", f"{folder}/pid"]
    return [nx, "--data-dir", "memory", "--host", "127.0.0.1", "--port", str(port), *files]


@functools.cache
def mongo_server() -> str:
    """Return the URL of this test run's server, `mongodb://host:port`; started at the first call, ended with this process."""
    if given := os.environ.get(URL_VARIABLE):
        return given.rstrip("/")
    port = free_port()
    return start_mongo(port)


def start_mongo(port: int) -> str:
    """Start a server on a port; it ends with this process at the latest. Fails the test when it does not answer in time."""
    folder = tempfile.mkdtemp(prefix="pynenc-mongo-")
    server = subprocess.Popen(command(port, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    owner = os.getpid()

    def end() -> None:
        if os.getpid() != owner:  # a forked child ends without taking its parent's server along
            return
        with contextlib.suppress(ProcessLookupError):
            server.send_signal(signal.SIGTERM)
        try:
            server.wait(_GOES_WITHIN)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    give_up, pause = time.monotonic() + _STARTS_WITHIN, threading.Event()
    while time.monotonic() < give_up and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return f"mongodb://127.0.0.1:{port}"
        pause.wait(0.02)
    end()
    pytest.fail(f"{server.args!r} does not answer on port {port}", pytrace=False)
