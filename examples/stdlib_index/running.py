"""Starts a runner for the time of the demonstration, in a process or in a thread of its own, and stops it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from pynenc_core import Pynenc

APP = "stdlib_index.tasks:app"
"""Where other processes find the app."""
_EXAMPLES = Path(__file__).parent.parent
_STOPPING = 60.0  # seconds: more than the grace period, so that a runner which does not stop is a failure and no hang
_IN_A_HURRY = 1.0


class RunnerFailedError(Exception):
    """The runner did not start, did not stay, or did not end as it should."""


class Running(Protocol):
    """A runner that was started."""

    def check(self) -> None:
        """Raise RunnerFailedError if it has ended by itself."""
        ...


def pynenc_command() -> list[str]:
    """Return the command line's program of this environment, whether or not it is on the path."""
    program = Path(sys.executable).with_name("pynenc")
    return [os.path.relpath(program)] if program.exists() else [sys.executable, "-m", "pynenc_core"]


class _Process:
    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def check(self) -> None:
        code = self.process.poll()
        if code is not None:
            said = "\n".join(f"  {line}" for line in self.log.read_text(errors="replace").splitlines()[-12:])
            raise RunnerFailedError(f"the runner ended with exit code {code}; the end of {self.log}:\n{said}")

    def stop(self, *, hurried: bool) -> None:
        """Send SIGTERM and wait for the end; a second one lets it hand back what runs instead of finishing it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_IN_A_HURRY if hurried else _STOPPING)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGTERM)
                try:
                    self.process.wait(_STOPPING)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
        if self.process.returncode != 0:
            raise RunnerFailedError(f"the runner ended with exit code {self.process.returncode} instead of 0; see {self.log}")


@contextmanager
def runner_process(runner: str) -> Iterator[Running]:
    """Run `pynenc runner start` beside this process, stop it with SIGTERM, and insist on exit code 0."""
    log = Path(".pynenc", "stdlib_index.runner.log")
    log.parent.mkdir(exist_ok=True)
    path = os.pathsep.join(part for part in (str(_EXAMPLES), os.environ.get("PYTHONPATH", "")) if part)
    command = [*pynenc_command(), "--app", APP, "runner", "start", "--runner", runner]
    with log.open("wb") as output:
        started = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": path})
    running = _Process(started, log)
    try:
        yield running
    except BaseException:
        with suppress(RunnerFailedError):  # what happened first is what has to be told
            running.stop(hurried=True)
        raise
    running.stop(hurried=False)


class _Thread:
    def __init__(self, thread: threading.Thread) -> None:
        self.thread = thread

    def check(self) -> None:
        if not self.thread.is_alive():
            raise RunnerFailedError("the runner's thread has ended by itself")


@contextmanager
def runner_thread(app: Pynenc, runner: str) -> Iterator[Running]:
    """Run a runner in a thread of this process, which is all that a store in memory allows."""
    errors = logging.StreamHandler()
    errors.setLevel(logging.ERROR)  # a warning that the signals of this process stay with this script is as it should be
    logging.getLogger("pynenc").addHandler(errors)
    made = app.make_runner(runner)
    thread = threading.Thread(target=made.run, name="runner", daemon=True)
    thread.start()
    try:
        yield _Thread(thread)
    finally:
        made.stop_runner_loop()
        thread.join(_STOPPING)
    if thread.is_alive():
        raise RunnerFailedError("the runner's thread does not end")
