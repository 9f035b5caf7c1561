"""What runs in this context: the invocation, and the runner that executes it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pynenc_core.model import InvocationRecord, RunnerContext, Signal
from pynenc_core.status import Owner


class Job:
    """One claimed invocation in the process that executes it."""

    def __init__(self, record: InvocationRecord, context: RunnerContext) -> None:
        self.record = record
        """As it was claimed; of the state, only the owner and the counters stay true."""
        self.context = context
        self.lock = threading.Lock()
        self.chain: Any = None
        """What its slot has on hand besides it."""
        self.has_slot = True
        self.paused = False
        self.interest: object | None = None
        """What it waits, or last waited, for."""
        self.waits = 0
        """How many threads or coroutines of this invocation wait for others at the moment."""
        self.abandoned = False
        """Its owner is somebody else by now, or it is final: whatever it still does counts for nothing."""
        self.thread = 0
        self.in_user_code = False
        self.interrupt: Signal | None = None
        """A request that the running code has yet to be told of."""

    @property
    def invocation_id(self) -> str:
        """The id of the invocation."""
        return self.record.invocation.invocation_id

    @property
    def owner(self) -> Owner:
        """Who owns the invocation while this job is its execution."""
        state = self.record.state
        return Owner(state.runner_id, state.claim)


running_job: ContextVar[Job | None] = ContextVar("pynenc_running_job", default=None)
current_runner: ContextVar[object | None] = ContextVar("pynenc_current_runner", default=None)
current_context: ContextVar[RunnerContext | None] = ContextVar("pynenc_current_context", default=None)


@contextmanager
def in_runner(runner: object, context: RunnerContext) -> Iterator[None]:
    """Make a runner and its context the current ones."""
    was_runner, was_context = current_runner.set(runner), current_context.set(context)
    try:
        yield
    finally:
        current_context.reset(was_context)
        current_runner.reset(was_runner)
