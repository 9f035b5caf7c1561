"""What an app has for a runner where none runs: it executes nothing, waits for what runners do, and names who registers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping, Sequence
from typing import NoReturn

from pynenc_core.errors.runners import RunnerNotExecutableError
from pynenc_core.model import RunnerContext
from pynenc_core.ports.runner import BaseRunner
from pynenc_core.ports.runtime import Duties, RunnerView, seconds


class _NoDuties:
    """It gives no heartbeat and takes no role: nobody recovers what it owns, as it owns nothing."""

    may_claim = beating = False
    beaten_at = 0.0

    def start(self) -> None:
        """Do nothing; so do the others."""

    stop = beat_now = check_services = stand_down = start


class DummyRunner(BaseRunner):
    """Stands for a runner in an app that is used outside of one: every method that executes raises RunnerNotExecutableError.

    Waiting for results blocks until the store tells that one is there. Making it opens no store.
    """

    def __init__(
        self,
        app: RunnerView,
        runner_cache: MutableMapping[str, object] | None = None,
        runner_context: RunnerContext | None = None,
    ) -> None:
        super().__init__(app, {} if runner_cache is None else runner_cache, runner_context)

    def _open_duties(self) -> Duties:
        return _NoDuties()

    @staticmethod
    def mem_compatible() -> bool:
        """Return True: it runs nothing elsewhere."""
        return True

    @property
    def max_parallel_slots(self) -> int:
        """None at all."""
        return 0

    def get_active_child_runner_ids(self) -> Collection[str]:
        """Return nothing: there are no child processes."""
        return ()

    def run(self) -> None:
        """Raise RunnerNotExecutableError, as all that follow but the waits."""
        self._refuse("run")

    def on_start(self) -> None:
        """Raise RunnerNotExecutableError."""
        self._refuse("on_start")

    def on_stop(self) -> None:
        """Raise RunnerNotExecutableError."""
        self._refuse("on_stop")

    def runner_loop_iteration(self) -> None:
        """Raise RunnerNotExecutableError."""
        self._refuse("runner_loop_iteration")

    def stop_runner_loop(self, signum: int | None = None, frame: object = None) -> None:
        """Raise RunnerNotExecutableError."""
        del signum, frame
        self._refuse("stop_runner_loop")

    def _on_start(self) -> None:
        self._refuse("_on_start")

    def _on_stop(self) -> None:
        self._refuse("_on_stop")

    def _on_stop_runner_loop(self) -> None:
        self._refuse("_on_stop_runner_loop")

    def _waiting_for_results(
        self,
        running_invocation_id: str,
        result_invocation_ids: Sequence[str],
        runner_args: Mapping[str, object] | None = None,
    ) -> frozenset[str]:
        del running_invocation_id  # nothing runs here, so nothing has to make room
        return self._wait_outside(result_invocation_ids, seconds(runner_args, "timeout"))

    def _refuse(self, method: str) -> NoReturn:
        raise RunnerNotExecutableError(type(self).__name__, method)


class ExternalRunner(DummyRunner):
    """Names the process, outside of any runner, that registers an invocation; it owns nothing, so its id may repeat."""

    def __init__(
        self,
        app: RunnerView,
        runner_cache: MutableMapping[str, object] | None = None,
        runner_context: RunnerContext | None = None,
    ) -> None:
        super().__init__(app, runner_cache, runner_context or RunnerContext.external())
