"""What a runner subclasses that keeps a pool of worker processes: as many as are wanted, each replaced when it dies."""

from __future__ import annotations

from abc import abstractmethod

from pynenc_core.model import RunnerContext
from pynenc_core.ports.children import Child, spawned
from pynenc_core.ports.control import Control
from pynenc_core.ports.workers_runner import WorkersRunner


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
        self.pause(self._until_next_look())
        self._bury()
        self._fill_up()

    def _until_next_look(self) -> float:
        """Return after how many seconds to look, if nothing is told: when a worker may be started that is missing."""
        delay = self._starts.delay
        return min(self.conf.idle_claim_timeout_sec, delay) if delay > 0.0 else self.conf.idle_claim_timeout_sec

    def _fill_up(self) -> None:
        while self.running and self._starts.delay <= 0.0 and len(self._workers) < self.workers_wanted():
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
