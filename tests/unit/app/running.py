"""What these tests share: an app of its own for each test, a runner for it in this process, and gates instead of sleeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pynenc_core import Pynenc
from pynenc_core.identifiers import new_id
from pynenc_core.ports.runner import BaseRunner
from pynenc_core.status import Status

PATIENCE = 20.0
"""Seconds after which something that must happen counts as not happening."""

QUICK_LEASES: dict[str, Any] = {
    "runner": {"heartbeat_interval_sec": 0.1, "runner_considered_dead_after_minutes": 0.5 / 60},
    "orchestrator": {"atomic_service_check_interval_minutes": 0.1 / 60},
}
"""Settings under which a death is noticed within a second."""


def app_of_its_own(url: str = "memory://", *, threads: int = 2, **settings: Any) -> Pynenc:
    """Return an app under an id that no other test has; its thread runners have so many slots."""
    runner = {"max_threads": threads, "grace_period_sec": 5.0, **settings.pop("runner", {})}
    return Pynenc(url, app_id=settings.pop("app_id", f"test-{new_id()}"), runner=runner, **settings)


@contextmanager
def runner_of(app: Pynenc, name: str = "thread") -> Iterator[BaseRunner]:
    """Run a runner of this name while the block lasts; fails when it does not stop in time."""
    runner = app.make_runner(name)
    thread = threading.Thread(target=runner.run, name="test-runner", daemon=True)
    thread.start()
    try:
        yield runner
    finally:
        runner.stop_runner_loop()
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the runner does not stop"


@contextmanager
def working_app(url: str = "memory://", *, threads: int = 2, **settings: Any) -> Iterator[Pynenc]:
    """Give an app with a running runner; tasks may be defined on it inside the block."""
    app = app_of_its_own(url, threads=threads, **settings)
    try:
        with runner_of(app):
            yield app
    finally:
        app.close()


class Gate:
    """Opened once; who passes it counts. A task that waits here can be told things, since it looks up every few ms."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._lock = threading.Lock()
        self.reached = 0

    def open(self) -> None:
        """Let everybody pass."""
        self._open.set()

    def close(self) -> None:
        """Let nobody pass any more."""
        self._open.clear()

    def pass_through(self) -> None:
        """Block until it is open; for tasks."""
        with self._lock:
            self.reached += 1
        ends = time.monotonic() + PATIENCE
        while not self._open.wait(0.005):
            assert time.monotonic() < ends, "nobody opened the gate"

    def wait_for(self, count: int = 1) -> None:
        """Block until so many have reached it; for tests."""
        eventually(lambda: self.reached >= count, f"{count} arrivals at the gate, not {self.reached}")


def eventually(condition: Callable[[], object], what: str = "it", patience: float = PATIENCE) -> None:
    """Block until the condition holds; AssertionError after `patience` seconds."""
    ends = time.monotonic() + patience
    look = threading.Event()
    while not condition():
        assert time.monotonic() < ends, f"{what} did not happen within {patience:g} s"
        look.wait(0.005)


def statuses(invocation: Any) -> list[Status]:
    """Return the statuses that an invocation went through, in order."""
    return [entry.status_record.status for entry in invocation.history]
