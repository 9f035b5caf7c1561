"""The command `pynenc`. This module is what starts: it imports nothing that could delay a look at signals."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

_INTERRUPTED = 130  # what shells give for a program that SIGINT ended
_AT_EXIT = 2.0  # seconds for what modules have registered with `atexit`


class EarlyStop:
    """Ends `runner start` with exit code 0 on SIGTERM or SIGINT until the runner itself takes the signals.

    Nothing is claimed before that, so there is nothing to drain.
    """

    def __init__(self) -> None:
        self.asked = False
        self.before: dict[int, Any] = {}
        """The handlers it replaced, by signal."""

    def install(self) -> None:
        """Take the signals, which the runner's own handlers replace for as long as it runs."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self.before[number] = signal.signal(number, self.handle)

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """Note the signal, and end what the main thread does."""
        del signum, frame
        self.asked = True
        # Not SystemExit: what imports a module on somebody's behalf rightly takes that for the module's own doing.
        raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, `sys.argv` by default, and exit: 0, 1 failed, 2 usage, 3 not found.

    As a program of its own, without `arguments`, `runner start` waits for nothing then: see `_leave`.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    stop = EarlyStop()
    runs_a_runner = "runner" in given and "start" in given
    try:
        if runs_a_runner:
            stop.install()
        from pynenc_core.cli.program import run  # imported late: the handlers must be there first

        code = run(given, stop)
    except KeyboardInterrupt:
        code = 0 if runs_a_runner else _INTERRUPTED
    if runs_a_runner and arguments is None:
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """End without waiting for threads and processes that tasks have left behind; what was registered with `atexit` is called.

    That has its time: it is also where `multiprocessing` ends its daemonic processes, and waits for all others.
    """
    import atexit  # imported late, as above
    import contextlib
    import threading

    def end() -> NoReturn:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # nobody reads it, or it is closed
                stream.flush()
        os._exit(code)

    late = threading.Timer(_AT_EXIT, end)
    late.daemon = True
    with contextlib.suppress(BaseException):  # a second signal, and whatever modules raise: both were said, or no matter now
        late.start()
        atexit._run_exitfuncs()  # noqa: SLF001 - as `multiprocessing` does where it ends with `os._exit` too
    end()
