"""Collects the report of a shutdown: each collector, the core's and the plugins', in turn and within one deadline."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import attrs
import msgspec

from pynenc_core.model import ChildReport, InvocationRecord, ShutdownEvent, ShutdownReport, ThreadReport, plain
from pynenc_core.orchestration.reporting.cgroups import read_memory
from pynenc_core.plugins.calling import HookCaller
from pynenc_core.plugins.deadline import one_by_one
from pynenc_core.plugins.discovery import describe
from pynenc_core.status import Status

_MOST = 500  # threads, and invocations, that a report names
_MOST_CHILDREN = 64  # children whose invocations the store is asked for
_LARGEST = 64 * 1024  # bytes of one section
_OWN = "pynenc-report"  # what the names of the threads that collect begin with

Fields = Mapping[str, Any]
Found = tuple[str, Fields, str]
"""What one collector found: its name, fields of the report, and what went wrong, if it did."""


@attrs.frozen(kw_only=True)
class Sources:
    """Where a report comes from."""

    event: ShutdownEvent
    children: Callable[[], Sequence[ChildReport]]
    owned: Callable[[str], Collection[InvocationRecord]]
    """Returns what a runner owns, by its id; asks the store."""
    hooks: HookCaller
    root: Path = Path("/")


def collect(sources: Sources, seconds: float) -> ShutdownReport:
    """Return the report, complete or not, after `seconds` at the latest; never raises.

    What only looks at this process comes first, so that nobody else costs it its turn. The runner's children and the store
    may take half of what is left, the plugins the rest.
    """
    deadline = time.monotonic() + seconds

    def left() -> float:
        return max(0.0, deadline - time.monotonic())

    fields: dict[str, Any] = {}
    problems: dict[str, object] = {}
    here = (("system", _system), ("cgroup", lambda: {"cgroup": read_memory(sources.root)}), ("threads", _threads))
    _gather(here, left(), fields, problems)
    _gather((("children", lambda: {"children": tuple(sources.children())}),), left() / 2, fields, problems)
    _gather((("invocations", lambda: _invocations(sources, fields.get("children", ()))),), left() / 2, fields, problems)
    sections = _sections(sources, left())
    return ShutdownReport(event=sources.event, sections={**problems, **sections}, **fields)


def _gather(steps: Sequence[tuple[str, Callable[[], Fields]]], seconds: float, fields: dict[str, Any], problems: dict[str, object]) -> None:
    """Add what the steps find to the fields, and what goes wrong to the problems."""
    missing = [name for name, _ in steps]
    for name, found, problem in one_by_one([_step(name, look) for name, look in steps], seconds, f"{_OWN}-{missing[0]}"):
        missing.remove(name)
        fields.update(found)
        if problem:
            problems[name] = f"could not be collected: {problem}"
    for name in missing:
        problems[name] = f"could not be collected within {seconds:.1f} s"


def _step(name: str, look: Callable[[], Fields]) -> Callable[[], Found]:
    def step() -> Found:
        try:
            return name, look(), ""
        except BaseException as error:  # noqa: BLE001 - whatever it is, the stop goes on, and the report says so
            return name, {}, describe(error)

    return step


def _system() -> Fields:
    load: tuple[float, ...] = ()
    with suppress(OSError, AttributeError):  # absent on some systems
        load = tuple(round(each, 2) for each in os.getloadavg())
    python = f"{platform.python_version()} ({platform.python_implementation()})"
    return {"platform": platform.platform(), "python": python, "cpus": os.cpu_count(), "load": load}


def _threads() -> Fields:
    found = [each for each in threading.enumerate() if not each.name.startswith(_OWN)]
    return {"threads": tuple(ThreadReport(name=each.name, daemon=each.daemon, alive=each.is_alive()) for each in found[:_MOST])}


def _invocations(sources: Sources, children: Sequence[ChildReport]) -> Fields:
    """Return what the runner and its living children own, as the store knows it."""
    owned = list(sources.owned(sources.event.runner_id))
    told: list[ChildReport] = []
    for number, child in enumerate(children):
        theirs = sources.owned(child.runner_id) if child.alive and number < _MOST_CHILDREN else ()
        told.append(attrs.evolve(child, invocation_ids=tuple(each.invocation_id for each in theirs) or child.invocation_ids))
        owned += theirs
    return {
        "children": tuple(told),
        "running": tuple(each.invocation_id for each in owned if each.state.status is Status.RUNNING)[:_MOST],
        "waiting": tuple(each.invocation_id for each in owned if each.state.status is not Status.RUNNING)[:_MOST],
    }


def _sections(sources: Sources, seconds: float) -> dict[str, object]:
    sections: dict[str, object] = {}
    for answer in sources.hooks.each_within("pynenc_shutdown_diagnostics", seconds, event=sources.event):
        value: object = answer.value
        if answer.error is not None:
            sections[f"plugin {answer.plugin}"] = str(answer.error)
        elif isinstance(value, Mapping):
            try:
                found = plain(cast("object", value))
            except Exception as error:  # noqa: BLE001 - a plugin's objects may do anything when they are looked at
                sections[f"plugin {answer.plugin}"] = f"its sections cannot be read: {describe(error)}"
                continue
            for title, section in cast("dict[str, object]", found).items():
                sections[f"{title} ({answer.plugin})" if title in sections else title] = _bounded(section)
        elif value is not None:
            sections[f"plugin {answer.plugin}"] = f"it returned a {type(value).__name__} instead of a mapping of titles to sections"
    return sections


def _bounded(section: object) -> object:
    """Return a section, or what is said in its place when it is too large to be logged and stored."""
    count = len(msgspec.json.encode(section))
    return section if count <= _LARGEST else f"left out: {count} bytes of JSON are more than {_LARGEST}"
