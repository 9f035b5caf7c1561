"""Handles of registered executions: their status, their history, and their result once it is there."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any, Generic, TypeVar, cast

from pynenc_core.call import Call
from pynenc_core.errors.invocations import (
    InvocationCancelledError,
    InvocationDroppedError,
    InvocationQuarantinedError,
    InvocationTimeoutError,
)
from pynenc_core.model import InvocationHistory, InvocationRecord, WorkflowIdentity
from pynenc_core.orchestration.current import current_runner, running_in
from pynenc_core.orchestration.orchestrator import AppOrchestrator
from pynenc_core.orchestration.outcomes import Cancellation
from pynenc_core.orchestration.registry import TaskDefinition
from pynenc_core.ports.runner import BaseRunner
from pynenc_core.status import FINAL, Status

R = TypeVar("R")

_NO_RESULT = {
    Status.CANCELLED: InvocationCancelledError,
    Status.QUARANTINED: InvocationQuarantinedError,
    Status.CONCURRENCY_CONTROLLED_FINAL: InvocationDroppedError,
}


class Invocation(Generic[R]):
    """One registered execution of a call. Two handles of one id are equal."""

    reused = False
    """Whether it existed before the call that returned it."""

    def __init__(self, orchestrator: AppOrchestrator, invocation_id: str, definition: TaskDefinition | None = None) -> None:
        self._orchestrator = orchestrator
        self._id = invocation_id
        self._known_definition = definition
        self._final: InvocationRecord | None = None

    @property
    def invocation_id(self) -> str:
        """The id, unique and sorted by the time of creation; the idempotency key to hand on to other systems."""
        return self._id

    @property
    def record(self) -> InvocationRecord:
        """The record as the store has it now. Raises InvocationNotFoundError."""
        if self._final is None:
            record = self._orchestrator.record(self._id)
            if not record.state.final:
                return record
            self._final = record  # it never changes any more
        return self._final

    @property
    def status(self) -> Status:
        """Where it is in its life now. Raises InvocationNotFoundError."""
        return self.record.state.status

    @property
    def is_final(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.status in FINAL

    @property
    def call(self) -> Call:
        """The task and the arguments."""
        return Call(self._orchestrator.engine, self.record.call)

    @property
    def workflow(self) -> WorkflowIdentity:
        """The tree it belongs to."""
        return self.record.invocation.workflow

    @property
    def history(self) -> tuple[InvocationHistory, ...]:
        """Its transitions in order: the first 20 and the last 180 of them."""
        return self._orchestrator.engine.state.history([self._id]).get(self._id, ())

    @property
    def result(self) -> R:
        """The result, waited for without limit; see `get_result`."""
        return self.get_result()

    def get_result(self, timeout: float | None = None) -> R:
        """Return the result, or raise what the task raised, waiting up to `timeout` seconds for either.

        Inside a task the wait holds no slot. Raises InvocationTimeoutError; InvocationCancelledError,
        InvocationQuarantinedError or InvocationDroppedError for what has no result; InvocationNotFoundError for what was
        purged; and what the task raised, as its own class where that is loaded here, else as RemoteError.
        """
        if self._final is None:
            self._wait(timeout)
        return self._outcome(self.record)

    async def async_result(self, timeout: float | None = None) -> R:  # noqa: ASYNC109 - as its blocking twin takes it
        """Do as `get_result`, without blocking the event loop."""
        import asyncio  # imported late: most processes never wait in a coroutine

        if self._final is None and not await async_wait_for_any(self._orchestrator, [self._id], timeout):
            status = await asyncio.to_thread(lambda: self.status)
            raise InvocationTimeoutError(self._id, str(status), timeout or 0.0)
        return await asyncio.to_thread(lambda: self._outcome(self.record))

    def cancel(self, reason: str = "") -> Cancellation:
        """Cancel it, or ask its owner to: `cancelled`, `requested` or `already final`. Raises InvocationNotFoundError."""
        return self._orchestrator.cancel(self._id, by=self._orchestrator.routing.context().runner_id, reason=reason)

    def learn(self, record: InvocationRecord | None) -> None:
        """Keep a record that somebody has read for many, if it is final."""
        if record is not None and record.state.final:
            self._final = record

    def _wait(self, timeout: float | None) -> None:
        if not wait_for_any(self._orchestrator, [self._id], timeout):
            raise InvocationTimeoutError(self._id, str(self.status), timeout or 0.0)

    def _outcome(self, record: InvocationRecord) -> R:
        codec, state = self._orchestrator.engine.codec, record.state
        if state.status is Status.SUCCESS and state.outcome is not None:
            return cast("R", codec.decode_result(self._definition(record), state.outcome))
        if state.status is Status.FAILED and state.outcome is not None:
            raise codec.decode_error(state.outcome)
        raise _NO_RESULT[state.status](self._id, state.reason)

    def _definition(self, record: InvocationRecord) -> TaskDefinition:
        return self._known_definition or self._orchestrator.definition(record.invocation.task_id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Invocation) and other.invocation_id == self._id

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._id}>"


class ReusedInvocation(Invocation[R]):
    """An invocation that was there already: registration concurrency returned it instead of registering another."""

    reused = True


class SyncInvocation(Generic[R]):
    """A call that ran inline (`dev_mode_force_sync_tasks`), through the serializer all the same; nothing is stored."""

    reused = False

    def __init__(self, invocation_id: str, value: R | None, error: BaseException | None) -> None:
        self.invocation_id = invocation_id
        self.status = Status.SUCCESS if error is None else Status.FAILED
        self.is_final = True
        self.history: tuple[InvocationHistory, ...] = ()
        self._value = value
        self._error = error

    @property
    def result(self) -> R:
        """The result; raises what the task raised."""
        return self.get_result()

    def get_result(self, timeout: float | None = None) -> R:
        """Return the result or raise what the task raised, at once: `timeout` has no meaning here."""
        del timeout
        if self._error is not None:
            raise self._error
        return cast("R", self._value)

    async def async_result(self, timeout: float | None = None) -> R:  # noqa: ASYNC109 - as its blocking twin takes it
        """Do as `get_result`."""
        return self.get_result(timeout)

    def cancel(self, reason: str = "") -> Cancellation:
        """Return `already final`: it has run."""
        del reason
        return Cancellation.ALREADY_FINAL

    def __repr__(self) -> str:
        return f"<SyncInvocation {self.invocation_id} {self.status}>"


async def async_wait_for_any(
    orchestrator: AppOrchestrator,
    invocation_ids: Collection[str],
    timeout: float | None,  # noqa: ASYNC109 - as its blocking twin takes it
    linger: float = 0.0,
) -> frozenset[str]:
    """Do as `wait_for_any` without blocking the event loop."""
    import asyncio  # imported late: most processes never wait in a coroutine

    job, runner = running_in(orchestrator.engine), current_runner.get()
    if job is None or not isinstance(runner, BaseRunner):
        interest = await asyncio.to_thread(orchestrator.outside.open, invocation_ids)
        try:
            return await asyncio.to_thread(orchestrator.outside.news, interest, timeout, linger)
        finally:
            interest.interrupt()  # who is cancelled leaves no thread behind, for whose end the loop would wait
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        arguments: Mapping[str, Any] = {"timeout": left, "linger": linger}
        arrived = await runner.async_waiting_for_results(job.invocation_id, list(invocation_ids), arguments)
        if arrived or left == 0:
            return arrived


def wait_for_any(
    orchestrator: AppOrchestrator,
    invocation_ids: Collection[str],
    timeout: float | None,
    linger: float = 0.0,
) -> frozenset[str]:
    """Wait until one of these is final, by the current runner where a task of this app waits, else by this thread; () at the timeout.

    Where a task waits, more are gathered for `linger` seconds: each time it goes on and waits again costs two writes.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    job, runner = running_in(orchestrator.engine), current_runner.get()
    ids = list(invocation_ids)
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if job is not None and isinstance(runner, BaseRunner):
            arguments: Mapping[str, Any] = {"timeout": left, "linger": linger}
            arrived = runner.waiting_for_results(job.invocation_id, ids, arguments)
        else:
            arrived = orchestrator.wait_outside(ids, left)
        if arrived or left == 0:
            return arrived
