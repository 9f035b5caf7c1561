"""What a worker process is told first, so that it is the same app as its parent."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from pynenc_core.composition import AppParts
from pynenc_core.model import RunnerContext

_COMMAND_LINE = "pynenc_core.cli"  # no worker needs it
_STANDARD = ("asyncio.runners", "ctypes", "importlib.metadata")  # what of the standard library a worker may come to load late


class WorkerStart(msgspec.Struct):
    """The first line on a worker's standard input: what it needs to be the same app as its parent."""

    locator: str
    path: list[str]
    context: RunnerContext
    slots: int
    """How many invocations may run at once; 0: it claims none, runs the one that it is given, and ends."""
    plugins: list[tuple[str, str, str]]
    settings: dict[str, Any]
    modules: list[str]


class ForkServerStart(msgspec.Struct):
    """The first line to a process that forks workers: what to load before."""

    path: list[str]
    modules: list[str]
    app: WorkerStart | None = None
    """The app itself, where workers are to be forked with it."""


def worker_command(app: AppParts, locator: str, context: RunnerContext, slots: int) -> tuple[Sequence[str], bytes]:
    """Return the command of a worker process, and the line to send to its standard input first."""
    start = _worker_start(app, locator, context, slots)
    return [sys.executable, "-m", "pynenc_core.worker", locator], msgspec.json.encode(start) + b"\n"


def fork_server_command(app: AppParts, locator: str, context: RunnerContext) -> tuple[Sequence[str], bytes]:
    """Return the command of a process that forks workers, and the line to send to its standard input first."""
    broker, state = app.store_specs()
    serializer = app.plugins.catalog.serializer(app.conf.app.serializer_cls)
    used = {"pynenc_core", *(spec.target.partition(".")[0] for spec in (broker, state, serializer))}
    loaded = [name for name in sorted(sys.modules) if name.partition(".")[0] in used and not name.startswith(_COMMAND_LINE)]
    start = ForkServerStart(
        path=sys.path,
        modules=[*_STANDARD, *loaded],
        app=_worker_start(app, locator, context, 0) if app.conf.runner.preload_app else None,
    )
    return [sys.executable, "-m", "pynenc_core.worker.forkserver", locator], msgspec.json.encode(start) + b"\n"


def _worker_start(app: AppParts, locator: str, context: RunnerContext, slots: int) -> WorkerStart:
    return WorkerStart(
        locator=locator,
        path=sys.path,
        context=context,
        slots=slots,
        plugins=list(app.plugins.snapshot().plugins),
        settings=app.conf.snapshot(),
        modules=list(app.tasks.modules()),
    )
