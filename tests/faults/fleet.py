"""Starts real runners over a project, stops and kills them by their own pids, and leaves no process behind."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from faults.processes import descendants_of, marked, send, state_of
from faults.project import Project
from faults.runners import KINDS
from pynenc_testkit.stores import eventually

PATIENCE = 30.0
"""Seconds that a runner may take to start or to end on a busy machine."""
SWEEPS_ONLY: Mapping[str, str] = {"PYNENC__RUNNER__QUEUES": '["none"]'}
"""For `Fleet.start`: a runner that takes no work, and recovers what others leave."""
_LEASH = Path(__file__).with_name("leash.py")
_MARK = "PYNENC_TEST_FLEET"


class Host:
    """One `pynenc runner start` with its children."""

    def __init__(self, fleet: Fleet, runner: str, processes: int, process: subprocess.Popen[bytes], log: Path) -> None:
        """`processes` is the number of workers that it starts with."""
        self._fleet = fleet
        self._process = process
        self._processes = processes
        self.kind = KINDS[runner]
        self.log = log

    @property
    def pid(self) -> int:
        """The runner's own pid."""
        return self._process.pid

    @property
    def workers(self) -> list[int]:
        """The pids of the processes that execute: the runner itself where it has no others for that."""
        return self.kind.workers(self.pid)

    @property
    def tree(self) -> list[int]:
        """The runner's pid and those of all that it has started."""
        return [self.pid, *descendants_of(self.pid)]

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def said(self) -> str:
        """Return its log so far."""
        return self.log.read_text(errors="replace")

    def is_ready(self) -> bool:
        """Return whether the store has heartbeats of the runner and of each of its workers."""
        assert self.exit_code is None, f"the runner ended with {self.exit_code}; its log:\n{self.said()}"
        beats = self._fleet.project.app.orchestrator.get_active_runners()
        return sum(f"-{self.pid}-" in beat.runner_id for beat in beats) >= 1 + self._processes

    def kill(self, *pids: int) -> float:
        """SIGKILL some of its processes, by default all of them at one instant; return when."""
        chosen = pids or tuple(self.tree)
        if len(chosen) > 1:
            self.stop_clock(*chosen)  # or the children would see their parent die before they die themselves
        now = time.time()
        for pid in chosen:
            self._fleet.kills[pid] = now
        send(chosen, signal.SIGKILL)
        if self.pid in chosen:
            self._process.wait(PATIENCE)
        return now

    def stop_clock(self, *pids: int) -> None:
        """SIGSTOP some of its processes, by default all, and wait until they stand."""
        chosen = pids or tuple(self.tree)
        send(chosen, signal.SIGSTOP)
        eventually(lambda: all(state_of(pid) in {"T", "Z", ""} for pid in chosen), "a stop", PATIENCE)

    def go_on(self) -> None:
        """SIGCONT all of it."""
        send(self.tree, signal.SIGCONT)

    def ask_to_stop(self) -> float:
        """Send SIGTERM to the runner, and to nobody else; return when."""
        self._process.send_signal(signal.SIGTERM)
        return time.time()

    def wait(self, timeout: float = PATIENCE) -> int:
        """Return the exit code; AssertionError with its log when it does not end in time."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the runner does not end within {timeout:g} s; its log:\n{self.said()}") from None

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        self.ask_to_stop()
        return self.wait()


class Fleet:
    """All runners of one scenario; a context, at whose end nothing of them is left."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.hosts: list[Host] = []
        self.kills: dict[int, float] = {}
        """When which pid was killed, by the clock of `time.time`."""
        self.began = time.time()
        self.slowest_start = 0.0
        """Seconds from the command to the heartbeats, of the runner that took longest."""
        self._token = secrets.token_hex(8)
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        send(self._left(), signal.SIGKILL)
        for process in self._processes:
            process.kill()
            process.wait(PATIENCE)
        eventually(lambda: not self._left(), "the end of every process", PATIENCE)
        if error is not None:
            error.add_note("\n".join(f"--- {host.log.name}\n{host.said()[-4000:]}" for host in self.hosts))

    def launch(
        self, *arguments: str, options: Sequence[str] = (), log: str = "", **environment: str
    ) -> tuple[subprocess.Popen[bytes], Path]:
        """Start `pynenc <arguments>` over the project, as a process that dies with this one; return it, and its log.

        `options` are the leash's; `environment` is added to `variables()`.
        """
        path = self.project.folder / (log or f"command-{len(self._processes)}.log")
        return self._run([*options, sys.executable, "-m", "pynenc_core.cli", *arguments], path, environment), path

    def python(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start another program over the project, as a process that dies with this one."""
        return self._run([sys.executable, *arguments], self.project.folder / f"python-{len(self._processes)}.log", {})

    def variables(self) -> dict[str, str]:
        """Return the environment of every process of this fleet: by it they are found, whoever has started them."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PYNENC_")}
        modules = os.pathsep.join([str(self.project.folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        return {**ours, "PYTHONPATH": modules, _MARK: self._token}

    def _run(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-IS", str(_LEASH), *command],
                cwd=self.project.folder,
                env={**self.variables(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process

    def start(
        self,
        runner: str,
        slots: int = 1,
        variables: Mapping[str, str] | None = None,
        *,
        crowd: int = 0,
        module: str = "",
        ready: bool = True,
    ) -> Host:
        """Start a runner with so many slots, and wait until the store has its heartbeats, unless `ready` is False.

        `variables` are added to its environment; `crowd` is how many of its slots share a process, where it lets one choose;
        `module` names another module than the project's.
        """
        kind = KINDS[runner]
        locator = f"{module or self.project.name}:app"
        name = f"runner-{len(self.hosts) + 1}.log"
        environment = {**kind.variables(slots, crowd), **(variables or {})}
        process, log = self.launch("--app", locator, "runner", "start", "--runner", runner, log=name, **environment)
        host = Host(self, runner, kind.processes(slots, crowd), process, log)
        self.hosts.append(host)
        if ready:
            began = time.monotonic()
            eventually(host.is_ready, f"the start of {name}", PATIENCE)
            self.slowest_start = max(self.slowest_start, time.monotonic() - began)
        return host

    def probe_start(self) -> float:
        """Start a process with what a worker imports, and return how many seconds that takes now."""
        began = time.monotonic()
        self.python("-c", "import pynenc_core.worker, sqlite3").wait(PATIENCE)
        return time.monotonic() - began

    def living(self) -> Iterator[Host]:
        """Yield the hosts that have not ended."""
        return (host for host in self.hosts if host.exit_code is None)

    def leaked(self) -> list[int]:
        """Return the pids of processes that outlive their runner, a moment after its end."""
        try:
            eventually(lambda: not self._left(), "the end of every process", 3.0)
        except AssertionError:
            return self._left()
        return []

    def stop_all(self) -> list[int]:
        """Stop every runner that is still there; return the exit codes of those."""
        living = list(self.living())
        for host in living:
            host.ask_to_stop()
        return [host.wait() for host in living]

    def _left(self) -> list[int]:
        return marked(f"{_MARK}={self._token}")
