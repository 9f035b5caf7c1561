"""A runner of processes with threads: a fixed number of them, or as many as there is work for."""

from __future__ import annotations

import os
import time
from typing import ClassVar

from pynenc_core.ports.children import Child
from pynenc_core.ports.pool_runner import PoolRunner

_LOOK = 0.5  # seconds between looks at the gauges, which are memory: nothing tells that all threads are busy, or none


class MultiThreadRunner(PoolRunner):
    """Runs up to `max_processes` times `max_threads` invocations at once, on threads of worker processes.

    A worker that has had nothing to do for `idle_timeout_process_sec` ends, where their number is not fixed. An invocation
    that waits for others waits in its worker and holds no thread's slot there.
    """

    worker_class_name: ClassVar[str] = "MultiThreadWorker"

    @property
    def max_parallel_slots(self) -> int:
        """The greatest number of processes times the threads of each."""
        return self._most * self.slots_per_worker

    @property
    def slots_per_worker(self) -> int:
        """`max_threads`, or one where that is 0; never fewer than `min_threads`."""
        return max(self.conf.max_threads, self.conf.min_threads, 1)

    @property
    def _most(self) -> int:
        enough = -(-self.conf.min_parallel_slots // self.slots_per_worker)
        return max(self.conf.max_processes or os.cpu_count() or 1, self.conf.min_processes, enough)

    def workers_wanted(self) -> int:
        """Return `max_processes`; where that is not enforced, as many more than there are as waiting work would fill."""
        if self.conf.enforce_max_processes:
            return self._most
        count = len(self._workers)
        if count < self.conf.min_processes:
            return self.conf.min_processes
        if count >= self._most or not all(map(self._is_full, self._workers)):
            return count
        room = (self._most - count) * self.slots_per_worker
        waiting = self.app.orchestrator.waiting_work(room)
        return count + -(-waiting // self.slots_per_worker)

    def _until_next_look(self) -> float:
        scales = not self.conf.enforce_max_processes
        return min(_LOOK, super()._until_next_look()) if scales else super()._until_next_look()

    def runner_loop_iteration(self) -> None:
        """Look after the workers, and end those that have had nothing to do for long."""
        super().runner_loop_iteration()
        if not self.conf.enforce_max_processes:
            self._end_idle_ones()

    def _is_full(self, worker: Child) -> bool:
        return worker.gauge.jobs - worker.gauge.paused >= self.slots_per_worker

    def _end_idle_ones(self) -> None:
        staying = [worker for worker in self._workers if not worker.stops]
        spare = len(staying) - self.conf.min_processes
        longest = time.monotonic() - self.conf.idle_timeout_process_sec
        idle = [worker for worker in staying if 0.0 < worker.gauge.idle_since < longest]
        for worker in sorted(idle, key=lambda worker: worker.gauge.idle_since)[: max(spare, 0)]:
            self.logger.debug("worker %s has nothing to do and ends", worker.runner_id)
            worker.ask_to_stop(self.conf.grace_period_sec)
