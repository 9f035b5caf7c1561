"""A project folder in which the real command runs, as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from attrs import field, frozen

from unit.plugins.site import Site

APP = """
from pynenc_core import Pynenc

app = Pynenc(app_id="shop")


@app.task
def add(x: int, y: int) -> int:
    return x + y
"""

PATIENCE = 60
"""Seconds after which a command that must end counts as hanging."""


def installed_plugins() -> str:
    """The names of all plugins of this environment, as PYNENC_DISABLE_PLUGINS takes them."""
    return ",".join(sorted(point.name for point in entry_points(group="pynenc")))


@frozen
class Project:
    """A folder with a user's files, and a second one into which distributions can be installed."""

    folder: Path
    site: Site
    environ: dict[str, str] = field(factory=dict)

    @classmethod
    def below(cls, folder: Path) -> Project:
        """Make both folders."""
        for name in ("project", "site"):
            (folder / name).mkdir()
        return cls(folder / "project", Site(folder / "site"))

    def write(self, name: str, text: str) -> Path:
        """Write a file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def command(self, *arguments: str) -> list[str]:
        """The command line of a `pynenc` that ends in these arguments."""
        return [sys.executable, "-m", "pynenc_core.cli", *arguments]

    def environment(self, **environ: str) -> Mapping[str, str]:
        """This process's variables without settings of ours, with the site folder on the path."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYNENC")}
        path = [str(self.site.folder), *filter(None, [kept.get("PYTHONPATH")])]
        return {**kept, "PYTHONPATH": os.pathsep.join(path), **self.environ, **environ}

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the command in the project's folder to its end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(**environ),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def fails(self, code: int, *arguments: str, **environ: str) -> str:
        """Run it, check that it ends with `code` and without a traceback, and return what it said on standard error."""
        done = self.run(*arguments, **environ)
        assert done.returncode == code, done
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        return done.stderr

    def prints(self, *arguments: str, **environ: str) -> str:
        """Run it, check that it succeeds, and return what it printed."""
        done = self.run(*arguments, **environ)
        assert done.returncode == 0, done
        return done.stdout

    def json(self, *arguments: str, **environ: str) -> Any:
        """Run it, check that it succeeds, and return the JSON document it printed."""
        return json.loads(self.prints(*arguments, **environ))


def without_plugins() -> dict[str, str]:
    """Variables under which nothing is installed but the core."""
    names = installed_plugins()
    return {"PYNENC_DISABLE_PLUGINS": names} if names else {}
