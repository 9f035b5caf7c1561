"""Ends what a task has forked where the task's own code ends: such a copy of the process holds the task's claim, and may not settle it."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn

_FAILED = 1


class SameProcess:
    """While a task's own code runs: a process that it forks, and that comes to the end of this block, ends there.

    Its exit code is 0, 1 for an error, which it writes to the standard error, or the code of a SystemExit.
    """

    __slots__ = ("_pid",)

    def __enter__(self) -> None:
        self._pid = os.getpid()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if os.getpid() != self._pid and not isinstance(
            error, GeneratorExit
        ):  # that: it collects the copy of a coroutine, and has not run it
            _end(error)


def _end(error: BaseException | None) -> NoReturn:
    """End without what the interpreter does at its exit: that is for the process that the task runs in."""
    code = _FAILED
    try:
        code = _exit_code(error)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # closed, or nobody reads it
                stream.flush()
    finally:
        os._exit(code)


def _exit_code(error: BaseException | None) -> int:
    """Return the exit code for what the code returned or raised, as the interpreter would have it, and say what was wrong."""
    if error is None:
        return 0
    if not isinstance(error, SystemExit):
        import traceback  # imported late: only such an end needs it

        _say("".join(traceback.format_exception(error)))
        return _FAILED
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    _say(f"{error.code}\n")
    return _FAILED


def _say(text: str) -> None:
    """Write past the stream, whose lock a thread may have held that this process does not have."""
    with contextlib.suppress(OSError):
        os.write(2, text.encode(errors="backslashreplace"))
