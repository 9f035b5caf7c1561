"""A process that has everything loaded and forks workers on request, as the runner that started it sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

import msgspec

from pynenc_core.errors.runners import PreloadRefusedError

_PATIENCE = 30.0  # seconds for a fork; what loading takes is the app's affair
_FAREWELL = 2.0  # seconds for the server to end by itself
_LOOK = 0.2  # seconds between looks whether the runner still wants an answer


class ForkReport(msgspec.Struct, omit_defaults=True):
    """One line from the server."""

    ready: bool = False
    refused: str = ""
    """Why it will fork nothing."""
    failed: str = ""
    """Why one fork was not possible."""
    pid: int = 0
    """A worker was forked, or has ended."""
    code: int | None = None
    """How it has ended; negative for a signal."""


_REPORT = msgspec.json.Decoder(ForkReport)
_SILENT = "the server that forks workers did not answer, and was ended"


class ForkedProcess:
    """A worker that the server has forked; it offers what `subprocess.Popen` does."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = threading.Event()
        self._descriptor = -1
        if hasattr(os, "pidfd_open"):  # by its number alone we might signal a stranger that came after it
            with contextlib.suppress(OSError):
                self._descriptor = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, as soon as there is one. Raises subprocess.TimeoutExpired."""
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return self.returncode or 0

    def send_signal(self, sig: int) -> None:
        """Send it a signal, unless it has ended. Raises ProcessLookupError when it just has."""
        if self.returncode is not None:
            return
        if self._descriptor >= 0:
            signal.pidfd_send_signal(self._descriptor, sig)
        else:
            os.kill(self.pid, sig)

    def note_end(self, code: int) -> None:
        """Learn how it ended."""
        self.returncode = code
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        self._ended.set()


_Reply = ForkReport | ForkedProcess


class ForkServer:
    """Starts the server at the first fork, and again when it has died; all its workers die with it."""

    def __init__(self, command: Callable[[], tuple[Sequence[str], bytes]], given_up: Callable[[], bool]) -> None:
        """`command` returns how to start the server, and the line to send to it first, which says what to load.

        Nobody waits for an answer of the server any more when `given_up` says so, which it then says for ever.
        """
        self._command = command
        self._given_up = given_up
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._replies: SimpleQueue[_Reply] = SimpleQueue()

    def open(self) -> None:
        """Start the server, unless it runs, and wait until it is ready, or given up. Raises OSError, PreloadRefusedError."""
        with self._lock:
            try:
                self._open()
            except OSError:
                if not self._given_up():
                    raise

    def fork(self, theirs: socket.socket) -> ForkedProcess:
        """Return a new worker whose standard input is this socket. Raises OSError, PreloadRefusedError."""
        with self._lock:
            control = self._open()
            socket.send_fds(control, [b"f"], [theirs.fileno()])
            forked = self._take(_PATIENCE)
            if forked is None:
                raise OSError(_SILENT)
            return forked

    def close(self) -> None:
        """End the server and whatever it has forked."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        control, self._socket = self._socket, None
        process, self._process = self._process, None
        if control is not None:
            with contextlib.suppress(OSError):
                control.shutdown(socket.SHUT_RDWR)
        if process is not None:
            try:
                process.wait(_FAREWELL)
            except subprocess.TimeoutExpired:  # it stands still
                process.kill()
                process.wait()

    def _open(self) -> socket.socket:
        if self._socket is not None and self._process is not None and self._process.poll() is None:
            return self._socket
        ours, theirs = socket.socketpair()
        self._replies = SimpleQueue()
        command, first_line = self._command()
        with theirs:
            self._process = subprocess.Popen(command, stdin=theirs.fileno())
        self._socket = ours
        threading.Thread(target=self._listen, args=(ours, self._replies), name="pynenc-fork-server", daemon=True).start()
        ours.sendall(first_line)
        self._take(None)
        return ours

    def _take(self, patience: float | None) -> ForkedProcess | None:
        """Return what the server has forked, None where it says that it is ready. A bad reply ends it: no other counts any more."""
        reply = self._reply(patience)
        if reply is None:  # who has given up asks for nothing more; what was forked before has its grace, so the server stays
            raise OSError("it is not waited for any more")
        if isinstance(reply, ForkedProcess):
            return reply
        if reply.ready:
            return None
        self._end()
        if reply.refused:
            raise PreloadRefusedError(reply.refused)
        raise OSError(reply.failed or "the server that forks workers has ended")

    def _reply(self, patience: float | None) -> _Reply | None:
        """Return what the server says next; None when the runner has given up."""
        deadline = None if patience is None else time.monotonic() + patience
        while not self._given_up():
            with contextlib.suppress(Empty):
                return self._replies.get(timeout=_LOOK)
            if deadline is not None and time.monotonic() > deadline:
                return ForkReport(failed=_SILENT)
        return None

    def _listen(self, control: socket.socket, replies: SimpleQueue[_Reply]) -> None:
        forked: dict[int, ForkedProcess] = {}
        with control, control.makefile("rb") as lines, contextlib.suppress(OSError):
            for each in lines:
                report = _REPORT.decode(each)
                if report.code is not None:
                    forked.pop(report.pid).note_end(report.code)
                elif report.pid:
                    forked[report.pid] = ForkedProcess(report.pid)
                    replies.put(forked[report.pid])
                else:
                    replies.put(report)
        replies.put(ForkReport())
        for orphan in forked.values():
            with contextlib.suppress(OSError):
                orphan.send_signal(signal.SIGKILL)  # the system does it by itself on Linux
            orphan.note_end(-signal.SIGKILL)
