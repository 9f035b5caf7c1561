"""What a runner subclasses: it only runs; every other duty belongs to an object it is given."""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, ClassVar

from pynenc_core.config import RunnerSettings
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.errors.base import PynencError
from pynenc_core.model import ChildReport, RunnerContext, Signal
from pynenc_core.ports.absence import Absence
from pynenc_core.ports.runtime import Duties, RunnerView, seconds
from pynenc_core.ports.stopping import StopRequests

_OUTSIDE_MOST = 5.0  # seconds that a wait outside of an invocation blocks its thread: nothing could end it sooner
_BACKOFF_START, _BACKOFF_MOST = 0.1, 1.0  # seconds between attempts while the store is away: work is taken soon after it is back
_OVERDUE = 5.0  # seconds beyond its time that a round of the loop may last and still count as going well


class RunnerLifecycle(StopRequests, ABC):
    """The loop of every runner, with its start and its stop; `BaseRunner` adds what a runner is asked from outside."""

    settings_class: ClassVar[type[RunnerSettings]] = RunnerSettings

    def __init__(
        self,
        app: RunnerView,
        runner_cache: MutableMapping[str, object] | None = None,
        runner_context: RunnerContext | None = None,
    ) -> None:
        super().__init__()
        self.app = app
        self.runner_context = runner_context or RunnerContext.of_this_process(type(self).__name__)
        self.conf = app.section(self.settings_class)
        self.logger = app.logger
        self._given_cache = runner_cache
        self.failure: BaseException | None = None
        """What nobody foresaw and ended the loop."""
        self._shared_cache: MutableMapping[str, object] | None = None
        self._round_began = self._round_ended = 0.0
        self._rounds_go_well = True
        self.duties = self._open_duties()

    def _open_duties(self) -> Duties:
        return self.app.open_duties(self.runner_context, self.get_active_child_runner_ids, self._deliver, self._is_busy)

    def __getstate__(self) -> dict[str, Any]:
        dropped = ("hurry", "stopping", "_woken", "_stopped", "duties", "_shared_cache")
        return {name: value for name, value in self.__dict__.items() if name not in dropped}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        self._shared_cache = None
        self.running, self.stop_signal, self.stops_asked = False, None, 0  # the copy does not run, whatever the original does
        self._make_events()
        self.duties = self._open_duties()

    @property
    def runner_id(self) -> str:
        """The id of this runner start."""
        return self.runner_context.runner_id

    @property
    def cache(self) -> MutableMapping[str, object]:
        """A mapping that all processes of this runner start share; values must be JSON."""
        if self._given_cache is not None:
            return self._given_cache
        if self._shared_cache is None:
            self._shared_cache = self.app.shared_cache(self.runner_context.lineage()[-1].runner_id)
        return self._shared_cache

    # What a subclass implements.

    @abstractmethod
    def _on_start(self) -> None:
        """Start what executes."""

    @abstractmethod
    def _on_stop(self) -> None:
        """End what executes: what still runs gets `conf.grace_period_sec`, the rest is handed back.

        Always called last, also when `_on_start` was never called, or has failed half-way.
        """

    @abstractmethod
    def runner_loop_iteration(self) -> None:
        """Do one round; may block up to `conf.idle_claim_timeout_sec`, in something that `wake` ends."""

    @abstractmethod
    def _on_stop_runner_loop(self) -> None:
        """Stop claiming: called once, by the loop, when it has ended for whatever reason."""

    @abstractmethod
    def get_active_child_runner_ids(self) -> Collection[str]:
        """Return the ids of the child processes that the operating system says are alive."""

    def _deliver(self, signals: Sequence[Signal]) -> None:
        """Take requests to invocations that this runner or its children own; the default says that it cannot."""
        for each in signals:
            self.logger.warning("runner %s cannot pass a request to %s on to invocation %s", self.runner_id, each.kind, each.invocation_id)

    def _is_busy(self) -> bool:
        """Return whether anything runs that a request could be for; while it does, the store is asked once a second."""
        return True

    def _log_shutdown(self, signum: int | None) -> None:
        """Log why this runner stops, before anything is torn down."""
        self.app.report_shutdown(self.runner_context, signum)

    # The loop.

    def run(self) -> None:
        """Run until somebody asks to stop; returns after a clean stop, raises what was not foreseen after `on_stop`."""
        with self.app.signals(self._note_stop, self.wake), self.app.in_runner(self, self.runner_context):
            failure: BaseException | None = None
            try:
                if not self.stops_asked:
                    self.on_start()
                self._loop()
            except KeyboardInterrupt:
                self.stop_signal = signal.SIGINT
            except PynencError as error:
                failure = error  # told by whoever called; the loop itself goes on after such an error
            except BaseException as error:
                failure = error
                self.logger.exception("runner %s stops on an error it did not foresee", self.runner_id)
            finally:
                self.running = False
                self._say_goodbye(failure)

    def _loop(self) -> None:
        backoff = _BACKOFF_START
        name = f"runner {self.runner_id}"
        absence = Absence(self.logger, f"{name} waits for its store", f"{name} can use its store again")
        while self.running and not self.stops_asked:  # asked while it started: nothing may undo that
            self._round_began = time.monotonic()
            try:
                self.runner_loop_iteration()
            except (BackendUnavailableError, ConnectionError) as error:
                self._rounds_go_well = False
                absence.note(error)
                self.pause(backoff)
                backoff = min(backoff * 2, _BACKOFF_MOST)
            except PynencError:
                self.logger.exception("runner %s goes on after an error of one invocation", self.runner_id)
                self.pause(self.conf.runner_loop_sleep_time_sec)  # the next iteration may meet the same one at once
            else:
                backoff = _BACKOFF_START
                absence.over()
                self._rounds_go_well, self._round_ended = True, time.monotonic()

    def _say_goodbye(self, failure: BaseException | None) -> None:
        self.failure = failure
        self.stopping.set()
        try:
            self._stop_claiming()  # first: what is told takes a while to be gathered
            self._log_shutdown(self.stop_signal)
            self._on_stop_runner_loop()
            self.duties.stand_down()
        finally:
            self.on_stop()
        if failure is not None:
            raise failure

    def on_start(self) -> None:
        """Import tasks, announce this runner, give the first heartbeat, start what executes."""
        self._stopped.clear()
        self.running = True
        self.app.orchestrator.store_runner_context(self.runner_context)
        self.init_trigger_tasks_modules()
        self.duties.start()
        self.app.announce(self.runner_context)
        self._on_start()

    def on_stop(self) -> None:
        """End everything, and let `wait_until_stopped` return."""
        try:
            self._on_stop()
        finally:
            self.running = False
            try:
                self.duties.stop()
                self.app.retire(self.runner_context)
            except BackendUnavailableError as error:
                self.logger.warning("runner %s could not say goodbye to its store: %s", self.runner_id, error)
            finally:
                self._stopped.set()

    def init_trigger_tasks_modules(self) -> None:
        """Import the modules that hold tasks and triggers, then register what they could not, and what the core brings."""
        self.app.import_task_modules()
        self.app.register_core_tasks()
        self.app.register_deferred_triggers()


class BaseRunner(RunnerLifecycle):
    """Executes invocations of one app. Subclass it, implement the abstract methods, declare it in a `RunnerSpec`."""

    @staticmethod
    @abstractmethod
    def mem_compatible() -> bool:
        """Return whether every invocation runs in the process that started the runner."""

    @property
    @abstractmethod
    def max_parallel_slots(self) -> int:
        """How many invocations may run at once."""

    def children(self) -> Sequence[ChildReport]:
        """Return the child processes that this runner has, and those that lately ended otherwise than they should; none by default."""
        return ()

    @property
    def polled_at(self) -> float:
        """When the store last answered a claim, or a heartbeat with nothing to claim for, on the monotonic clock; 0: never yet.

        By default that is when the last round of the loop ended well, or the last heartbeat was answered while a round lasts no
        longer than it may; override it where others claim for this runner.
        """
        overdue_at = self._round_began + self.conf.idle_claim_timeout_sec + _OVERDUE
        if self._rounds_go_well and time.monotonic() < overdue_at:
            return max(self._round_ended, self.duties.beaten_at)
        return self._round_ended

    @abstractmethod
    def _waiting_for_results(
        self,
        running_invocation_id: str,
        result_invocation_ids: Sequence[str],
        runner_args: Mapping[str, object] | None = None,
    ) -> frozenset[str]:
        """Called in a running invocation that waits for others: return which are final, when one is.

        `runner_args` may hold `timeout` in seconds, after which to return an empty set, and `linger`: for how many
        seconds after the first to gather more.
        """

    def waiting_for_results(
        self,
        running_invocation_id: str,
        result_invocation_ids: Sequence[str],
        runner_args: Mapping[str, object] | None = None,
    ) -> frozenset[str]:
        """Wait until one of these invocations is final; return which are.

        `running_invocation_id` is the invocation that waits, or empty outside of one: then this thread just blocks, for up
        to 5 seconds, and whoever goes on waiting calls again.
        """
        if running_invocation_id:
            return self._waiting_for_results(running_invocation_id, result_invocation_ids, runner_args)
        return self._wait_outside(result_invocation_ids, seconds(runner_args, "timeout"))

    def _wait_outside(self, invocation_ids: Collection[str], timeout: float | None) -> frozenset[str]:
        """Block this thread, which executes nothing, up to `timeout` seconds, and never longer than 5: then ask again."""
        return self.app.orchestrator.wait_outside(invocation_ids, _OUTSIDE_MOST if timeout is None else min(timeout, _OUTSIDE_MOST))

    async def async_waiting_for_results(
        self,
        running_invocation_id: str,
        result_invocation_ids: Sequence[str],
        runner_args: Mapping[str, object] | None = None,
    ) -> frozenset[str]:
        """Do as `waiting_for_results`, without blocking the event loop."""
        import asyncio  # imported late: a process without coroutines never needs it
        import contextvars

        context = contextvars.copy_context()
        return await asyncio.to_thread(context.run, self.waiting_for_results, running_invocation_id, result_invocation_ids, runner_args)

    def _kill_and_reroute(self, invocation_id: str, runner_ctx: RunnerContext | None = None) -> bool:
        """Hand back an invocation whose execution was stopped; quiet when it is final already."""
        return self.app.orchestrator.kill_and_reroute(invocation_id, (runner_ctx or self.runner_context).runner_id)

    def _register_new_child_runner_context(self, child_context: RunnerContext) -> None:
        """Store the context of a child and give it a first heartbeat; call it before the child can claim anything."""
        self.app.orchestrator.store_runner_context(child_context)
        self.app.orchestrator.register_runner_heartbeats([child_context.runner_id])

    def _report_child_runner_heartbeats(self) -> None:
        """Give a heartbeat for this runner and its living children now; the duties do it regularly."""
        self.duties.beat_now()

    def _check_atomic_services(self) -> None:
        """Carry out the background services now, if they are due and no other runner does; the duties do it regularly."""
        self.duties.check_services()

    def _hand_on(self, children: Iterable[tuple[str, str]]) -> int:
        """Recover what dead children owned, each given by runner id and the reason of its end; return how many invocations."""
        total = 0
        for runner_id, reason in children:
            count = self.app.orchestrator.hand_on(runner_id, reason)
            total += count
            self.logger.warning("child %s of runner %s ended (%s); %d invocations handed on", runner_id, self.runner_id, reason, count)
        return total
