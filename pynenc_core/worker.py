"""The main of every child process: `python -m pynenc_core.worker <locator>`, told the rest on its standard input.

The first line is a `WorkerStart`; then come lines of control: `{"stop": grace_seconds}`, and, with each heartbeat that the
parent gives, `{"signals": [...]}` with requests for what runs here. When standard input ends, the parent is gone: what runs
is handed back at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any, BinaryIO

import msgspec

from pynenc_core.app import Pynenc
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.errors.base import PynencError
from pynenc_core.locator import load
from pynenc_core.logs import install_handler
from pynenc_core.model import RunnerContext, Signal
from pynenc_core.plugins import PluginSnapshot
from pynenc_core.ports.executor_runner import ExecutorRunner
from pynenc_core.ports.runtime import Duties
from pynenc_core.runtime import WorkerStart

_FAILED_START = 70  # EX_SOFTWARE of sysexits.h: trying again at once would end the same way


class Control(msgspec.Struct):
    """One line of control."""

    stop: float | None = None
    signals: list[Signal] | None = None


class NoDuties:
    """A worker's parent gives its heartbeats and knows from the operating system whether it lives."""

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._renewed = time.monotonic()

    def note_renewal(self) -> None:
        """Note that the parent has just given a heartbeat."""
        self._renewed = time.monotonic()

    @property
    def may_claim(self) -> bool:
        """False while no heartbeat was given for one lease: the parent stands still, and others recover what is claimed here."""
        return time.monotonic() - self._renewed < self._lease

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""

    def beat_now(self) -> None:
        """Do nothing."""

    def stand_down(self) -> None:
        """Do nothing."""


class WorkerRunner(ExecutorRunner):
    """Runs invocations in a child process, under the runner id that its parent gave it."""

    def __init__(self, app: Pynenc, context: RunnerContext, slots: int) -> None:
        super().__init__(app, runner_context=context)
        self._slots = slots
        self._grace = self.conf.grace_period_sec

    def _open_duties(self) -> Duties:
        self._lease = NoDuties(self.conf.runner_considered_dead_after_minutes * 60)
        return self._lease

    @property
    def max_parallel_slots(self) -> int:
        """How many invocations may run at once here."""
        return self._slots

    def on_start(self) -> None:
        """Start what executes; the parent has announced everything else."""
        self._stopped.clear()
        self.running = True
        self._on_start()

    def on_stop(self) -> None:
        """Drain within the grace that the parent has left."""
        try:
            if self.executor is not None:
                self.executor.drain(self._grace, self.hurry)
        finally:
            self._stopped.set()

    def _log_shutdown(self, signum: int | None) -> None:
        del signum  # the parent has said why
        self.logger.debug("worker %s stops", self.runner_id)

    def obey(self, control: BinaryIO) -> None:
        """Carry out lines of control until they end."""
        for line in control:
            told = msgspec.json.decode(line, type=Control)
            if told.signals is not None:
                self._lease.note_renewal()  # such a line comes with each heartbeat
                self._deliver(told.signals)
            if told.stop is not None:
                self._grace = told.stop
                self.stop_runner_loop()
        self.hurry.set()
        self.stop_runner_loop()


def main() -> int:
    """Run until told to stop; the exit code is 0 then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to parent and child alike, and the parent decides
    control = _take_control()
    start = msgspec.json.decode(control.readline(), type=WorkerStart)
    sys.path[:] = start.path
    try:
        app = _app(start)
        worker = WorkerRunner(app, start.context.in_process(os.getpid()), start.slots)
    except (PynencError, ImportError) as error:
        if isinstance(error, BackendUnavailableError):
            raise
        sys.stderr.write(f"pynenc worker: {error}\n")
        return _FAILED_START
    threading.Thread(target=worker.obey, args=(control,), name="pynenc-control", daemon=True).start()
    worker.run()
    app.close()
    return 0


def _take_control() -> BinaryIO:
    """Return the pipe from the parent, and leave an empty standard input: a task that reads it must not read our control."""
    control = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return control


def _app(start: WorkerStart) -> Pynenc:
    app: Any = load(start.locator)
    app.plugins.check_snapshot(PluginSnapshot(tuple(start.plugins)))
    app.conf.apply(start.settings)
    app.found_as = start.locator
    install_handler(app)
    for module in start.modules:
        __import__(module)
    app.import_task_modules()
    return app  # type: ignore[no-any-return] # whatever the locator names; it behaves as an app or fails above


if __name__ == "__main__":
    # Without the interpreter's own farewell: a task that does not end has its daemon thread, and must not hold up the exit.
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
