"""The main of the process that forks workers: `python -m pynenc_core.worker.forkserver`, with a socket as its standard input.

The first line says what to load, once; then each byte comes with the descriptor of a socket, which becomes the standard
input of one more worker. It has one thread only, and opens nothing, so that a fork copies no lock and no connection. When its
socket ends the runner is gone: it kills what it has forked, and ends.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from pynenc_core.config import CORE_SECTIONS
from pynenc_core.configuration.sections import Sections
from pynenc_core.plugins import PluginManager
from pynenc_core.plugins.discovery import keep_discovery
from pynenc_core.ports.forking import ForkReport
from pynenc_core.worker import program
from pynenc_core.worker.parent import take_control
from pynenc_core.worker_start import ForkServerStart

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class _Server:
    """The one loop."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: set[int] = set()
        self._rung, self._bell = socket.socketpair()
        self._preloaded: Any = None
        self._self = os.getpid()

    def load(self, start: ForkServerStart) -> str:
        """Import what workers need; return why they may not be forked from here, or nothing."""
        sys.path[:] = start.path
        for module in start.modules:
            importlib.import_module(module)
        keep_discovery()
        PluginManager().load()  # for their modules: each worker has a manager of its own
        Sections(CORE_SECTIONS, dict)  # for what it keeps of these classes
        if start.app is None:
            return ""
        try:
            self._preloaded = program.load_app(start.app)
            self._preloaded.store_specs()  # asks the plugins, which is half of what is left of a start
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the app's modules may raise anything
            return f"importing {start.app.locator} raised {type(error).__name__}: {error}"
        if left := _other_threads():
            problem = "of which a forked worker would have only the locks: start those in a task or at first use"
            return f"importing {start.app.locator} starts threads ({left}), {problem}"
        return ""

    def serve(self) -> None:
        """Fork on request and tell of ends, until the socket ends."""
        for end in (self._rung, self._bell):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, _nothing)  # so that the wake-up descriptor is written
        signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        gc.collect()
        gc.freeze()  # what is loaded now is never collected in a worker, whose collector would copy every page
        self._tell(ForkReport(ready=True))
        while True:
            readable, _, _ = select.select([self._control, self._rung], [], [])
            if self._rung in readable:
                self._reap()
            if self._control in readable and not self._answer():
                return

    def _answer(self) -> bool:
        """Fork once; False when nobody asks any more."""
        try:
            asked, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        except OSError:
            asked, descriptors = b"", []
        if not asked:
            return False
        if not descriptors:
            self._tell(ForkReport(failed="no descriptor arrived: this process may open no more"))
            return True
        try:
            pid = os.fork()
        except OSError as error:
            self._tell(ForkReport(failed=str(error)))
            pid = -1
        if pid == 0:
            self._become_worker(descriptors[0])
        os.close(descriptors[0])
        if pid > 0:
            self._children.add(pid)
            self._tell(ForkReport(pid=pid))
        return True

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._rung.recv(512):
                pass
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._children.discard(pid)
                self._tell(ForkReport(pid=pid, code=os.waitstatus_to_exitcode(status)))

    def kill_all(self) -> None:
        """End what was forked here."""
        for pid in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _tell(self, report: ForkReport) -> None:
        with contextlib.suppress(OSError):  # its end is noticed by reading
            self._control.sendall(msgspec.json.encode(report) + b"\n")

    def _become_worker(self, descriptor: int) -> None:
        """Go on as a worker, in the forked process; never returns."""
        code = program.FAILED_START
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            for mine in (self._control, self._rung, self._bell):
                mine.close()
            _die_with(self._self)
            os.dup2(descriptor, 0)
            os.close(descriptor)
            code = program.main(self._preloaded)
        except BaseException:  # noqa: BLE001 - the interpreter of the server must not go on here
            traceback.print_exc()
        finally:
            program.leave(code)


def _nothing(signum: int, frame: FrameType | None) -> None:
    """Take a signal."""


def _die_with(parent: int) -> None:
    """Let the system kill this process when its parent ends, also while it is stopped; Linux alone can."""
    if sys.platform == "linux":
        import ctypes  # imported late, and loaded by then: the server does it for all

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(program.FAILED_START)


def _other_threads() -> str:
    """Return the names of threads beside the main one, or how many the interpreter does not know."""
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    tasks = Path("/proc/self/task")
    unknown = len(list(tasks.iterdir())) - 1 - len(names) if tasks.is_dir() else 0
    return ", ".join([*names, *([f"{unknown} of a library's own"] if unknown > 0 else [])])


def main() -> int:
    """Serve until the runner is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to a whole group: the runner decides
        signal.signal(number, signal.SIG_IGN)
    control = take_control()
    first = bytearray()
    while not first.endswith(b"\n"):
        more = control.recv(1)  # byte by byte: what comes after the line has descriptors with it
        if not more:
            return 0
        first += more
    server = _Server(control)
    if refused := server.load(msgspec.json.decode(bytes(first), type=ForkServerStart)):
        control.sendall(msgspec.json.encode(ForkReport(refused=refused)) + b"\n")
        return program.FAILED_START
    try:
        server.serve()
    finally:
        server.kill_all()
    return 0


if __name__ == "__main__":
    sys.exit(main())
