"""What a runner subclasses that keeps a pool of worker processes: as many as are wanted, each replaced when it dies."""

from __future__ import annotations

import time
from abc import abstractmethod

from pynenc_core.model import RunnerContext
from pynenc_core.ports.children import Child, spawned
from pynenc_core.ports.control import Control
from pynenc_core.ports.workers_runner import WorkersRunner

_AFTER_GRACE = 3.0  # seconds a worker has for handing back what its grace did not suffice for
_IN_A_HURRY = 2.0
_LOOK = 0.5  # seconds between looks at the gauges, which are memory: nothing tells of a time that is up


class PoolRunner(WorkersRunner):
    """A runner whose workers live long and claim by themselves."""

    @property
    @abstractmethod
    def slots_per_worker(self) -> int:
        """How many invocations may run at once in one worker."""

    @abstractmethod
    def workers_wanted(self) -> int:
        """Return how many workers there should be now; asked at each turn of the loop."""

    @property
    def polled_at(self) -> float:
        """When the store last answered one of the workers."""
        return max((gauge.polled_at for gauge in self.gauges), default=0.0)

    def _on_start(self) -> None:
        self._begin_without_workers()
        self._fill_up()

    def runner_loop_iteration(self) -> None:
        """Wait until a worker ends or somebody wakes this runner; hand on what the dead owned, start others in their place."""
        self.pause(min(_LOOK, self.conf.idle_claim_timeout_sec))
        self._bury()
        self._fill_up()

    def _fill_up(self) -> None:
        while self.running and time.monotonic() >= self._next_spawn and len(self._workers) < self.workers_wanted():
            if self._spawn() is None:
                return

    def _start(self, context: RunnerContext) -> Child:
        command, first_line = self.app.worker_command(context, self.slots_per_worker)
        return Child(context, spawned(command), first_line, ended=self.wake)

    def _stop_claiming(self) -> None:
        for worker in self._workers:
            worker.tell(Control(claim=False))

    def _on_stop_runner_loop(self) -> None:
        for worker in self._workers:
            worker.ask_to_stop(self.conf.grace_period_sec)

    def _on_stop(self) -> None:
        deadline = time.monotonic() + self.conf.grace_period_sec + _AFTER_GRACE
        hurried = False
        while any(worker.alive for worker in self._workers) and time.monotonic() < deadline:
            if self.hurry.is_set() and not hurried:
                hurried, deadline = True, time.monotonic() + _IN_A_HURRY
                for worker in self._workers:
                    worker.hurry()
            self.pause(0.2)
        self._bury_the_last()
