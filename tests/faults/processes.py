"""What the operating system says of processes: children, and everything that carries a mark in its environment."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

_PROC = Path("/proc")


def children_of(pid: int) -> list[int]:
    """Return the pids of the living children of a process, in the order of their start."""
    return [each for each in sorted(_pids()) if _parent_of(each) == pid]


def descendants_of(pid: int) -> list[int]:
    """Return the pids of the living children of a process, and of theirs, parents first."""
    parents = {each: _parent_of(each) for each in _pids()}
    found = [pid]
    for parent in found:
        found += [each for each in sorted(parents) if parents[each] == parent]  # the list grows behind the one that is looked at
    return found[1:]


def state_of(pid: int) -> str:
    """Return the one letter that `ps` shows: R, S, T (stopped), Z (dead, not waited for); "" for no such process."""
    return (_stat(pid) or [""])[0]


def marked(mark: str) -> list[int]:
    """Return the pids of all living processes whose environment holds `mark`, written as NAME=value; never our own."""
    return [pid for pid in _pids() if pid != os.getpid() and mark.encode() in _environment(pid)]


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each process that still exists."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _parent_of(pid: int) -> int:
    return int((_stat(pid) or ["", "0"])[1])


def _stat(pid: int) -> list[str]:
    """Return what stands behind the name of a process: its state, its parent, ...; [] for no such process."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _pids() -> Iterator[int]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and state_of(int(entry.name)) not in {"Z", ""}:
            yield int(entry.name)


def _environment(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []


def peak_memory(pid: int) -> float:
    """Return the most memory that a process had resident so far, in MiB."""
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    # One that has just ended, and that nobody has asked for its exit code yet, has no memory any more.
    return next((float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)
