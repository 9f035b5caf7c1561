"""How a worker process starts and ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from pynenc_core.app import Pynenc
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.errors.base import PynencError
from pynenc_core.locator import load
from pynenc_core.logs import install_handler
from pynenc_core.plugins import PluginSnapshot
from pynenc_core.worker.parent import Parent, take_control
from pynenc_core.worker.runner import WorkerRunner
from pynenc_core.worker.single_run import SingleRunWorker
from pynenc_core.worker_start import WorkerStart

FAILED_START = 70
"""EX_SOFTWARE of sysexits.h: trying again at once would end the same way."""
NO_STORE = 75
"""EX_TEMPFAIL of sysexits.h: the store is away, and later it may not be."""
_OOM_SCORE, _OOM_MOST = Path("/proc/self/oom_score_adj"), 1000
_SOONER = 100  # thousandths of the memory there may be: so much larger a worker seems than it is


def main(loaded: Pynenc | None = None) -> int:
    """Run until told to stop; the exit code is 0 then. `loaded` is the app, where it was imported before this process was forked."""
    _go_first()
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to a whole group while this one still starts: the parent will say so
        signal.signal(number, signal.SIG_IGN)
    parent = Parent(take_control())
    start = msgspec.json.decode(parent.lines.readline(), type=WorkerStart)
    sys.path[:] = start.path
    try:
        app = loaded or load_app(start)
        context = start.context.in_process(os.getpid())
        worker = WorkerRunner(app, context, start.slots, parent) if start.slots else SingleRunWorker(app, context, parent)
        threading.Thread(target=worker.obey, name="pynenc-control", daemon=True).start()
        worker.run()
        app.close()
    except (PynencError, ImportError) as error:
        sys.stderr.write(f"pynenc worker: {error}\n")
        return NO_STORE if isinstance(error, BackendUnavailableError) else FAILED_START
    return 0


def _go_first() -> None:
    """Let the kernel prefer this process to its parent, of about the same size, where it has to kill for want of memory.

    A parent that lives hands on what ran here, and tells what happened. Without this the kernel was seen to kill the worker
    that had taken all the memory, and 8 ms later, before that was free again, the runner.
    """
    with contextlib.suppress(OSError, ValueError):  # Linux alone has it, and not in every container
        present = int(_OOM_SCORE.read_text(encoding="utf-8"))
        _OOM_SCORE.write_text(str(min(present + _SOONER, _OOM_MOST)), encoding="utf-8")


def load_app(start: WorkerStart) -> Pynenc:
    """Import the app and its tasks, with the settings that the parent has. Raises PynencError, ImportError, and what the modules raise."""
    app: Any = load(start.locator)
    app.plugins.check_snapshot(PluginSnapshot(tuple(start.plugins)))
    if not (app.conf.frozen and _same(app, start)):  # an app that uses its store as it is imported has its settings already
        app.conf.apply(start.settings)
    app.found_as = start.locator
    install_handler(app)
    for module in start.modules:
        __import__(module)
    app.import_task_modules()
    return app  # type: ignore[no-any-return] # whatever the locator names; it behaves as an app or fails above


def _same(app: Pynenc, start: WorkerStart) -> bool:
    return bool(msgspec.json.encode(app.conf.snapshot(), order="sorted") == msgspec.json.encode(start.settings, order="sorted"))


def leave(code: int) -> NoReturn:
    """End without the interpreter's own farewell: a task that does not end has its daemon thread, and must not hold up the exit."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
