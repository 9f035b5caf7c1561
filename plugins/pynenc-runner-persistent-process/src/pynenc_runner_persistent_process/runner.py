"""A runner of processes: a fixed number of workers, each replaced when it dies, whose work is handed on at once."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence

from pynenc_core.errors.runners import RunnerNotExecutableError
from pynenc_core.model import RunnerContext, Signal
from pynenc_core.ports.runner import BaseRunner
from pynenc_runner_persistent_process.child import Child

_SOON = 2.0  # seconds: a child that dies sooner after its start, and had no work, is started again with growing delays
_DELAY_MOST = 30.0
_AFTER_GRACE = 3.0  # seconds a child has for handing back what its grace did not suffice for
_IN_A_HURRY = 2.0


class PersistentProcessRunner(BaseRunner):
    """Runs up to `num_processes` invocations at once, each in a process of its own that goes on with the next one.

    A worker whose invocation waits for others goes on with other invocations, one at a time.
    """

    @staticmethod
    def mem_compatible() -> bool:
        """Return False: the workers are other processes."""
        return False

    @property
    def max_parallel_slots(self) -> int:
        """`num_processes`, or the number of CPUs where that is 0."""
        return self.conf.num_processes or os.cpu_count() or 1

    def get_active_child_runner_ids(self) -> Collection[str]:
        """Return the runner ids of the workers that are alive."""
        return [child.runner_id for child in list(getattr(self, "_children", ())) if child.alive]

    def _on_start(self) -> None:
        self._children: list[Child] = []
        self._early_deaths = 0
        self._next_spawn = 0.0
        self._fill_up()

    def runner_loop_iteration(self) -> None:
        """Wait until a worker ends or somebody wakes this runner; hand on what the dead owned, start others in their place."""
        until_spawn = (
            self._next_spawn - time.monotonic() if len(self._children) < self.max_parallel_slots else self.conf.idle_claim_timeout_sec
        )
        self.pause(min(max(until_spawn, 0.0), self.conf.idle_claim_timeout_sec))
        self._bury()
        if self.running and time.monotonic() >= self._next_spawn:
            self._fill_up()

    def _fill_up(self) -> None:
        while self.running and len(self._children) < self.max_parallel_slots:
            context = RunnerContext.of_this_process("PersistentProcessWorker", parent=self.runner_context)
            try:
                child = Child(context, *self.app.worker_command(context, 1), ended=self.wake)
            except OSError as error:
                self._delay_spawn()
                self.logger.error("runner %s cannot start a worker (%s); it tries again", self.runner_id, error)  # noqa: TRY400 - no defect of ours
                return
            self._children.append(child)
            self._register_new_child_runner_context(context.in_process(child.process.pid))

    def _bury(self) -> None:
        for child in [child for child in self._children if not child.alive]:
            if self.running or child.process.returncode != 0:
                handed = self._hand_on([(child.runner_id, child.exit_reason())])
            else:  # as it was asked to: it owns nothing any more, and nobody need wait for its lease
                handed = self.app.orchestrator.hand_on(child.runner_id, child.exit_reason())
            if not handed and time.monotonic() - child.started_at < _SOON:
                self._delay_spawn()
            else:  # one that had work to hand on did start well: what ran in it is charged, and set aside if it goes on so
                self._early_deaths = 0
            self._children.remove(child)  # last: while the store is away it stays, and is tried again

    def _delay_spawn(self) -> None:
        self._early_deaths += 1
        self._next_spawn = time.monotonic() + min(0.1 * 2**self._early_deaths, _DELAY_MOST)

    def _on_stop_runner_loop(self) -> None:
        for child in getattr(self, "_children", ()):
            child.ask_to_stop(self.conf.grace_period_sec)

    def _on_stop(self) -> None:
        deadline = time.monotonic() + self.conf.grace_period_sec + _AFTER_GRACE
        children = list(getattr(self, "_children", ()))
        hurried = False
        while any(child.alive for child in children) and time.monotonic() < deadline:
            if self.hurry.is_set() and not hurried:
                hurried, deadline = True, time.monotonic() + _IN_A_HURRY
                for child in children:
                    child.hurry()
            self.pause(0.2)
        for child in children:
            if child.alive:
                self.logger.warning("worker %s did not end within its grace; it is killed", child.runner_id)
                child.kill()
                self.app.orchestrator.reroute_owned(child.runner_id)
        self._bury()

    def _deliver(self, signals: Sequence[Signal]) -> None:
        for child in list(getattr(self, "_children", ())):
            child.deliver(signals)

    def _waiting_for_results(
        self,
        running_invocation_id: str,
        result_invocation_ids: Sequence[str],
        runner_args: Mapping[str, object] | None = None,
    ) -> frozenset[str]:
        del running_invocation_id, result_invocation_ids, runner_args  # invocations wait in the workers, whose executor does it
        raise RunnerNotExecutableError(type(self).__name__, "_waiting_for_results")
