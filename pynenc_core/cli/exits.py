"""The exit codes, and which error ends with which."""

from __future__ import annotations

from pynenc_core.errors.cli import UsageError
from pynenc_core.errors.invocations import InvocationNotFoundError
from pynenc_core.errors.plugins import UnknownPluginError
from pynenc_core.errors.runners import NoShutdownReportError, RunnerNotExecutableError

OK, FAILED, USAGE, NOT_FOUND = 0, 1, 2, 3


def exit_code(error: BaseException) -> int:
    """Return the exit code for an error."""
    if isinstance(error, UsageError | RunnerNotExecutableError):
        return USAGE
    return NOT_FOUND if isinstance(error, InvocationNotFoundError | NoShutdownReportError | UnknownPluginError) else FAILED
