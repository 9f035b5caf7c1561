"""The main of every child process: `python -m pynenc_core.worker <locator>`, told the rest over the socket that is its standard input.

With the first byte comes the descriptor of its gauge, then a line with a `WorkerStart`; then come lines of control, and it
answers with lines of its own: `ports.control`. When the socket ends, the parent is gone: what runs is handed back at once.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

import msgspec

from pynenc_core.app import Pynenc
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.errors.base import PynencError
from pynenc_core.locator import load
from pynenc_core.logs import install_handler
from pynenc_core.model import RunnerContext
from pynenc_core.plugins import PluginSnapshot
from pynenc_core.ports.control import CONTROL, Control, Report, line
from pynenc_core.ports.executor_runner import ExecutorRunner
from pynenc_core.ports.gauge import Gauge
from pynenc_core.ports.runtime import Duties
from pynenc_core.runtime import WorkerStart

_LEAVING = 5.0  # seconds after the grace in which a worker hands the rest back and ends
_FAILED_START = 70  # EX_SOFTWARE of sysexits.h: trying again at once would end the same way


class Parent:
    """The runner that started this process, at the other end of a socket."""

    def __init__(self, control: socket.socket) -> None:
        """Take the gauge that the parent shares. Raises EOFError when it is gone already."""
        self._socket = control
        first, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not first or not descriptors:
            raise EOFError
        self.gauge = Gauge(memoryview(mmap.mmap(descriptors[0], mmap.PAGESIZE)))
        os.close(descriptors[0])
        self.lines = control.makefile("rb")

    def tell(self, report: Report) -> None:
        """Say something; if the parent is gone, the end of its lines will tell."""
        with contextlib.suppress(OSError):
            self._socket.sendall(line(report))


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

    @property
    def beating(self) -> bool:
        """Return True: they are the parent's."""
        return True

    @property
    def beaten_at(self) -> float:
        """When the parent last gave one, as far as it has said."""
        return self._renewed

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""

    def beat_now(self) -> None:
        """Do nothing."""

    def check_services(self) -> None:
        """Do nothing."""

    def stand_down(self) -> None:
        """Do nothing."""


class WorkerRunner(ExecutorRunner):
    """Runs invocations in a child process, under the runner id that its parent gave it."""

    def __init__(self, app: Pynenc, context: RunnerContext, slots: int, parent: Parent) -> None:
        super().__init__(app, runner_context=context)
        self._slots = slots
        self._parent = parent
        self.gauge = parent.gauge
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

    def _replace_process(self, why: str) -> float:
        if self.running:
            self.logger.warning("worker %s ends, and another takes its place: %s", self.runner_id, why)
            self.running = False  # not as if somebody had asked for it: a stop that comes now is the first one
            self.wake()
        return self._grace + _LEAVING

    def _log_shutdown(self, signum: int | None) -> None:
        del signum  # the parent has said why
        self.logger.debug("worker %s stops", self.runner_id)

    def obey(self) -> None:
        """Carry out lines of control until they end."""
        for each in self._parent.lines:
            self._carry_out(CONTROL.decode(each))
        self.hurry.set()
        self.stop_runner_loop()

    def _carry_out(self, told: Control) -> None:
        if told.signals is not None:
            self._lease.note_renewal()  # such a line comes with each heartbeat
            self._deliver(told.signals)
        if told.stop is not None:
            self._grace = told.stop
            self.stop_runner_loop()


def main() -> int:
    """Run until told to stop; the exit code is 0 then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to parent and child alike, and the parent decides
    parent = Parent(_take_control())
    start = msgspec.json.decode(parent.lines.readline(), type=WorkerStart)
    sys.path[:] = start.path
    try:
        app = _app(start)
        worker = WorkerRunner(app, start.context.in_process(os.getpid()), start.slots, parent)
    except (PynencError, ImportError) as error:
        if isinstance(error, BackendUnavailableError):
            raise
        sys.stderr.write(f"pynenc worker: {error}\n")
        return _FAILED_START
    threading.Thread(target=worker.obey, name="pynenc-control", daemon=True).start()
    worker.run()
    app.close()
    return 0


def _take_control() -> socket.socket:
    """Return the socket to the parent, and leave an empty standard input: a task that reads it must not read our control."""
    control = socket.socket(fileno=os.dup(0))
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
