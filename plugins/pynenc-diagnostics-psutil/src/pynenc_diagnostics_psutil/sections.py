"""The sections: what each process of the tree uses, what they use together, and what the machine has left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import psutil

_MOST = 200  # processes that are looked at
_PRECISE = 32  # of them, the first ones are asked for what they share with nobody, which costs the kernel a walk over their memory
_GONE = (psutil.NoSuchProcess, psutil.ZombieProcess)
_SUMMED = ("rss_bytes", "uss_bytes", "pss_bytes", "cpu_user_s", "cpu_system_s", "threads", "descriptors", "open_files", "connections")


def process_tree(pid: int) -> dict[str, object]:
    """Return, for a process and all its descendants, what each uses and the sums; one that vanishes meanwhile is left out.

    Resident memory (rss) counts shared pages once for each process; unique (uss) counts none of them, proportional (pss)
    counts a share of each, so only pss can be summed up honestly.
    """
    try:
        root = psutil.Process(pid)
        found = [root, *root.children(recursive=True)]
    except _GONE:
        return {"total": {"processes": 0}, "each": []}
    each = [seen for number, process in enumerate(found[:_MOST]) if (seen := _one(process, precise=number < _PRECISE))]
    total: dict[str, object] = {"processes": len(found)}
    for name in _SUMMED:
        known = [value for seen in each if isinstance(value := seen.get(name), int | float)]
        if known:
            total[name] = round(sum(known), 2)
    return {"total": total, "each": each}


def machine() -> dict[str, object]:
    """Return memory and swap of the machine."""
    memory = psutil.virtual_memory()
    sections: dict[str, object] = {
        "memory": {"total_bytes": memory.total, "available_bytes": memory.available, "used_percent": memory.percent},
    }
    try:
        swap = psutil.swap_memory()
    except (OSError, RuntimeError):  # not to be had in some containers
        return sections
    return {**sections, "swap": {"total_bytes": swap.total, "used_bytes": swap.used, "used_percent": swap.percent}}


def _one(process: psutil.Process, *, precise: bool) -> dict[str, object] | None:
    """Return what one process uses; without what we may not see of it, and None when it is gone."""
    seen: dict[str, object] = {"pid": process.pid}
    looks: tuple[Callable[[psutil.Process], Mapping[str, object]], ...] = (_identity, _memory(precise=precise), _cpu, _files, _connections)
    try:
        for look in looks:
            try:
                seen.update(look(process))
            except (psutil.AccessDenied, OSError, NotImplementedError):
                continue
    except _GONE:
        return None
    return seen


def _identity(process: psutil.Process) -> dict[str, object]:
    with process.oneshot():
        return {"name": process.name(), "status": process.status(), "threads": process.num_threads()}


def _memory(*, precise: bool) -> Callable[[psutil.Process], dict[str, object]]:
    def look(process: psutil.Process) -> dict[str, object]:
        sizes: Any = process.memory_full_info() if precise else process.memory_info()
        return {f"{name}_bytes": getattr(sizes, name) for name in ("rss", "uss", "pss") if hasattr(sizes, name)}

    return look


def _cpu(process: psutil.Process) -> dict[str, object]:
    times = process.cpu_times()
    return {"cpu_user_s": times.user, "cpu_system_s": times.system}


def _files(process: psutil.Process) -> dict[str, object]:
    return {"descriptors": process.num_fds(), "open_files": len(process.open_files())}


def _connections(process: psutil.Process) -> dict[str, object]:
    """Return how many sockets of the internet it has; the method was renamed in psutil 6."""
    ask: Any = getattr(process, "net_connections", None) or getattr(process, "connections")  # noqa: B009 - as the older ones have it
    return {"connections": len(ask(kind="inet"))}
