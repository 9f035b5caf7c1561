"""What a runner subclasses whose invocations run on threads of one process."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from pynenc_core.errors.runners import RunnerNotExecutableError
from pynenc_core.model import Signal
from pynenc_core.ports.gauge import Gauge
from pynenc_core.ports.runner import BaseRunner
from pynenc_core.ports.runtime import Executor, seconds


class ExecutorRunner(BaseRunner):
    """A runner whose invocations run on threads of its own process, by the core's executor."""

    shared_loop: ClassVar[bool] = False
    """Whether the coroutines of async tasks run beside each other on one event loop, each in its thread otherwise."""
    executor: Executor | None = None
    """Made when the runner starts; not kept when it is pickled."""
    gauge: Gauge | None = None
    """What its executor shows of itself; as the executor."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name not in {"executor", "gauge"}}

    @staticmethod
    def mem_compatible() -> bool:
        """Return True: everything happens in this process."""
        return True

    def get_active_child_runner_ids(self) -> Collection[str]:
        """Return nothing: there are no child processes."""
        return ()

    @property
    def gauges(self) -> Sequence[Gauge]:
        """What this process shows of itself; none before it has started."""
        return () if self.gauge is None else (self.gauge,)

    @property
    def polled_at(self) -> float:
        """When the store last answered a claim, or a heartbeat with nothing to claim for, on the monotonic clock; 0: never yet."""
        return self.gauge.polled_at if self.gauge is not None else 0.0

    def _on_start(self) -> None:
        self.executor = self._new_executor()
        self.executor.start()

    def _new_executor(self) -> Executor:
        self.gauge = self.gauge or Gauge()
        slots, may_claim = self.max_parallel_slots, self._may_claim
        return self.app.open_executor(
            self.runner_context, slots, may_claim, self.gauge, self._replace_process, shared_loop=self.shared_loop
        )

    def _replace_process(self, why: str) -> float:
        """Return within how many seconds this process will be gone and another in its place; 0, as here: it stays."""
        del why
        return 0.0

    def _may_claim(self) -> bool:
        return self.duties.may_claim and not self.stops_asked  # a signal counts before the loop has heard of it

    def runner_loop_iteration(self) -> None:
        """Wait until somebody wakes this runner: its executor claims and runs by itself."""
        self.pause(self.conf.idle_claim_timeout_sec)

    def _stop_claiming(self) -> None:
        if self.executor is not None:
            self.executor.stop_claiming()

    def _on_stop_runner_loop(self) -> None:
        pass  # what runs may end; nothing new comes

    def _on_stop(self) -> None:
        if self.executor is not None:
            self.executor.drain(self.conf.grace_period_sec, self.hurry)

    def _deliver(self, signals: Sequence[Signal]) -> None:
        if self.executor is not None:
            self.executor.deliver(signals)

    def _is_busy(self) -> bool:
        return self.executor is not None and self.executor.running + self.executor.paused > 0

    def _waiting_for_results(
        self,
        running_invocation_id: str,
        result_invocation_ids: Sequence[str],
        runner_args: Mapping[str, object] | None = None,
    ) -> frozenset[str]:
        del running_invocation_id  # the executor knows which invocation the calling thread runs
        if self.executor is None:
            raise RunnerNotExecutableError(type(self).__name__, "waiting_for_results")
        timeout, linger = seconds(runner_args, "timeout"), seconds(runner_args, "linger")
        return self.executor.wait_for(result_invocation_ids, timeout, linger or 0.0)

    async def async_waiting_for_results(
        self,
        running_invocation_id: str,
        result_invocation_ids: Sequence[str],
        runner_args: Mapping[str, object] | None = None,
    ) -> frozenset[str]:
        """Do as `waiting_for_results` in a coroutine, which alone is held up, however many wait."""
        if self.executor is None or not running_invocation_id:
            return await super().async_waiting_for_results(running_invocation_id, result_invocation_ids, runner_args)
        timeout, linger = seconds(runner_args, "timeout"), seconds(runner_args, "linger")
        return await self.executor.async_wait_for(result_invocation_ids, timeout, linger or 0.0)
