"""Reads the kernel's memory controller: limit, usage, and how often it killed for want of memory. Versions 1 and 2."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import attrs

from pynenc_core.model import CgroupMemory, ProcessExit

_UNLIMITED = 2**62  # version 1 shows "no limit" as the greatest number of pages that fits
_REMEMBERED = 256  # deaths that were told
_AT_ONCE = 10.0  # seconds for which a risen counter may explain further deaths: of those that were killed together


@attrs.frozen
class _Files:
    """What the files of one version are called, within one mounted hierarchy."""

    version: int
    mount: Path
    limit: str
    usage: str
    kills: str


def read_memory(root: Path = Path("/")) -> CgroupMemory | None:
    """Return what is known of this process's own group; None where there is no memory controller. Never raises OSError.

    `root` is where `proc` and `sys` are.
    """
    found = _own_group(root)
    if found is None:
        return None
    files, group = found
    limited, limit = _nearest_limit(files, group)
    return CgroupMemory(
        version=files.version,
        path=_shown(files, group),
        limit_path=_shown(files, limited) if limited else "",
        limit_bytes=limit,
        usage_bytes=_number(_read((limited or group) / files.usage)),
        oom_kills=_number(_field(_read(group / files.kills), "oom_kill")),
    )


def oom_kills(root: Path = Path("/")) -> int | None:
    """Return how many processes of our group the kernel has killed for want of memory; None where nothing counts them."""
    found = _own_group(root)
    return None if found is None else _number(_field(_read(found[1] / found[0].kills), "oom_kill"))


class OomWatch:
    """Tells which deaths a counter of out-of-memory kills explains. Any thread may use it."""

    def __init__(self, count: Callable[[], int | None] = oom_kills) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._seen = count()
        self._unexplained = 0
        self._risen_at = 0.0
        self._told: OrderedDict[str, ProcessExit] = OrderedDict()

    def exited(self, runner_id: str, pid: int, exit_code: int) -> ProcessExit:
        """Return the end of a process, with the counter before it and now; asked again, the same.

        Each kill that was counted explains one death by SIGKILL. A rise that explains no death we know of (of somebody
        else in our group, or of a process that a task had started) is forgotten soon.
        """
        with self._lock:
            found = self._told.get(runner_id)
            if found is None:
                found = self._told[runner_id] = self._classified(runner_id, pid, exit_code)
                if len(self._told) > _REMEMBERED:
                    self._told.popitem(last=False)
            return found

    def _classified(self, runner_id: str, pid: int, exit_code: int) -> ProcessExit:
        now = self._count()
        if now is None:
            return ProcessExit(runner_id=runner_id, pid=pid, exit_code=exit_code)
        moment = time.monotonic()
        if self._unexplained and moment - self._risen_at > _AT_ONCE:
            self._unexplained = 0
        if self._seen is not None and now > self._seen:
            self._unexplained += now - self._seen
            self._risen_at = moment
        self._seen = now
        exited = ProcessExit(runner_id=runner_id, pid=pid, exit_code=exit_code, oom_kills_before=now - self._unexplained, oom_kills_now=now)
        if exited.out_of_memory:
            self._unexplained -= 1
        return exited


def _own_group(root: Path) -> tuple[_Files, Path] | None:
    unified = ""
    mount = root / "sys/fs/cgroup/memory"  # version 1 mounts each controller apart, under its name
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if mount.name in controllers.split(","):
            return _in(_Files(1, mount, "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control"), path)
        if not controllers:
            unified = path
    if not unified:
        return None
    mounts = (root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified")
    for mount in mounts:
        if (mount / "cgroup.controllers").exists():
            return _in(_Files(2, mount, "memory.max", "memory.current", "memory.events"), unified)
    return None


def _in(files: _Files, path: str) -> tuple[_Files, Path] | None:
    """Return the group's folder; inside a container the path may be that of the host, and the mount is the group itself."""
    group = files.mount / path.lstrip("/")
    if not group.is_dir():
        group = files.mount
    return (files, group) if group.is_dir() else None


def _nearest_limit(files: _Files, group: Path) -> tuple[Path | None, int | None]:
    for folder in (group, *group.parents):
        limit = _number(_read(folder / files.limit))
        if limit is not None and limit < _UNLIMITED:
            return folder, limit
        if folder == files.mount:
            break
    return None, None


def _shown(files: _Files, group: Path) -> str:
    return f"/{group.relative_to(files.mount).as_posix()}".removesuffix("/.") or "/"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _field(text: str, name: str) -> str:
    """Return the value beside a name, in lines of names and values."""
    rows = (line.split() for line in text.splitlines())
    return next((row[1] for row in rows if len(row) == 2 and row[0] == name), "")


def _number(text: str) -> int | None:
    """Return a number; None for `max` and for nothing."""
    text = text.strip()
    return int(text) if text.isdecimal() else None
