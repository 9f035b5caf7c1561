"""Runs a command that dies with its parent: `leash.py [--no-override] command ...`.

So no test run, however it ends, leaves a runner behind. With `--no-override` the command, started by root, is bound by
the permissions of files like anybody else.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG, PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 1, 24, 1


def main(arguments: list[str]) -> None:
    """Become the command."""
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) or os.getppid() != parent:
        raise OSError(ctypes.get_errno(), "the parent is gone")
    if arguments[0] == "--no-override":
        arguments = arguments[1:]
        if os.geteuid() == 0 and libc.prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE):
            raise OSError(ctypes.get_errno(), "CAP_DAC_OVERRIDE cannot be given up")
    os.execv(arguments[0], arguments)  # noqa: S606 - the point of it: the same process goes on as the command


if __name__ == "__main__":
    main(sys.argv[1:])
