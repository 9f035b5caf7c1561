"""A small disk that can be filled, and be given space again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = 8
"""MiB: as the promises say."""


class SmallDisk:
    """A file system in memory, mounted for the time of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, leave: int = 0) -> None:
        """Write until nothing, or only so many KiB, is left."""
        with self._ballast.open("ab", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"\1" * 4096)
            except OSError:
                pass
            if leave:
                ballast.truncate(max(0, ballast.tell() - leave * 1024))

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink()


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mount one at a folder; fails, saying what it needs, where that is not allowed."""
    folder.mkdir()
    options = f"size={SIZE}m,mode=700,uid={os.geteuid()}"
    mounting = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(mounting, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"this scenario mounts a small disk, which needs root and CAP_SYS_ADMIN: {done.stderr}"
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
