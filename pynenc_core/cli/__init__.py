"""The command `pynenc`. This module is what starts: it imports nothing that could delay a look at signals."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from types import FrameType

_INTERRUPTED = 130  # what shells give for a program that SIGINT ended


class EarlyStop:
    """Ends `runner start` with exit code 0 on SIGTERM or SIGINT until the runner itself takes the signals.

    Nothing is claimed before that, so there is nothing to drain.
    """

    def __init__(self) -> None:
        self.asked = False

    def install(self) -> None:
        """Take the signals, which the runner's own handlers replace for as long as it runs."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        del signum, frame
        self.asked = True
        # Not SystemExit: what imports a module on somebody's behalf rightly takes that for the module's own doing.
        raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, `sys.argv` by default, and exit: 0, 1 failed, 2 usage, 3 not found."""
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
    sys.exit(code)
