"""A project folder with an app module and its configuration, imported here as the client."""

from __future__ import annotations

import importlib
import itertools
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from pynenc_core import Pynenc

JOBS = Path(__file__).with_name("jobs.py")
LEASE, HEARTBEAT, SWEEP = 2.0, 0.4, 0.4
"""Seconds: the test profile of the promises."""
PROFILE: Mapping[str, Mapping[str, object]] = {
    "runner": {"heartbeat_interval_sec": HEARTBEAT, "runner_considered_dead_after_minutes": LEASE / 60},
    "orchestrator": {"atomic_service_check_interval_minutes": SWEEP / 60, "max_pending_seconds": 1.0},
}
_numbers = itertools.count(1)


class Project:
    """An app module in a folder, with its store at a URL."""

    def __init__(self, folder: Path, url: str, *, grace: float = 25.0, **sections: Mapping[str, object]) -> None:
        """The folder's name becomes the app's id. `grace` is in seconds; `sections` go beside the profile's."""
        self.folder = folder
        self.url = url
        self.name = f"fault_jobs_{next(_numbers)}"
        shutil.copy(JOBS, folder / f"{self.name}.py")
        runner = {**PROFILE["runner"], "grace_period_sec": grace}
        settings = {**PROFILE, **sections, "runner": runner}
        (folder / "project.toml").write_text(_toml(folder.name, url, settings))
        self.module = self.import_module(self.name)

    @property
    def file(self) -> Path:
        """The database, where the store is a file."""
        return Path(urlsplit(self.url).path)

    @property
    def app(self) -> Pynenc:
        """The app, as this process has it open."""
        app: Pynenc = self.module.app
        return app

    @property
    def jobs(self) -> Any:
        """The module with the tasks."""
        return self.module

    def add_module(self, name: str, source: str) -> str:
        """Write another module beside the app's; return its name, which no other project of this run has."""
        unique = f"{self.name}_{name}"
        (self.folder / f"{unique}.py").write_text(source.replace("JOBS", self.name))
        return unique

    def open_gate(self, name: str) -> None:
        """Let every task that waits for this gate go on."""
        (self.folder / name).touch()

    def close(self) -> None:
        """Close the app's connections and forget the module."""
        self.app.close()
        for name in [name for name in sys.modules if name.startswith(self.name)]:
            del sys.modules[name]

    def import_module(self, name: str) -> ModuleType:
        """Import a module of the folder."""
        sys.path.insert(0, str(self.folder))
        try:
            importlib.invalidate_caches()
            return importlib.import_module(name)
        finally:
            sys.path.remove(str(self.folder))


def _toml(app_id: str, url: str, settings: Mapping[str, Mapping[str, object]]) -> str:
    lines = ["[tool.pynenc]", f"app_id = {json.dumps(app_id)}", f"url = {json.dumps(url)}"]
    for section, values in settings.items():
        lines += [f"[tool.pynenc.{section}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
    return "\n".join(lines) + "\n"
