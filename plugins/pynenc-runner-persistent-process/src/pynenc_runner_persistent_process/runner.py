"""A runner of processes: a fixed number of workers, each replaced when it dies, whose work is handed on at once."""

from __future__ import annotations

import os
from typing import ClassVar

from pynenc_core.ports.pool_runner import PoolRunner


class PersistentProcessRunner(PoolRunner):
    """Runs up to `num_processes` invocations at once, each in a process of its own that goes on with the next one.

    A worker whose invocation waits for others goes on with other invocations, one at a time.
    """

    worker_class_name: ClassVar[str] = "PersistentProcessWorker"

    @property
    def max_parallel_slots(self) -> int:
        """`num_processes`, or the number of CPUs where that is 0; never fewer than `min_parallel_slots`."""
        return max(self.conf.num_processes or os.cpu_count() or 1, self.conf.min_parallel_slots)

    @property
    def slots_per_worker(self) -> int:
        """One: what runs in Python has the interpreter for itself."""
        return 1

    def workers_wanted(self) -> int:
        """Return `max_parallel_slots`, always."""
        return self.max_parallel_slots
