"""A project of a user's over SQLite, with the command `pynenc runner start` run as a process, and a client in this one."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from unit.app.running import eventually

START = 60.0
"""Seconds after which a process that has to start, or to end, counts as hanging."""

JOBS = """
import os, sys, time
from pathlib import Path
from pynenc_core import Pynenc

app = Pynenc("sqlite:///jobs.db", app_id="shop", runner={"max_threads": 2, "num_processes": 1, "grace_period_sec": 40.0})

@app.task
def value() -> int:
    return 1

@app.task
def pid() -> int:
    return os.getpid()

@app.task
def imported(*names: str) -> list[str]:
    return [name for name in names if name in sys.modules]

@app.task
def variable(name: str) -> str:
    return os.environ.get(name, "")

@app.task
def until(path: str) -> str:
    Path(path + ".begun").touch()
    while not Path(path).exists():
        time.sleep(0.01)
    return "done"
"""


@attrs.frozen
class Run:
    """A running command and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def told(self) -> str:
        """What it has said so far."""
        return self.log.read_text()

    def says(self, text: str, times: int = 1) -> None:
        """Wait until it has said this so often."""
        eventually(lambda: self.told.count(text) >= times or self.process.poll() is not None, f"{text!r} ({times} times)", START)
        assert self.told.count(text) >= times, self.told

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(START)

    @property
    def port(self) -> int:
        """The port of its health server, when it has said so."""
        self.says("health is told on http://127.0.0.1:")
        found = re.search(r"health is told on http://127\.0\.0\.1:(\d+)", self.told)
        assert found
        return int(found[1])


@attrs.frozen
class Place:
    """The folder of the project."""

    folder: Path

    def write(self, name: str, text: str) -> Path:
        """Write a file, whole at once, as editors do: nobody imports the half of it."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(text)
        return beside.replace(path)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a part of a file."""
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    @contextmanager
    def running(self, *options: str, runner: str = "thread", **environ: str) -> Iterator[Run]:
        """Run `pynenc runner start` while the block lasts, at the head of a process group of its own."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith("PYNENC_")}
        log = self.folder / "log"
        command = [sys.executable, "-m", "pynenc_core.cli", "--app", "jobs:app", "runner", "start", "--runner", runner, *options]
        with (
            log.open("w") as stderr,
            subprocess.Popen(
                command, cwd=self.folder, env={**kept, **environ}, stderr=stderr, stdout=stderr, start_new_session=True
            ) as process,
        ):
            run = Run(process, log)
            try:
                yield run
            except BaseException as error:
                error.add_note(run.told)
                raise
            finally:
                process.kill()

    @contextmanager
    def client(self) -> Iterator[ModuleType]:
        """Give the module of the tasks as it is now, to call them."""
        before = Path.cwd()
        spec = importlib.util.spec_from_file_location("jobs", self.folder / "jobs.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["jobs"] = module
        os.chdir(self.folder)
        try:
            spec.loader.exec_module(module)
            yield module
        finally:
            module.app.close()
            os.chdir(before)
            del sys.modules["jobs"]


def asked(port: int, path: str, method: str = "GET") -> tuple[int, Any]:
    """Return status and body of an answer of the health server; what is not JSON as text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        raw = answer.read().decode()
        return answer.status, json.loads(raw) if answer.headers["Content-Type"] == "application/json" else raw
    finally:
        connection.close()


@contextmanager
def watched_end(pid: int) -> Iterator[int]:
    """Give a descriptor of a process that `ended` looks at: its number may be given to another one."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def ended(descriptor: int, patience: float = START) -> bool:
    """Return whether that process has ended, waiting for it."""
    return bool(select.select([descriptor], [], [], patience)[0])
