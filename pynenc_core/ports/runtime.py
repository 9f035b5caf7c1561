"""The narrow views of an app through which plugins see it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from threading import Event
from typing import Protocol, TypeVar

from pynenc_core.model import InvocationRecord, RunnerContext, Signal
from pynenc_core.ports import control
from pynenc_core.ports.clock import Clock
from pynenc_core.ports.gauge import Gauge
from pynenc_core.ports.values import ValueCodec
from pynenc_core.status import Owner

S = TypeVar("S")


def seconds(arguments: Mapping[str, object] | None, name: str) -> float | None:
    """Return a number of seconds from `runner_args`; None where it is not given."""
    value = (arguments or {}).get(name)
    return float(value) if isinstance(value, int | float) else None


class Interruption(Protocol):
    """Whether a wait is to be given up, since something else is to be waited for by now."""

    interrupted: bool
    when_interrupted: Callable[[], None] | None
    """Called, from any thread, when it becomes so."""


class Hold(Protocol):
    """Waits in place of an invocation whose process may be stopped meanwhile."""

    def __call__(
        self, awaits: Collection[str], timeout: float | None, linger: float, interruption: Interruption, *, coroutines: bool
    ) -> frozenset[str]:
        """Return which of these invocations are final, when one is. With `coroutines` an event loop runs in this process.

        Returns () after `timeout` seconds, when a request has come for the invocation, and when it is interrupted.

        Raises WaitDepthError when too many wait already.
        """
        ...


class StoreView(Protocol):
    """What a broker or a state backend sees of the app it stores for."""

    @property
    def app_id(self) -> str:
        """The app's id: apps that share a store never see each other's data."""
        ...

    @property
    def logger(self) -> logging.Logger:
        """The logger `pynenc.<app_id>`."""
        ...

    @property
    def clock(self) -> Clock:
        """Where waits and intervals take their time from."""
        ...

    @property
    def values(self) -> ValueCodec:
        """What turns this app's results, exceptions and arguments into what is stored, and back."""
        ...

    def acting_owner(self, invocation_id: str) -> Owner | None:
        """Return the claim under which this thread or coroutine executes that invocation; None when it does not."""
        ...

    def store_url(self, part: str) -> str:
        """Return where to store; `part` is `"broker"` or `"state_backend"`. Empty: the backend's own default place."""
        ...

    def section(self, settings_class: type[S]) -> S:
        """Return the settings of one section, loaded from all layers; the class is the one named by the plugin's spec."""
        ...


class Executor(Protocol):
    """Runs invocations on threads of this process, in a fixed number of slots; written once, in the core."""

    @property
    def running(self) -> int:
        """How many invocations hold a slot now."""
        ...

    @property
    def paused(self) -> int:
        """How many invocations wait for others and hold no slot."""
        ...

    def start(self) -> None:
        """Begin to claim and to run."""
        ...

    def run_given(self, record: InvocationRecord, hold: Hold, ended: Callable[[], None]) -> None:
        """Run, in place of `start`, one invocation that was claimed for this executor; when it waits, `hold` does it.

        Returns at once; `ended` is called when the outcome is settled, or is somebody else's.
        """
        ...

    def stop_claiming(self) -> None:
        """Take nothing new from now on; what runs goes on."""
        ...

    def drain(self, grace: float, hurry: Event) -> int:
        """Wait up to `grace` seconds (or until `hurry`) for what runs, hand back the rest; return how many went back."""
        ...

    def wait_for(self, invocation_ids: Collection[str], timeout: float | None, linger: float = 0.0) -> frozenset[str]:
        """Called inside a running invocation: give its slot up until one of these is final; return which are.

        With `linger` it gathers more for so many seconds, since each pause costs two writes. Returns () after `timeout`
        seconds. Raises WaitDepthError, ConcurrencyDeadlockError, InvocationStatusOwnershipError.
        """
        ...

    async def async_wait_for(self, invocation_ids: Collection[str], timeout: float | None, linger: float = 0.0) -> frozenset[str]:  # noqa: ASYNC109 - as its blocking twin takes it
        """Do as `wait_for` in a coroutine of a running invocation; many may wait at once. Cancelled, it takes a slot again first."""
        ...

    def deliver(self, signals: Sequence[Signal]) -> None:
        """Hand requests to the invocations they are for; those that are not here are passed over."""
        ...


class StoppedWaits(Protocol):
    """Waits for results in place of worker processes that are stopped meanwhile; looks for circles among them as well."""

    def add(self, runner_id: str, invocation_id: str, hold: control.Hold) -> None:
        """Begin to wait for what a process has said that its invocation waits for."""
        ...

    def drop(self, runner_id: str, number: int = 0) -> None:
        """Wait no more for a process, or only not for what it has given this number."""
        ...

    def take_over(self) -> list[tuple[str, int, tuple[str, ...]]]:
        """Return the waits that are over since the last call: process, number, and what is final."""
        ...

    def look(self) -> None:
        """Ask the store at once, whether or not it has told its news already. Raises BackendUnavailableError."""
        ...

    def close(self) -> None:
        """End; tolerant of being called twice."""
        ...


class Duties(Protocol):
    """What a runner does besides running: heartbeats for itself and its children, and the leased services."""

    @property
    def may_claim(self) -> bool:
        """False while this runner could not renew its lease: others may believe it dead."""
        ...

    @property
    def beating(self) -> bool:
        """Whether heartbeats go on, whatever the store says to them."""
        ...

    @property
    def beaten_at(self) -> float:
        """When the latest heartbeat that the store answered was given, on the monotonic clock; 0 before the first one."""
        ...

    def start(self) -> None:
        """Give the first heartbeat, then go on in threads that nothing else can delay."""
        ...

    def stop(self) -> None:
        """End the threads and forget the runner, so that nobody waits for its lease; tolerant of being called twice."""
        ...

    def beat_now(self) -> None:
        """Give a heartbeat at once: a child was born."""
        ...

    def check_services(self) -> None:
        """Carry out the services now, if they are due and nobody else has the role."""
        ...

    def stand_down(self) -> None:
        """Give the services up to somebody else: this runner is about to end, and only its heartbeats go on."""
        ...


class Orchestrator(Protocol):
    """The core's rules, as far as a runner needs them."""

    def get_invocations_to_run(
        self, limit: int, runner_context: RunnerContext, *, isolated: bool = False, awaited_only: bool = False
    ) -> tuple[InvocationRecord, ...]:
        """Claim up to `limit` invocations for this runner, already RUNNING; never blocks.

        Say `isolated` where nothing else runs, or will begin, in the process where each of them will run: then also those
        are started that have to run alone, as they were running beside others when their process died; without it they
        are left to other runners for a second. With `awaited_only` only what somebody waits for is claimed.

        What a call claims whose reply is lost is handed back by a later one, so a runner that claims here has no executor
        under the same id.
        """
        ...

    def await_work(self, timeout: float) -> bool:
        """Block until there may be something to claim, or becomes due; False after `timeout` seconds. `wake` ends it at once."""
        ...

    def wake(self) -> None:
        """Let `await_work` return at once."""
        ...

    def run_invocation(self, record: InvocationRecord, runner_context: RunnerContext) -> None:
        """Run one claimed invocation in this thread and settle its outcome; never raises what the task raised.

        Raises BackendUnavailableError when the outcome cannot be written: it is kept, and goes with the next claim. Raises
        InvocationStatusOwnershipError when the invocation is somebody else's by now.
        """
        ...

    def open_stopped_waits(self, runner_id: str, tell: Callable[[], None]) -> StoppedWaits:
        """Return what waits for the processes of this runner; `tell` is called, from a thread, when one may go on."""
        ...

    def wait_outside(self, invocation_ids: Collection[str], timeout: float | None) -> frozenset[str]:
        """Block this thread until one of these is final; return which are, () after `timeout` seconds."""
        ...

    def kill_and_reroute(self, invocation_id: str, runner_id: str) -> bool:
        """Take an invocation from its stopped owner and queue it again; False when it was final or not its any more."""
        ...

    def reroute_owned(self, runner_id: str) -> int:
        """Hand back all that a runner owns which was stopped on purpose, as interruptions; return how many."""
        ...

    def end_overdue(self, runner_id: str, invocation_id: str) -> int:
        """Move on all that a runner owned which was killed since this invocation overran its hard timeout; return how many.

        That one's attempt ends with HardTimeoutError, the others are handed back as interruptions.
        """
        ...

    def waiting_work(self, most: int) -> int:
        """Return how many invocations could be claimed now, counting no further than `most`."""
        ...

    def hand_on(self, runner_id: str, exit_reason: str) -> int:
        """Recover everything a dead runner owned, at once; return how many invocations."""
        ...

    def register_runner_heartbeats(self, runner_ids: Collection[str], *, can_run_atomic_service: bool = False) -> None:
        """Note that these runners live for one lease more."""
        ...

    def store_runner_context(self, context: RunnerContext) -> None:
        """Keep a runner context, so that history can name it."""
        ...


class RunnerView(StoreView, Protocol):
    """What a runner sees of the app it runs for."""

    @property
    def orchestrator(self) -> Orchestrator:
        """The core's rules."""
        ...

    def open_executor(
        self,
        context: RunnerContext,
        slots: int,
        may_claim: Callable[[], bool],
        gauge: Gauge,
        replace: Callable[[str], float] | None = None,
        *,
        shared_loop: bool = False,
    ) -> Executor:
        """Return a new executor with so many slots, whose claims carry this context, and which shows its load in `gauge`.

        `replace` is told why this process should end: code in it does not, though it was told to. It returns within how
        many seconds the process will be gone; 0, or without it, the code is left behind in its thread. Async tasks run each
        on an event loop of the thread that executes it; with `shared_loop`, all beside each other on one.
        """
        ...

    def open_duties(
        self,
        context: RunnerContext,
        children: Callable[[], Collection[str]],
        deliver: Callable[[Sequence[Signal]], None],
        busy: Callable[[], bool],
    ) -> Duties:
        """Return new duties: `children` names the living children, `deliver` takes the requests that heartbeats bring.

        `busy` says whether anything runs that a request could be for.
        """
        ...

    def signals(self, stop: Callable[[int], None], wake: Callable[[], None]) -> AbstractContextManager[None]:
        """Route SIGTERM and SIGINT to `stop`, which may only set flags; `wake` is called after it from an ordinary thread.

        Outside the main thread it does nothing but say so.
        """
        ...

    def in_runner(self, runner: object, context: RunnerContext) -> AbstractContextManager[None]:
        """Make `runner`, with its context, the current one for this thread."""
        ...

    def shared_cache(self, runner_id: str) -> MutableMapping[str, object]:
        """Return a mapping that all processes of one runner start share; values are kept as JSON."""
        ...

    def worker_command(self, context: RunnerContext, slots: int) -> tuple[Sequence[str], bytes]:
        """Return the command of a worker process and the line to send to its standard input first.

        With no `slots` it claims nothing: it runs the one invocation that it is given (`ports.control`), and ends.
        Raises AppLocatorError when another process could not find this app.
        """
        ...

    def fork_server_command(self, context: RunnerContext) -> tuple[Sequence[str], bytes]:
        """Return the command of a process that loads what workers need, and then forks them, and the line to send to it first.

        Raises as `worker_command`.
        """
        ...

    def exit_reason(self, context: RunnerContext, returncode: int) -> str:
        """Return why a child of this runner ended, for logs, reports and histories; `returncode` as `subprocess` tells it.

        Call it once for each death, soon after it: it tells a child that the kernel killed for want of memory from others
        by a counter that rose since the last one. Never raises; takes half a second at most.
        """
        ...

    def import_task_modules(self) -> None:
        """Import the modules in which the app's tasks are; a failed import is a warning that names it."""
        ...

    def register_core_tasks(self) -> tuple[str, ...]:
        """Register the tasks that the core itself brings; return their ids."""
        ...

    def register_deferred_triggers(self) -> tuple[str, ...]:
        """Register the triggers that were declared before what they refer to was known; return their ids."""
        ...

    def announce(self, context: RunnerContext) -> None:
        """Tell that this runner starts and which tasks it knows."""
        ...

    def report_shutdown(self, context: RunnerContext, signum: int | None) -> None:
        """Log one block on why this runner stops, and in which state; returns after half a second at the latest."""
        ...

    def retire(self, context: RunnerContext) -> None:
        """Tell that this runner ended."""
        ...
