"""What runners of worker processes have in common: they start them, tell them things, and move on what the dead owned."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.errors.base import PynencError
from pynenc_core.errors.runners import RunnerNotExecutableError
from pynenc_core.model import ChildReport, RunnerContext, Signal
from pynenc_core.ports.children import Child
from pynenc_core.ports.gauge import Gauge
from pynenc_core.ports.runner import BaseRunner
from pynenc_core.ports.worker_watch import Starts, watch_deadlines

_SOON = 2.0  # seconds: a child that dies sooner after its start, and had no work, is started again with growing delays
_AFTER_GRACE = 3.0  # seconds a worker has for handing back what its grace did not suffice for
_IN_A_HURRY = 2.0
_LOOK_AT_THE_END = 0.2  # seconds between looks whether somebody is in a hurry; the end of a worker is told
_REMEMBERED = 20  # children that died, for the report of a shutdown


class WorkersRunner(BaseRunner):
    """A runner of worker processes. Each has a runner id of its own and runs the core's executor."""

    worker_class_name: ClassVar[str] = "Worker"
    """What history calls a worker."""
    not_pickled: ClassVar[frozenset[str]] = frozenset({"_workers", "_dead", "_ends"})
    """Attributes that belong to the process that starts the workers."""
    _workers: list[Child]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._begin_without_workers()

    def _begin_without_workers(self) -> None:
        self._workers = []
        self._dead: deque[ChildReport] = deque(maxlen=_REMEMBERED)
        self._ends: dict[str, Callable[[str], int]] = {}
        """What to do with the work of a worker that this runner ended itself, by its runner id."""
        self._watched = False
        """A thread looks at the gauges."""
        self._starts = Starts()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name not in self.not_pickled}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
        self._begin_without_workers()

    @staticmethod
    def mem_compatible() -> bool:
        """Return False: the workers are other processes."""
        return False

    def get_active_child_runner_ids(self) -> Collection[str]:
        """Return the runner ids of the workers that are alive."""
        return [worker.runner_id for worker in list(self._workers) if worker.alive]

    def children(self) -> Sequence[ChildReport]:
        """Return the workers, and those that died lately otherwise than by ending as they should."""
        return [*(worker.report() for worker in list(self._workers)), *self._dead]

    @property
    def gauges(self) -> Sequence[Gauge]:
        """What each worker shows of itself."""
        return [worker.gauge for worker in list(self._workers)]

    def _spawn(self) -> Child | None:
        """Start a worker; None when that fails, and then it is tried again after a while."""
        if not self._watched:
            self._watched = True
            watch_deadlines(lambda: list(self._workers), self._overran, self._stopped)
        context = RunnerContext.of_this_process(self.worker_class_name, parent=self.runner_context)
        try:
            worker = self._start(context)
        except OSError as error:
            self._starts.failed()
            if not self.stops_asked:
                self.logger.error("runner %s cannot start a worker (%s); it tries again", self.runner_id, error)  # noqa: TRY400 - no defect of ours
            return None
        self._workers.append(worker)
        self._register_new_child_runner_context(worker.context)
        return worker

    @abstractmethod
    def _start(self, context: RunnerContext) -> Child:
        """Return a new worker of that context, which wakes this runner when it ends. Raises OSError when that is not possible."""

    # The dead.

    def _overran(self, worker: Child) -> None:
        if worker.runner_id not in self._ends:
            self.logger.warning("worker %s is killed: what runs in it did not end at its hard timeout", worker.runner_id)
            overdue = worker.gauge.deadline_of
            self._end(worker, lambda runner_id: self.app.orchestrator.end_overdue(runner_id, overdue))

    def _end(self, worker: Child, work: Callable[[str], int]) -> None:
        """Kill a worker; `work` takes its runner id, and moves on what it owned."""
        self._ends[worker.runner_id] = work
        worker.kill()

    def _bury(self) -> None:
        for worker in [worker for worker in self._workers if not worker.alive]:
            report = self._bury_one(worker)
            if report.exit_code:  # one that ended as it should tells nobody anything
                self._dead.append(report)
            self._workers.remove(worker)  # last: while the store is away it stays, and is tried again
            self._ends.pop(worker.runner_id, None)
            worker.close()

    def _bury_one(self, worker: Child) -> ChildReport:
        """Move on what a dead worker owned. Raises BackendUnavailableError."""
        code = worker.process.returncode or 0
        reason = self.app.exit_reason(worker.context, code)
        ended_here = self._ends.get(worker.runner_id)
        if ended_here is not None:
            handed = ended_here(worker.runner_id)
        elif code != 0:
            handed = self._hand_on([(worker.runner_id, reason)])
        else:  # as it was asked to: it owns nothing any more, and nobody need wait for its lease
            handed = self.app.orchestrator.hand_on(worker.runner_id, reason)
        if code != 0 and ended_here is None and not handed and time.monotonic() - worker.started_at < _SOON:
            self._starts.failed()
        else:  # one that had work to hand on did start well: what ran in it is charged, and set aside if it goes on so
            self._starts.succeeded()
        return worker.report(reason)

    # The end.

    def _on_stop(self) -> None:
        """Wait for what runs, once for all workers; hand back the rest."""
        deadline = time.monotonic() + self.conf.grace_period_sec + _AFTER_GRACE
        while self._still_runs() and time.monotonic() < deadline:
            if self.hurry.is_set():
                deadline = min(deadline, time.monotonic() + _IN_A_HURRY)
                for worker in self._workers:
                    worker.hurry()
            self.pause(_LOOK_AT_THE_END)
        self._bury_the_last()

    def _still_runs(self) -> bool:
        """Return whether a worker is to be waited for at the end; asked again and again."""
        return any(worker.alive for worker in self._workers)

    def _bury_the_last(self) -> None:
        for worker in [worker for worker in self._workers if worker.alive]:
            if worker.runner_id not in self._ends:
                self.logger.warning("worker %s did not end within its grace; it is killed", worker.runner_id)
            self._end(worker, self.app.orchestrator.reroute_owned)
        until = time.monotonic() + _IN_A_HURRY
        for worker in self._workers:
            worker.wait(max(0.0, until - time.monotonic()))
        try:
            self._bury()
        except BackendUnavailableError as error:
            self.logger.warning("runner %s leaves the work of dead workers to recovery: %s", self.runner_id, error)
        except PynencError:
            self.logger.exception("runner %s leaves the work of dead workers to recovery", self.runner_id)

    def _is_busy(self) -> bool:
        return any(gauge.jobs for gauge in self.gauges)

    def _deliver(self, signals: Sequence[Signal]) -> None:
        for worker in list(self._workers):
            worker.deliver(signals)

    def _waiting_for_results(
        self,
        running_invocation_id: str,
        result_invocation_ids: Sequence[str],
        runner_args: Mapping[str, object] | None = None,
    ) -> frozenset[str]:
        del running_invocation_id, result_invocation_ids, runner_args  # invocations wait in the workers, whose executor does it
        raise RunnerNotExecutableError(type(self).__name__, "_waiting_for_results")
