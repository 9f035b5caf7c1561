"""A runner that `--reload` has started: it tells its supervisor what to watch, and stops when there is no supervisor any more."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pynenc_core.app import Pynenc


class Report(msgspec.Struct):
    """What the supervisor is told, as one line of JSON, when the app is known."""

    folders: list[str]
    """Where its sources are."""
    grace: float
    """Seconds it may take to stop."""


class Supervisor:
    """The connection to the supervisor, as the runner sees it."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor` is an end of a socket pair; the other one is the supervisor's alone, so it ends when that does, even by SIGKILL."""
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)
        threading.Thread(target=self._wait_for_its_end, name="pynenc-supervisor", daemon=True).start()

    def report(self, app: Pynenc) -> None:
        """Tell where this app's sources are, and how long it may take to stop."""
        modules = (app.found_as.partition(":")[0], *app.tasks.modules(), *app.conf.app.task_modules, *app.conf.app.trigger_task_modules)
        told = Report([str(folder) for folder in folders_of(modules)], app.conf.runner.grace_period_sec)
        with contextlib.suppress(OSError):  # it is gone, and this process is about to be told so
            self._socket.sendall(msgspec.json.encode(told) + b"\n")

    def _wait_for_its_end(self) -> None:
        with contextlib.suppress(OSError):
            while self._socket.recv(64):
                pass  # it says nothing; only its end is news
        os.kill(os.getpid(), signal.SIGTERM)


def folders_of(modules: Iterable[str]) -> list[Path]:
    """Return the folders in which the sources of these modules are: a package's own, or the one that a module is in.

    Nothing is imported; a module that is not found is passed over.
    """
    folders: dict[Path, None] = {}
    for top in dict.fromkeys(module.partition(".")[0] for module in modules):
        try:
            spec = importlib.util.find_spec(top) if top else None
        except (ImportError, ValueError):  # it has no place in the file system, as `__main__`
            continue
        if spec is None:
            continue
        places = spec.submodule_search_locations or ([str(Path(spec.origin).parent)] if spec.has_location and spec.origin else [])
        folders.update((Path(place).resolve(), None) for place in places if Path(place).is_dir())
    return list(folders)


def put_current_directory_on_path() -> None:
    """Let modules of the current directory be found, as finding the app does."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
