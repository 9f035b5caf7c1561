"""The runner inside a worker process that claims by itself."""

from __future__ import annotations

from contextlib import suppress

from pynenc_core.app import Pynenc
from pynenc_core.model import RunnerContext
from pynenc_core.ports.control import CONTROL, Control
from pynenc_core.ports.executor_runner import ExecutorRunner
from pynenc_core.ports.runtime import Duties
from pynenc_core.worker.parent import NoDuties, Parent

_LEAVING = 5.0  # seconds after the grace in which a worker hands the rest back and ends


class WorkerRunner(ExecutorRunner):
    """Runs invocations in a child process, under the runner id that its parent gave it."""

    def __init__(self, app: Pynenc, context: RunnerContext, slots: int, parent: Parent) -> None:
        super().__init__(app, runner_context=context)
        self._slots = slots
        self._parent = parent
        self._heard = 0
        self.gauge = parent.gauge
        self._grace = self.conf.grace_period_sec

    def _open_duties(self) -> Duties:
        self._lease = NoDuties(self.conf.runner_considered_dead_after_minutes * 60)
        return self._lease

    @property
    def max_parallel_slots(self) -> int:
        """How many invocations may run at once here."""
        return self._slots

    def on_start(self) -> None:
        """Start what executes; the parent has announced everything else."""
        self._stopped.clear()
        self.running = True
        self._on_start()

    def on_stop(self) -> None:
        """Drain within the grace that the parent has left."""
        try:
            if self.executor is not None:
                self.executor.drain(self._grace, self.hurry)
        finally:
            self._stopped.set()

    def _replace_process(self, why: str) -> float:
        if self.running:
            self.logger.warning("worker %s ends, and another takes its place: %s", self.runner_id, why)
            self.running = False  # not as if somebody had asked for it: a stop that comes now is the first one
            self.wake()
        return self._grace + _LEAVING

    def _log_shutdown(self, signum: int | None) -> None:
        del signum  # the parent has said why
        self.logger.debug("worker %s stops", self.runner_id)

    def obey(self) -> None:
        """Carry out lines of control until they end."""
        with suppress(OSError, ValueError):  # a task has closed every descriptor: nobody can reach this process any more
            for each in self._parent.lines:
                self._carry_out(CONTROL.decode(each))
                self._heard += 1  # after it was carried out: what it has set going is known by then
                self._have_heard()
        self.hurry.set()
        self.stop_runner_loop()

    def _have_heard(self) -> None:
        """Called after each line."""

    def _carry_out(self, told: Control) -> None:
        if told.signals is not None:
            self._lease.note_renewal()  # such a line comes with each heartbeat
            self._deliver(told.signals)
        if not told.claim:
            self._stop_claiming()
        if told.stop is not None:
            self._grace = told.stop
            if not self.stops_asked:  # a signal to the whole group has come here as well: this is not the second one
                self.stop_runner_loop()
