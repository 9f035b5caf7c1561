"""A disk that is full, and has space again: a small one that is mounted, or, where that is not allowed, a limit on the size of files."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

SIZE = 8
"""MiB: as the promises say."""


class Disk(Protocol):
    """Where a store is kept that runs out of space."""

    problem: str
    """What the store's error says of it."""

    def fill(self, pids: Collection[int]) -> None:
        """Leave no space, at least not for these processes and this one."""
        ...

    def free(self) -> None:
        """Give the space back."""
        ...


class SmallDisk:
    """A file system in memory, mounted for the time of a test."""

    problem = "the disk is full"

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def fill(self, pids: Collection[int]) -> None:
        """Write until nothing is left."""
        del pids
        with self._ballast.open("ab", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"\1" * 4096)
            except OSError:
                return

    def free(self) -> None:
        """Remove what was written."""
        self._ballast.unlink()


class LimitedFiles:
    """The processes concerned may not make files any longer than the store's log is."""

    problem = "the disk does not read or write it"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._limited: set[int] = set()

    def fill(self, pids: Collection[int]) -> None:
        """Set the limit."""
        longest = max(path.stat().st_size for path in self._folder.iterdir() if path.is_file())
        self._limited = {os.getpid(), *pids}
        self._limit(longest)

    def free(self) -> None:
        """Lift the limit."""
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        for pid in self._limited:
            with contextlib.suppress(ProcessLookupError):
                _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """Make one at a folder."""
    folder.mkdir()
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    options = f"size={SIZE}m,mode=700,uid={os.geteuid()}"
    mounting = [mount or "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if mount and unmount and subprocess.run(mounting, capture_output=True, check=False).returncode == 0:
        try:
            yield SmallDisk(folder)
        finally:
            subprocess.run([unmount, "--lazy", str(folder)], check=True)
        return
    limited = LimitedFiles(folder)
    try:
        yield limited
    finally:
        limited.free()
