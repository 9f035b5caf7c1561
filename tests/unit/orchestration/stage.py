"""An app on a clock that stands still, and workers that live and die by the test's word."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pynenc_core import Pynenc
from pynenc_core.identifiers import new_id
from pynenc_core.invocation import Invocation
from pynenc_core.model import InvocationRecord, RunnerContext
from pynenc_core.orchestration.heartbeat import Heartbeat
from pynenc_core.orchestration.recovery import Recovery
from pynenc_core.orchestration.services import Service, ServiceRole
from pynenc_core.plugins import PluginManager
from pynenc_core.status import Owner, Status
from pynenc_testkit.clock import ManualClock

LEASE = 30.0


class Stage:
    """One app, with what a test does to it."""

    def __init__(self, app: Pynenc, clock: ManualClock) -> None:
        self.app = app
        self.clock = clock
        self.task = app.task(job)
        self.limited = app.task(running_concurrency="task")(limited_job)
        self.engine = app.orchestrator.engine
        self.recovery = Recovery(self.engine, "sweeper")

    def queue(self, count: int = 1) -> list[Invocation[int]]:
        """Register so many invocations."""
        return [self.task(n) for n in range(count)]

    def worker(self, name: str = "Worker") -> RunnerContext:
        """Return a worker that has just given a heartbeat."""
        context = RunnerContext.of_this_process(name)
        self.beat(context)
        return context

    def beat(self, *contexts: RunnerContext) -> None:
        """Give heartbeats."""
        self.engine.state.beat([context.runner_id for context in contexts], LEASE)

    def claim(self, worker: RunnerContext, count: int = 1) -> list[InvocationRecord]:
        """Let a worker claim and start so many."""
        return list(self.app.orchestrator.get_invocations_to_run(count, worker))

    def move(self, invocation: Invocation[Any], *to: Status) -> None:
        """Let its owner, if it has one, take an invocation through these statuses, one write each."""
        for status in to:
            owner = invocation.record.state.owner
            self.app.orchestrator.set_invocation_status(invocation.invocation_id, status, owner)

    def sweep(self) -> int:
        """Recover once."""
        return self.recovery.turn(self.engine.state.now())

    def pass_lease(self) -> None:
        """Let every lease end that is not renewed from now on."""
        self.clock.advance(LEASE + 1)


def job(n: int) -> int:
    """Return its argument."""
    return n


def limited_job() -> int:
    """Return a number; one at a time."""
    return 1


def owner(record: InvocationRecord) -> Owner:
    """Return who owns a record."""
    found = record.state.owner
    assert found is not None
    return found


@contextmanager
def stage(url: str = "memory://", *, plugins: PluginManager | None = None, **settings: Any) -> Iterator[Stage]:
    """Open an app of its own on a clock that stands still."""
    clock = ManualClock()
    app = Pynenc(url, app_id=f"stage-{new_id()}", clock=clock, plugins=plugins, **settings)
    try:
        yield Stage(app, clock)
    finally:
        app.close()


def sqlite_url(folder: Path) -> str:
    """Return the URL of a database file in this folder."""
    return f"sqlite:///{folder}/jobs.db"


def heartbeat_of(scene: Stage, name: str = "Runner") -> Heartbeat:
    """Return the heartbeat of a new runner, stepped by hand."""
    return Heartbeat(scene.engine, RunnerContext.of_this_process(name).runner_id, lambda: (), lambda _: None, lambda: False)


def role_of(scene: Stage, heartbeat: Heartbeat, runner_id: str, services: dict[str, Service] | None = None) -> ServiceRole:
    """Return the role of that runner, with recovery as its service."""
    return ServiceRole(scene.engine, runner_id, heartbeat, services or {"recovery": Recovery(scene.engine, runner_id)})
