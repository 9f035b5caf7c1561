"""A project folder with an app module, and `pynenc runner start` running in it as a real process."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import attrs
import pytest

from pynenc_core import Pynenc
from pynenc_core.ports.runner import BaseRunner
from pynenc_testkit.stores import PATIENCE, Background, eventually

START = PATIENCE * 3
"""Seconds that a runner may take to start, and what it runs to end, on a busy machine."""
FAST: Mapping[str, Mapping[str, object]] = {
    "runner": {"heartbeat_interval_sec": 0.2, "runner_considered_dead_after_minutes": 2.0 / 60, "idle_claim_timeout_sec": 1.0},
    "orchestrator": {"atomic_service_check_interval_minutes": 0.2 / 60},
}
"""A lease of 2 s, so that a test sees its end, and a machine with much to do does not."""
_numbers = itertools.count(1)


class RunnerProcess:
    """One `pynenc runner start`, in a session of its own, so that whatever it leaves behind is found."""

    def __init__(self, project: Project) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYNENC_")}
        environment["PYTHONPATH"] = os.pathsep.join([str(project.folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.log = project.folder / f"runner-{next(_numbers)}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pynenc_core.cli", "--app", f"{project.module.__name__}:app", "runner", "start"],
                cwd=project.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the runner, and to nobody else."""
        self._process.send_signal(signal.SIGTERM)

    def signal_group(self, signum: int) -> None:
        """Send a signal to the runner and to every process that it has started, as a terminal does."""
        os.killpg(self._process.pid, signum)

    def kill(self) -> None:
        """Send SIGKILL to the runner, and to nobody else."""
        self._process.kill()

    def wait(self, timeout: float = START) -> int:
        """Return the exit code; fails the test with the runner's log when it does not end in time."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the runner does not end within {timeout:g} s; its log:\n{self.log.read_text()}")

    def stop(self) -> int:
        """Ask it to stop, wait for it, and return its exit code."""
        self.ask_to_stop()
        return self.wait()

    def leaves_nothing(self) -> bool:
        """Return whether no process of its session is left."""
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def clean_up(self) -> None:
        """End whatever is left of its session: the test is over."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@attrs.define
class Project:
    """A folder with the kit's jobs as an app, imported here as the client."""

    folder: Path
    module: ModuleType
    runners: list[RunnerProcess] = attrs.field(factory=list[RunnerProcess])

    @property
    def app(self) -> Pynenc:
        """The app, as this process has it."""
        app: Pynenc = self.module.app
        return app

    @property
    def jobs(self) -> Any:
        """The module with the tasks."""
        return self.module

    def start(self) -> RunnerProcess:
        """Start one more runner."""
        process = RunnerProcess(self)
        self.runners.append(process)
        return process

    @contextmanager
    def running(self) -> Generator[BaseRunner]:
        """Run one more runner in a thread of this process, to look at it; at the end of the block it has stopped."""
        runner = self.app.make_runner()
        runs = Background(runner.run)
        try:
            yield runner
        finally:
            runner.stop_runner_loop()
            runs.result(START)

    def ledger(self) -> list[str]:
        """Return the lines that the bodies have noted so far."""
        path = self.folder / "ledger"
        return path.read_text().splitlines() if path.exists() else []

    def noted(self, line: str, count: int = 1) -> None:
        """Wait until a line was noted so often; AssertionError with the runners' logs when that does not come."""
        try:
            eventually(lambda: self.ledger().count(line) >= count, f"{line!r} {count} times in the ledger", START)
        except AssertionError as error:
            logs = "\n".join(runner.log.read_text() for runner in self.runners)
            error.add_note(f"the ledger: {self.ledger()}\nthe runners' logs:\n{logs}")
            raise

    def open_gate(self) -> None:
        """Let every `wait_for_gate` go on."""
        (self.folder / "gate").touch()

    def close(self) -> None:
        """End every runner, close the app, and forget the module."""
        for runner in self.runners:
            runner.clean_up()
        self.app.close()
        sys.modules.pop(self.module.__name__, None)
        sys.path.remove(str(self.folder))


def make_project(folder: Path, url: str, settings: Mapping[str, object], source: str = "") -> Project:
    """Write a project into a folder and import its module, under a name that no other project of this run has.

    `settings` are nested as in a configuration file; `source` replaces the kit's jobs.
    """
    name = f"kit_jobs_{os.getpid()}_{next(_numbers)}"
    text = source or files("pynenc_testkit").joinpath("jobs.py").read_text(encoding="utf-8")
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    (folder / "project.toml").write_text(_toml({"app_id": "kit", "url": url, **settings}), encoding="utf-8")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    return Project(folder, importlib.import_module(name))


def _toml(settings: Mapping[str, object]) -> str:
    """Write settings as a configuration file; a JSON value of these types is TOML as well."""
    plain = {name: value for name, value in settings.items() if not isinstance(value, Mapping)}
    sections = {name: cast("Mapping[str, object]", value) for name, value in settings.items() if isinstance(value, Mapping)}
    lines = ["[tool.pynenc]", *(f"{name} = {json.dumps(value)}" for name, value in plain.items())]
    for section, values in sections.items():
        lines += [f"[tool.pynenc.{section}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
    return "\n".join(lines) + "\n"
