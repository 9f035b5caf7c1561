"""What is told of processes and of their end: the report of a shutdown, and how a process exited."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
import msgspec

from pynenc_core.model.plain import lines, size

CLEAN_EXIT = "exit code 0"
"""How the end of a process that ended as it should is told."""
_SHOWN = 20  # ids that the text names, of running and of waiting invocations


def signal_name(signum: int) -> str:
    """Return the name of a signal, or `signal 99` for a number that names none here."""
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


@attrs.frozen(kw_only=True)
class ChildReport:
    """One child process of a runner, as its parent knows it."""

    runner_id: str
    pid: int
    alive: bool
    exit_code: int | None = None
    """As `subprocess` tells it: negative for a signal; None while it lives."""
    exit_reason: str = ""
    invocation_ids: tuple[str, ...] = ()
    """What ran or waited in it, as far as the parent knows."""


@attrs.frozen(kw_only=True)
class ProcessExit:
    """How a process ended, for who classifies it."""

    runner_id: str
    pid: int
    exit_code: int
    """As `subprocess` tells it: negative for a signal."""
    oom_kills_before: int | None = None
    """How often the kernel had killed for want of memory in our cgroup before, as far as deaths known then account for it."""
    oom_kills_now: int | None = None
    """The same counter, read after the end; None where there is no such counter."""

    @property
    def signal(self) -> int | None:
        """The signal that ended it, or None."""
        return -self.exit_code if self.exit_code < 0 else None

    @property
    def out_of_memory(self) -> bool:
        """Whether it was killed by SIGKILL while the kernel's counter of such kills rose."""
        before, now = self.oom_kills_before, self.oom_kills_now
        return self.signal == signal.SIGKILL and before is not None and now is not None and now > before

    @property
    def kind(self) -> str:
        """The class of its end: `normal`, `sigterm`, `sigint`, `oom_killed`, or `unknown_signal`; `exit_code` for another exit code."""
        if self.signal is None:
            return "normal" if self.exit_code == 0 else "exit_code"
        named: dict[int, str] = {signal.SIGTERM: "sigterm", signal.SIGINT: "sigint"}
        return "oom_killed" if self.out_of_memory else named.get(self.signal, "unknown_signal")

    @property
    def reason(self) -> str:
        """The core's own words for it."""
        if self.signal is None:
            return f"exit code {self.exit_code}"
        by = f"killed by {signal_name(self.signal)}"
        if not self.out_of_memory:
            return by
        return f"{by}: out of memory (cgroup oom_kill rose from {self.oom_kills_before} to {self.oom_kills_now})"


@attrs.frozen(kw_only=True)
class ThreadReport:
    """One thread of the process that reports."""

    name: str
    daemon: bool
    alive: bool = True


@attrs.frozen(kw_only=True)
class CgroupMemory:
    """What the kernel's memory controller says of our control group; sizes in bytes."""

    version: int
    path: str
    """The group of this process."""
    limit_path: str = ""
    """The nearest group, itself or above, that has a limit; empty where none has."""
    limit_bytes: int | None = None
    usage_bytes: int | None = None
    """What the group with the limit uses, or this process's own where there is no limit."""
    oom_kills: int | None = None
    """How many processes of our group the kernel has killed for want of memory."""


@attrs.frozen(kw_only=True)
class ShutdownEvent:
    """That a runner stops, and why. Times are seconds since 1970 by the host's clock."""

    class_name: str
    runner_id: str
    host: str
    pid: int
    at: float
    started_at: float | None = None
    signum: int | None = None
    signal_name: str = ""
    reason: str = "normal"
    """As `classify_signal` says, or `error` where the runner stops on one it did not foresee."""
    error: str = ""

    @property
    def headline(self) -> str:
        """Who stops and why, in one line."""
        why = self.error or self.signal_name
        return f"runner {self.runner_id} stops: {self.reason}{f' ({why})' if why else ''}"


@attrs.frozen(kw_only=True)
class ShutdownReport:
    """The state in which a runner stopped. What could not be collected is left at its default, and a section says why."""

    event: ShutdownEvent
    platform: str = ""
    python: str = ""
    cpus: int | None = None
    load: tuple[float, ...] = ()
    """The load average over 1, 5 and 15 minutes; empty where the system has none."""
    cgroup: CgroupMemory | None = None
    threads: tuple[ThreadReport, ...] = ()
    children: tuple[ChildReport, ...] = ()
    running: tuple[str, ...] = ()
    """The invocations that ran in this runner and its children."""
    waiting: tuple[str, ...] = ()
    """Those that waited there for others, or for their turn."""
    sections: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    """What plugins added, by title: plain data, as JSON knows it."""

    def to_json(self) -> bytes:
        """Return this report as one line of JSON."""
        return msgspec.json.encode(self)

    def to_data(self) -> dict[str, Any]:
        """Return this report as plain data."""
        data: dict[str, Any] = msgspec.json.decode(self.to_json())
        return data

    @classmethod
    def from_json(cls, data: bytes | str) -> ShutdownReport:
        """Return the report that `to_json` wrote; unknown fields are ignored. Raises msgspec.ValidationError on anything else."""
        return msgspec.json.decode(data, type=cls)

    def to_text(self) -> str:
        """Return this report as one block that people read; its first line is the event's."""
        return "\n".join((self.event.headline, *self._lines()))

    def _lines(self) -> Iterator[str]:
        event = self.event
        started = "" if event.started_at is None else f", started {_when(event.started_at)}, ran {event.at - event.started_at:.1f} s"
        yield f"  runner: {event.class_name} on {event.host}, pid {event.pid}{started}"
        yield f"  time: {_when(event.at)}"
        if self.platform or self.python:
            yield f"  system: Python {self.python} on {self.platform}"
        if self.cpus is not None:
            load = ", ".join(f"{each:.2f}" for each in self.load) or "unknown"
            yield f"  cpus: {self.cpus}, load {load}"
        yield f"  cgroup: {_memory(self.cgroup)}"
        yield f"  running: {_named(self.running)}"
        yield f"  waiting: {_named(self.waiting)}"
        yield from _children(self.children)
        yield f"  threads: {len(self.threads)}{_threads(self.threads)}"
        for title, value in self.sections.items():
            yield from lines(title, value)


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def _memory(found: CgroupMemory | None) -> str:
    if found is None:
        return "no memory controller was found"
    used = "" if found.usage_bytes is None else f"{size(found.usage_bytes)} used"
    limit = "no memory limit" if found.limit_bytes is None else f"limit {size(found.limit_bytes)} (of {found.limit_path})"
    kills = "oom_kill unknown" if found.oom_kills is None else f"oom_kill {found.oom_kills}"
    return ", ".join(filter(None, (limit, used, kills, f"cgroup v{found.version} {found.path}")))


def _named(invocation_ids: tuple[str, ...]) -> str:
    more = f", ... {len(invocation_ids) - _SHOWN} more" if len(invocation_ids) > _SHOWN else ""
    return f"{len(invocation_ids)}{': ' if invocation_ids else ''}{', '.join(invocation_ids[:_SHOWN])}{more}"


def _children(children: tuple[ChildReport, ...]) -> Iterator[str]:
    dead = sum(not child.alive for child in children)
    yield f"  children: {len(children)}{f', {dead} dead' if dead else ''}"
    for child in children:
        state = "alive" if child.alive else f"dead, {child.exit_reason or f'exit code {child.exit_code}'}"
        had = f", with {_named(child.invocation_ids)}" if child.invocation_ids else ""
        yield f"    {child.runner_id}, pid {child.pid}, {state}{had}"


def _threads(threads: Iterable[ThreadReport]) -> str:
    """Return the threads by name and kind, each with how many there are."""
    kinds = Counter(f"{each.name}{' (daemon)' if each.daemon else ''}{'' if each.alive else ' (ended)'}" for each in threads)
    shown = ", ".join(name if count == 1 else f"{count} x {name}" for name, count in kinds.items())
    return f": {shown}" if shown else ""
