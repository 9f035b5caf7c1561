"""One worker process, as its parent sees it."""

from __future__ import annotations

import contextlib
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from pynenc_core.model import RunnerContext, Signal


class Child:
    """A started process, and the pipe over which it is told what to do. Its runner id was made before it was started."""

    def __init__(self, context: RunnerContext, command: Sequence[str], first_line: bytes, ended: Callable[[], None]) -> None:
        """Start the process; `ended` is called from a thread at the moment it ends. Raises OSError when it cannot start."""
        self.context = context
        self.started_at = time.monotonic()
        # A program of its own, never a fork: whatever threads and locks this process has stay here.
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE)
        self._pipe_lock = threading.Lock()
        self._send(first_line)
        threading.Thread(target=self._watch, args=(ended,), name=f"pynenc-child-{self.process.pid}", daemon=True).start()

    @property
    def runner_id(self) -> str:
        """The id under which the child claims."""
        return self.context.runner_id

    @property
    def alive(self) -> bool:
        """Whether the operating system says so."""
        return self.process.poll() is None

    def ask_to_stop(self, grace: float) -> None:
        """Let it end what runs within `grace` seconds, hand back the rest, and exit."""
        self._send(msgspec.json.encode({"stop": grace}) + b"\n")

    def hurry(self) -> None:
        """Let it hand everything back at once: the end of its input says so."""
        with self._pipe_lock, contextlib.suppress(OSError):
            if self.process.stdin is not None:
                self.process.stdin.close()

    def deliver(self, signals: Sequence[Signal]) -> None:
        """Pass requests on, or none, which tells it that its lease was renewed; it knows which of them concern it.

        One that does not read is passed over, since who calls may not be delayed: it is told again with the next heartbeat.
        """
        if self._reads():
            self._send(msgspec.json.encode({"signals": signals}) + b"\n")

    def kill(self) -> None:
        """End it now, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def exit_reason(self) -> str:
        """Return how it ended: by which signal, or with which exit code."""
        code = self.process.returncode
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}"

    def _reads(self) -> bool:
        """Return whether there is room in the pipe."""
        with self._pipe_lock, contextlib.suppress(OSError, ValueError):
            if self.process.stdin is not None:
                looking = select.poll()
                looking.register(self.process.stdin, select.POLLOUT)
                return bool(looking.poll(0))
        return False

    def _send(self, line: bytes) -> None:
        with self._pipe_lock, contextlib.suppress(OSError, ValueError):  # it is dead or told to hurry; the runner sees it in a moment
            if self.process.stdin is not None:
                self.process.stdin.write(line)
                self.process.stdin.flush()

    def _watch(self, ended: Callable[[], None]) -> None:
        self.process.wait()
        self.hurry()  # nobody reads at the other end any more: the pipe is closed
        ended()
