"""A runner of threads: each running invocation has its own, and one that waits for others takes no slot."""

from __future__ import annotations

import os

from pynenc_core.ports.executor_runner import ExecutorRunner


class ThreadRunner(ExecutorRunner):
    """Runs up to `max_threads` invocations at once on threads of this process; works with every backend."""

    @property
    def max_parallel_slots(self) -> int:
        """`max_threads`, or the number of CPUs where that is 0; never fewer than `min_threads` and `min_parallel_slots`."""
        return max(self.conf.max_threads or os.cpu_count() or 1, self.conf.min_threads, self.conf.min_parallel_slots)
