"""A process that has everything loaded and forks workers on request, as the runner that started it sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

import msgspec

from pynenc_core.errors.runners import PreloadRefusedError

_PATIENCE = 30.0  # seconds for the server to load everything, and then for each fork


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

    def __init__(self, command: Callable[[], tuple[Sequence[str], bytes]]) -> None:
        """`command` returns how to start the server, and the line to send to it first, which says what to load."""
        self._command = command
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._replies: SimpleQueue[_Reply] = SimpleQueue()

    def open(self) -> None:
        """Start the server, unless it runs, and wait until it is ready. Raises OSError, PreloadRefusedError."""
        with self._lock:
            self._open()

    def fork(self, theirs: socket.socket) -> ForkedProcess:
        """Return a new worker whose standard input is this socket. Raises OSError, PreloadRefusedError."""
        with self._lock:
            control = self._open()
            socket.send_fds(control, [b"f"], [theirs.fileno()])
            reply = self._reply()
            if not isinstance(reply, ForkedProcess):
                raise OSError(reply.failed)
            return reply

    def close(self) -> None:
        """End the server and whatever it has forked."""
        with self._lock:
            control, self._socket = self._socket, None
            process, self._process = self._process, None
        if control is not None:
            with contextlib.suppress(OSError):
                control.shutdown(socket.SHUT_RDWR)
        if process is not None:
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
        first = self._reply()
        if isinstance(first, ForkReport) and first.refused:
            raise PreloadRefusedError(first.refused)
        if isinstance(first, ForkReport) and first.failed:
            raise OSError(first.failed)
        return ours

    def _reply(self) -> _Reply:
        try:
            reply = self._replies.get(timeout=_PATIENCE)
        except Empty:
            reply = ForkReport(failed="the server that forks workers does not answer")
        if reply == ForkReport():
            return ForkReport(failed="the server that forks workers has ended")
        return reply

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
