"""One worker process, as the runner that started it sees it."""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import Protocol

from pynenc_core.model import ChildReport, RunnerContext, Signal
from pynenc_core.ports.control import Control, line
from pynenc_core.ports.gauge import Gauge

_PATIENCE = struct.pack("ll", 10, 0)  # a timeval: seconds for which a child need not read what it is told

_EXIT = 2.0  # seconds that an interpreter may take for its own end, when it has let go of everything


class Process(Protocol):
    """A running program: what `subprocess.Popen` offers of it."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, as soon as there is one. Raises subprocess.TimeoutExpired."""
        ...

    def send_signal(self, sig: int) -> None:
        """Send it a signal, unless it has ended."""
        ...


def spawned(command: Sequence[str]) -> Callable[[socket.socket], Process]:
    """Return what starts `command` as a program of its own, with a socket as its standard input.

    Never a fork: whatever threads and locks this process has stay here. The function raises OSError when it cannot start.
    """

    def start(theirs: socket.socket) -> Process:
        return subprocess.Popen(command, stdin=theirs.fileno())

    return start


class Child:
    """A started process, the socket over which it is told what to do, and the gauge in which it shows its load.

    Its runner id was made before it was started.
    """

    def __init__(
        self,
        context: RunnerContext,
        start: Callable[[socket.socket], Process],
        first_line: bytes,
        ended: Callable[[], None],
    ) -> None:
        """Start the process; `ended` is called from a thread at the moment it ends. Raises OSError when it cannot start."""
        self.started_at = time.monotonic()
        self._control, theirs = socket.socketpair()
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _PATIENCE)
        self._lock = threading.Lock()
        self.sent = 0
        """How many lines it was sent after the first."""
        self.invocation_ids: tuple[str, ...] = ()
        """What runs or waits in it, as far as its parent knows."""
        self.stops = False
        """It was asked to stop."""
        self._said = b""
        self._deaf_since = 0.0
        try:
            with theirs, _shared_bytes() as shown:
                self.gauge = Gauge(memoryview(mmap.mmap(shown, mmap.PAGESIZE)))
                self.process = start(theirs)
                socket.send_fds(self._control, [b"\n"], [shown])
            self._send(first_line)
        except BaseException:
            self._control.close()
            raise
        self.context = context.in_process(self.process.pid)
        threading.Thread(target=self._watch, args=(ended,), name=f"pynenc-child-{self.process.pid}", daemon=True).start()

    @property
    def runner_id(self) -> str:
        """The id under which the child claims."""
        return self.context.runner_id

    @property
    def alive(self) -> bool:
        """Whether the operating system says so."""
        return self.process.poll() is None

    def tell(self, message: Control) -> None:
        """Send a line; a child that is dead, or told to hurry, is passed over: the runner sees it in a moment."""
        self.sent += 1
        self._send(line(message))

    def ask_to_stop(self, grace: float) -> None:
        """Let it end what runs within `grace` seconds, hand back the rest, and exit."""
        self.stops = True
        self.tell(Control(stop=grace))

    def hurry(self) -> None:
        """Let it hand everything back at once: the end of its input says so."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    def deliver(self, signals: Sequence[Signal]) -> None:
        """Pass requests on, or none, which tells it that its lease was renewed; it knows which of them concern it.

        One that does not read is passed over, since who calls may not be delayed: it is told again with the next heartbeat.
        One that lives and has let go of its end can be told nothing ever again, and is killed.
        """
        looks = self._looks()
        if looks & (select.POLLHUP | select.POLLERR):
            self._deaf_since = self._deaf_since or time.monotonic()
            if time.monotonic() - self._deaf_since > _EXIT and self.alive:
                self.kill()
        elif looks & select.POLLOUT:
            self.tell(Control(signals=list(signals)))

    def lines(self) -> Sequence[bytes]:
        """Block until the child says something, and return its lines; () when it will say nothing more. For one thread only."""
        said = self._said
        while b"\n" not in said:
            try:
                more = self._control.recv(1 << 16)
            except OSError:
                more = b""
            if not more:
                return ()
            said += more
        whole, _, self._said = said.rpartition(b"\n")
        return whole.split(b"\n")

    def kill(self) -> None:
        """End it; that it is gone is told as of any other."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)

    def wait(self, timeout: float) -> bool:
        """Return whether it has ended, waiting up to `timeout` seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)
        return not self.alive

    def report(self, reason: str = "") -> ChildReport:
        """Return what is known of it."""
        code = self.process.poll()
        return ChildReport(
            runner_id=self.runner_id,
            pid=self.process.pid,
            alive=code is None,
            exit_code=code,
            exit_reason=reason,
            invocation_ids=self.invocation_ids,
        )

    def _looks(self) -> int:
        """Return what `select.poll` says of the socket: whether there is room for a line, and whether anybody is there."""
        with contextlib.suppress(OSError, ValueError):
            looking = select.poll()
            looking.register(self._control, select.POLLOUT)
            return sum(events for _, events in looking.poll(0))
        return 0

    def _send(self, what: bytes) -> None:
        with self._lock, contextlib.suppress(OSError):
            try:
                self._control.sendall(what)
            except BlockingIOError:  # it does not read, and has half a line: nothing more can be told to it
                self.process.send_signal(signal.SIGKILL)

    def _watch(self, ended: Callable[[], None]) -> None:
        self.process.wait()
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)  # who still reads here, or a grandchild that holds the other end, learns it
        ended()

    def close(self) -> None:
        """Let go of the socket of one that has ended."""
        self._control.close()


@contextlib.contextmanager
def _shared_bytes() -> Generator[int, None, None]:
    """Yield the descriptor of a file that has no name, one page long, to be mapped by two processes."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pynenc-gauge", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as nameless:
            descriptor = os.dup(nameless.fileno())
    try:
        os.ftruncate(descriptor, mmap.PAGESIZE)
        yield descriptor
    finally:
        os.close(descriptor)
