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
    """An app module in a folder, with its store beside it."""

    def __init__(self, folder: Path, *, grace: float = 25.0, store: Path | None = None, **sections: Mapping[str, object]) -> None:
        """`grace` is in seconds, `store` is the database file, `jobs.db` in the folder by default; `sections` go beside the profile's."""
        self.folder = folder
        self.store = store or folder / "jobs.db"
        self.name = f"fault_jobs_{next(_numbers)}"
        shutil.copy(JOBS, folder / f"{self.name}.py")
        runner = {**PROFILE["runner"], "grace_period_sec": grace}
        settings = {**PROFILE, **sections, "runner": runner}
        (folder / "project.toml").write_text(_toml(f"sqlite:///{self.store}", settings))
        self.module = self.import_module(self.name)

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


def _toml(url: str, settings: Mapping[str, Mapping[str, object]]) -> str:
    lines = ["[tool.pynenc]", 'app_id = "faults"', f"url = {json.dumps(url)}"]
    for section, values in settings.items():
        lines += [f"[tool.pynenc.{section}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
    return "\n".join(lines) + "\n"
