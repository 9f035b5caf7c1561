"""The runner."""

from __future__ import annotations

import time

from pynenc_core.ports.executor_runner import ExecutorRunner
from pynenc_runner_inline.settings import InlineSettings


class InlineRunner(ExecutorRunner):
    """Runs one invocation at a time; with `stop_when_idle_sec` it ends by itself when there was nothing to do for so long."""

    @property
    def max_parallel_slots(self) -> int:
        """One."""
        return 1

    def _on_start(self) -> None:
        self._idle_at_most = self.app.section(InlineSettings).stop_when_idle_sec
        self._started_at = time.monotonic()
        super()._on_start()

    def runner_loop_iteration(self) -> None:
        """Block until there may be something to do for this loop: the executor claims and runs by itself."""
        if not self._idle_at_most:
            self.pause(self.conf.idle_claim_timeout_sec)
            return
        left = self._idle_at_most - self._idle_for()
        if left > 0:
            self.pause(left)
        else:
            self.stop_runner_loop()

    def _idle_for(self) -> float:
        """Return for how many seconds nothing has been running or waiting here."""
        if self.gauge is None or self.gauge.jobs:
            return 0.0
        return time.monotonic() - max(self._started_at, self.gauge.idle_since)
