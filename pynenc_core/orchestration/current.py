"""What runs in this context: the invocation, and the runner that executes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from pynenc_core.model import InvocationRecord, RunnerContext, Signal, SignalKind
from pynenc_core.status import Owner


class TimeAllowance(Protocol):
    """How much time the code of one job may take; see `timeouts`."""

    def begin(self) -> None:
        """Note that the job's own code starts now, in the calling thread."""
        ...

    def end(self) -> None:
        """Note that it has ended. Raises HardTimeoutError when that came too late."""
        ...

    def hold(self) -> None:
        """Note that the job is PAUSED: its time stands still."""
        ...

    def go_on(self) -> None:
        """Note that it is RUNNING again."""
        ...


class Job:
    """One claimed invocation in the process that executes it."""

    def __init__(self, record: InvocationRecord, context: RunnerContext, home: object) -> None:
        self.home = home
        """The parts of the app it is an invocation of."""
        self.record = record
        """As it was claimed; of the state, only the owner and the counters stay true."""
        self.owner = Owner(record.state.runner_id, record.state.claim)
        """Who owns the invocation while this job is its execution."""
        self.context = context
        self.lock = threading.Lock()
        self.chain: Any = None
        """What its slot has on hand besides it."""
        self.has_slot = True
        self.paused = False
        self.pausing = threading.Lock()
        """Held while what it waits for, or that it goes on, is written."""
        self.awaits: frozenset[str] = frozenset()
        """While it is paused: what the store knows it waits for."""
        self.interests: list[Any] = []
        """What its threads wait, or last waited, for; changed with `lock` held."""
        self.waits = 0
        """How many threads or coroutines of this invocation wait for others at the moment."""
        self.coroutine_waits: Any = None
        """The waits of its coroutines, once there was one."""
        self.ended = False
        """The task itself has returned; a thread that it left behind may still run."""
        self.abandoned = False
        """Its owner is somebody else by now, or it is final: whatever it still does counts for nothing."""
        self.allowance: TimeAllowance | None = None
        """How much time its code may take; None: as much as it needs."""
        self.timed_out = False
        """Its hard limit is over, and its code was told to end: what it returns counts for nothing."""
        self.thread = 0
        self.in_user_code = False
        self.stop_coroutine: Callable[[], object] | None = None
        """While its coroutine runs: what cancels it, called from any thread with `lock` held."""
        self.throw: Callable[[BaseException], object] | None = None
        """While its coroutine runs: what raises an exception where it awaits; called as the above."""
        self.interrupt: Signal | None = None
        """A request that the running code has yet to be told of."""
        self.exception_set = False
        """TaskCancelled was set in its thread."""
        self.pending: type[BaseException] | None = None
        """The exception that was set in its thread last, until it is raised there."""
        self.told = False
        """It was told by a call to us that it is cancelled, or is somebody else's."""

    def tell_once(self) -> bool:
        """Return whether the running code is to be told now: True the first time, unless an exception is on its way already."""
        with self.lock:
            first = not (self.told or self.exception_set)
            self.told = True
            return first

    @property
    def invocation_id(self) -> str:
        """The id of the invocation."""
        return self.record.invocation.invocation_id

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked to cancel it."""
        return self.interrupt is not None and self.interrupt.kind is SignalKind.CANCEL

    @property
    def stopped(self) -> bool:
        """Whether its code is to end, for whatever reason."""
        return self.cancel_requested or self.abandoned or self.timed_out


running_job: ContextVar[Job | None] = ContextVar("pynenc_running_job", default=None)
current_runner: ContextVar[object | None] = ContextVar("pynenc_current_runner", default=None)
current_context: ContextVar[RunnerContext | None] = ContextVar("pynenc_current_context", default=None)


def running_in(home: object) -> Job | None:
    """Return the running invocation, if it is one of the app with these parts; a task of one app may call those of another."""
    job = running_job.get()
    return job if job is not None and job.home is home else None


@contextmanager
def in_runner(runner: object, context: RunnerContext) -> Generator[None, None, None]:
    """Make a runner and its context the current ones."""
    was_runner, was_context = current_runner.set(runner), current_context.set(context)
    try:
        yield
    finally:
        current_context.reset(was_context)
        current_runner.reset(was_runner)
