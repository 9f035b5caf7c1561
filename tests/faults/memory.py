"""Little memory: a control group with a limit, or, where none may be made, files that look like one and a kill by our own hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import attrs

from pynenc_testkit.stores import eventually

_CGROUPS = Path("/sys/fs/cgroup")
_FLAVOURS = (
    (_CGROUPS / "memory", "memory.limit_in_bytes", "memory.oom_control", "memory.memsw.limit_in_bytes"),
    (_CGROUPS, "memory.max", "memory.events", "memory.swap.max"),
    (_CGROUPS / "unified", "memory.max", "memory.events", "memory.swap.max"),
)
"""Where groups are made, and their files: the limit, the counter, and the limit with swap."""


class Group(Protocol):
    """Where a runner has little memory."""

    @property
    def variables(self) -> Mapping[str, str]:
        """What the runner's environment needs, so that it lives there."""
        ...

    @property
    def real(self) -> bool:
        """Whether the kernel knows of it."""
        ...

    def starve(self, pid: int) -> None:
        """See to it that this process, which takes as much memory as it can get, dies as for want of it."""
        ...


@attrs.frozen
class RealGroup:
    """A control group of the kernel's, which kills in it."""

    folder: Path
    counter: Path
    real: bool = True

    @property
    def variables(self) -> Mapping[str, str]:
        """The group to join."""
        return {"PYNENC_TEST_GROUP": str(self.folder)}

    def starve(self, pid: int) -> None:
        """Wait until the kernel has done it."""
        eventually(lambda: not Path(f"/proc/{pid}").exists() or " Z " in _stat(pid), "the kill by the kernel", 30.0)


@attrs.frozen
class LikeAGroup:
    """Files as a control group has them, below a root of their own."""

    root: Path
    real: bool = False

    @property
    def variables(self) -> Mapping[str, str]:
        """The root to look below."""
        return {"PYNENC_TEST_GROUP_ROOT": str(self.root)}

    @classmethod
    def below(cls, root: Path, mib: int) -> LikeAGroup:
        """Lay the files out."""
        files = {
            "proc/self/cgroup": "0::/little",
            "sys/fs/cgroup/cgroup.controllers": "memory",
            "sys/fs/cgroup/little/memory.max": str(mib << 20),
            "sys/fs/cgroup/little/memory.events": "oom_kill 0",
        }
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        return cls(root)

    def starve(self, pid: int) -> None:
        """Count a kill, and kill, in the order in which the kernel does it."""
        (self.root / "sys/fs/cgroup/little/memory.events").write_text("oom_kill 1", encoding="utf-8")
        os.kill(pid, signal.SIGKILL)


@contextmanager
def little_memory(mib: int, folder: Path) -> Iterator[Group]:
    """Give a place for processes that may use so much together."""
    made = next(filter(None, (_made(flavour, mib) for flavour in _FLAVOURS)), None)
    if made is None:
        yield LikeAGroup.below(folder, mib)
        return
    try:
        yield made
    finally:
        eventually(lambda: _removed(made.folder), "the end of every process of the group", 30.0)


def _made(flavour: tuple[Path, str, str, str], mib: int) -> RealGroup | None:
    """Make a group with a limit; None where the kernel or our rights do not allow it."""
    mount, limit, counter, with_swap = flavour
    folder = mount / f"pynenc-test-{os.getpid()}"
    try:
        (mount / "cgroup.procs").stat()  # a hierarchy is mounted there
        folder.mkdir()
    except OSError:
        return None
    try:
        (folder / limit).write_text(str(mib << 20), encoding="utf-8")
        with suppress(OSError):  # where there is no swap to be limited
            (folder / with_swap).write_text("0" if limit == "memory.max" else str(mib << 20), encoding="utf-8")
        usable = "oom_kill " in (folder / counter).read_text(encoding="utf-8") and _may_join(folder)
    except OSError:
        usable = False
    if not usable:
        eventually(lambda: _removed(folder), "the end of the group", 30.0)
        return None
    return RealGroup(folder, folder / counter)


def _may_join(folder: Path) -> bool:
    """Return whether a process like the runner may go and live there."""
    joining = f"import os; open({str(folder / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))"
    return subprocess.run([sys.executable, "-IS", "-c", joining], capture_output=True, check=False).returncode == 0


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def _stat(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return " Z "
