"""A runner of coroutines: those of all async tasks share one event loop, and one that waits for others takes no slot."""

from __future__ import annotations

from typing import ClassVar

from pynenc_core.ports.executor_runner import ExecutorRunner


class AsyncioRunner(ExecutorRunner):
    """Runs up to `max_tasks` invocations at once: coroutines on one event loop, plain functions each in a thread.

    Works with every backend, and in any thread: the loop has one of its own.
    """

    shared_loop: ClassVar[bool] = True

    @property
    def max_parallel_slots(self) -> int:
        """`max_tasks`, and never fewer than `min_parallel_slots`."""
        return max(self.conf.max_tasks, self.conf.min_parallel_slots)
