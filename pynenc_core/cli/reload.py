"""`pynenc runner start --reload`: the runner is a child process, and is started anew when a source file changes."""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import attrs
import click
import msgspec

from pynenc_core.cli.exits import OK, USAGE
from pynenc_core.cli.supervised import Report
from pynenc_core.errors.cli import ReloadUnavailableError
from pynenc_core.orchestration.shutdown import stop_signals

_AFTER_GRACE = 10.0  # seconds a runner has beyond its grace until it is killed
_GRACE = 25.0  # before it has told its own
_STEP = 100  # milliseconds without a change after which what changed is acted on
_BEGIN = 10.0  # seconds in which watching must have begun
_NO_SIGNALS, _NEEDS_POSIX = "this platform has no POSIX signals", "start the runner without it"
_TOO_MANY = "raise fs.inotify.max_user_watches, or start where fewer folders are"


@attrs.frozen(eq=False)
class _News:
    kind: Literal["changed", "reported", "ended", "signal"]
    child: _Child | None = None
    report: Report | None = None
    paths: tuple[str, ...] = ()


class Reloading:
    """The supervisor: waits for news, and starts and stops the runner. Nothing of the app is imported here."""

    def __init__(self, command: Sequence[str], folders: Iterable[Path]) -> None:
        """`command` are the arguments of the runner's own `pynenc`; `folders` are watched from the beginning."""
        self._command = command
        self._folders = folders
        self._news: queue.SimpleQueue[_News] = queue.SimpleQueue()
        self._watches: list[_Watch] = []
        self._child: _Child | None = None
        self._stops = 0
        self._wanted = True
        """A runner shall be started: there has been none since the last change."""
        self._never_ran = True

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; return the exit code. Raises ReloadUnavailableError."""
        if not hasattr(signal, "pthread_sigmask"):
            raise ReloadUnavailableError(_NO_SIGNALS, _NEEDS_POSIX)
        with stop_signals(logging.getLogger("pynenc.reload"), self._note_stop, lambda: self._news.put(_News("signal"))):
            try:
                self._watch(self._folders)
                return self._loop()
            finally:
                for watch in self._watches:
                    watch.stop()
                if self._child is not None:
                    self._child.kill()

    def _note_stop(self, signum: int) -> None:
        del signum
        self._stops += 1

    def _loop(self) -> int:
        while True:
            if self._child is None:
                if self._stops:
                    return OK
                if self._wanted:
                    self._wanted, self._child = False, _Child(self._command, self._news.put)
            news = self._next()
            if news is None and self._child is not None:
                _say(f"the runner did not end within {self._child.grace + _AFTER_GRACE:g} s; it is killed")
                self._child.kill()
            elif news is not None and self._take_in(news) == USAGE:
                return USAGE
            if self._child is not None:
                self._child.ask_to_stop(max(self._stops, int(self._wanted)))

    def _next(self) -> _News | None:
        """Wait for news; None when the runner's time to stop is over."""
        try:
            return self._news.get(timeout=self._child.time_left() if self._child is not None else None)
        except queue.Empty:
            return None

    def _take_in(self, news: _News) -> int:
        """Learn what has happened; USAGE where what was typed can never work."""
        child = self._child
        if news.kind == "changed" and not self._wanted:
            self._wanted = True
            _say(f"{_shown(news.paths)} changed; the runner starts anew")
        elif child is None or news.child is not child:
            pass  # a signal, or news of one that has ended
        elif news.report is not None:
            self._never_ran, child.grace = False, news.report.grace
            self._watch(map(Path, news.report.folders))
        elif news.kind == "ended":
            code, self._child = child.wait(), None
            if code == USAGE and self._never_ran:
                return USAGE  # it has said what is wrong
            if not self._wanted and not self._stops:
                how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
                _say(f"the runner {how}; it starts again when a file changes")
        return OK

    def _watch(self, folders: Iterable[Path]) -> None:
        watched = [folder for watch in self._watches for folder in watch.folders]
        found = dict.fromkeys(folder.resolve() for folder in folders)
        fresh = [each for each in found if not any(each.is_relative_to(other) for other in (*watched, *(found.keys() - {each})))]
        if fresh:
            watch = _Watch(fresh, lambda paths: self._news.put(_News("changed", paths=paths)))
            self._watches.append(watch)
            watch.begin()
            _say(f"watching {', '.join(map(str, fresh))}")


class _Child:
    """One start of the runner."""

    def __init__(self, command: Sequence[str], tell: Callable[[_News], None]) -> None:
        self.grace = _GRACE
        self._asked = 0
        self._ends_by = float("inf")
        self._ours, theirs = socket.socketpair()
        # A terminal sends SIGINT to every process in front. Here it waits for ever: only the supervisor says when to stop.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pynenc_core.cli", *command, "--supervisor", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                # Bytecode is kept by a file's size and second: two quick edits would look the same.
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        for target in (self._read, self._await_end):
            threading.Thread(target=target, args=(tell,), name=f"pynenc-reload-{self._process.pid}", daemon=True).start()

    def ask_to_stop(self, times: int) -> None:
        """See to it that it was asked so many times; the first time it may end what runs."""
        for _ in range(times - self._asked):
            self._process.terminate()
            self._asked += 1
            self._ends_by = min(self._ends_by, time.monotonic() + self.grace + _AFTER_GRACE)

    def time_left(self) -> float | None:
        """Return in how many seconds it must have ended; None while nobody asked."""
        return None if self._ends_by == float("inf") else max(0.0, self._ends_by - time.monotonic())

    def kill(self) -> None:
        """End it now."""
        self._process.kill()
        self._ends_by = float("inf")

    def wait(self) -> int:
        """Return how it ended, as `subprocess` tells it."""
        self._ours.close()
        return self._process.wait()

    def _read(self, tell: Callable[[_News], None]) -> None:
        try:
            with self._ours.makefile("rb") as lines:
                report = msgspec.json.decode(lines.readline(), type=Report)
        except (OSError, ValueError, msgspec.DecodeError):
            return  # it ended without a word
        tell(_News("reported", self, report))

    def _await_end(self, tell: Callable[[_News], None]) -> None:
        self._process.wait()
        tell(_News("ended", self))


class _Watch(threading.Event):
    """Watches folders from a thread, until it is set. `watchfiles` looks at `is_set` again and again from when it watches."""

    def __init__(self, folders: Sequence[Path], tell: Callable[[tuple[str, ...]], None]) -> None:
        super().__init__()
        self.folders = folders
        self._tell = tell
        self._began = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="pynenc-watch", daemon=True)

    def begin(self) -> None:
        """Return when the folders are watched. Raises ReloadUnavailableError."""
        self._thread.start()
        self._began.wait(_BEGIN)
        if self._error is not None:
            if isinstance(self._error, ImportError):
                raise ReloadUnavailableError(str(self._error)) from self._error
            raise ReloadUnavailableError(str(self._error), _TOO_MANY) from self._error

    def is_set(self) -> bool:
        """Return whether to stop; being asked tells that watching has begun."""
        self._began.set()
        return super().is_set()

    def stop(self) -> None:
        """Watch no more."""
        self.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        try:
            from watchfiles import PythonFilter, watch  # imported late: an extra, for development only

            for changes in watch(*self.folders, watch_filter=PythonFilter(), step=_STEP, stop_event=self):
                self._tell(tuple(sorted(path for _, path in changes)))
        except Exception as error:  # noqa: BLE001 - its own errors are not typed, and who waits is told
            self._error = error
        finally:
            self._began.set()


def _say(text: str) -> None:
    click.echo(f"reload: {text}", err=True)


def _shown(paths: Sequence[str]) -> str:
    here = Path.cwd()
    first = Path(paths[0])
    name = str(first.relative_to(here)) if first.is_relative_to(here) else str(first)
    return f"{name} and {len(paths) - 1} more" if len(paths) > 1 else name
