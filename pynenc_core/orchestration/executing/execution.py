"""Runs one invocation: decode, call inside the scopes, encode; whatever happens becomes one change of its record."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, ExitStack, contextmanager, suppress
from contextvars import Context
from typing import Any

import attrs

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.errors.base import PynencError
from pynenc_core.errors.runners import TaskCancelled, UnknownTaskError
from pynenc_core.errors.serialization import PayloadDecodingError
from pynenc_core.model import Change, Payload
from pynenc_core.orchestration.current import Job, current_context, current_runner, running_job
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.executing.coroutines import run_coroutine
from pynenc_core.orchestration.executing.interrupting import UserCode
from pynenc_core.orchestration.executing.retrying import decide_retry
from pynenc_core.orchestration.forked import SameProcess
from pynenc_core.orchestration.registry import TaskDefinition
from pynenc_core.ports.transitions import change, reason_of
from pynenc_core.status import Status


@attrs.define(eq=False)
class Ready:
    """A job of which only its own code is left to run: its arguments are decoded."""

    job: Job
    definition: TaskDefinition
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    context: Context
    """In which it runs, and in nothing else."""


@attrs.define(eq=False)
class Ended:
    """What a job's own code returned or raised."""

    ready: Ready
    value: Any = None
    error: BaseException | None = None


class Execution:
    """Executes jobs of one process; asked by the executor, and by runners that bring their own threads or processes.

    In three steps: `prepare` and `conclude` may block on the store, and what is between them is the task's own code, which
    runs in this thread (`call`) or on an event loop that nothing may block (`call_on_loop`).
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def run(self, job: Job, runner: object) -> Change | None:
        """Execute in this thread and return the change to settle; None when the job was abandoned meanwhile."""
        ready = self.prepare(job, runner)
        return self.conclude(self.call(ready)) if isinstance(ready, Ready) else _unless_abandoned(job, ready)

    def prepare(self, job: Job, runner: object) -> Ready | Change:
        """Decode the arguments; return the change to settle where there is nothing to run. Raises BackendUnavailableError."""
        context = Context()
        return context.run(self._prepare, job, runner, context)

    def call(self, ready: Ready) -> Ended:
        """Run a job's own code in this thread, a coroutine on a loop of the thread's own."""
        return ready.context.run(self._call, ready)

    async def call_on_loop(self, ready: Ready) -> Ended:
        """Run the coroutine of a job whose `stop_coroutine` is set, in an asyncio task that has the job's context."""
        try:
            with UserCode(ready.job):
                return Ended(ready, await self._call_async(ready))
        except BaseException as error:  # noqa: BLE001 - as in `_call`
            return Ended(ready, error=error)

    def conclude(self, ended: Ended) -> Change | None:
        """Encode what came of a job; return the change to settle, None when the job was abandoned meanwhile."""
        job = ended.ready.job
        outcome: Change = ended.ready.context.run(self._conclude, job, ended)
        return _unless_abandoned(job, outcome)

    def failed(self, job: Job, error: BaseException) -> Change:
        """Return the change to settle for an attempt that failed with an error which its own code has not raised."""
        definition = self._engine.tasks.get(job.record.invocation.task_id)
        if definition is None:
            return self._set_aside(job, UnknownTaskError(job.record.invocation.task_id, self._engine.app_id))
        return self._failed(job, definition, error)

    def crashed(self, job: Job, error: Exception) -> Change:
        """Return the change for a job that an error of ours has left without an outcome: as if it had taken its worker down.

        So it runs again, and not for ever.
        """
        crashes, most = job.record.state.crashes + 1, self._engine.orchestrator_settings.max_crashes
        self._engine.logger.error("the executor failed at invocation %s, for the %d. time", job.invocation_id, crashes, exc_info=error)
        through = (Status.QUARANTINED,) if crashes >= most else (Status.KILLED, Status.REROUTED)
        return self._change(job, through, reason=f"the executor failed, {crashes} times by now: {reason_of(error)}", crashes=1)

    def _prepare(self, job: Job, runner: object, context: Context) -> Ready | Change:
        current_runner.set(runner)
        current_context.set(job.context)
        running_job.set(job)
        definition = self._engine.tasks.get(job.record.invocation.task_id)
        if definition is None:
            return self._set_aside(job, UnknownTaskError(job.record.invocation.task_id, self._engine.app_id))
        try:
            args, kwargs = self._engine.codec.decode_arguments(definition, job.record.call)
        except PayloadDecodingError as error:
            return self._set_aside(job, error)
        except BackendUnavailableError:
            raise  # says nothing about the invocation
        except Exception as error:  # noqa: BLE001 - tried again it would raise again, for ever
            return self._failed(job, definition, error)
        return Ready(job, definition, args, kwargs, context)

    def _call(self, ready: Ready) -> Ended:
        try:
            with UserCode(ready.job):
                if ready.definition.is_async:
                    return Ended(ready, run_coroutine(ready.job, self._call_async(ready)))
                return Ended(ready, self._call_function(ready))
        except BaseException as error:  # noqa: BLE001 - SystemExit and the like end the task, never the worker
            return Ended(ready, error=error)

    def _call_function(self, ready: Ready) -> Any:
        around = tuple(self._engine.hooks.scopes(ready.job.record))
        if not around:
            with SameProcess():
                return ready.definition.function(*ready.args, **ready.kwargs)
        own = _Own()
        with own.kept(), ExitStack() as scopes:
            for scope in around:
                if isinstance(scope, AbstractContextManager):  # one that is only async has nothing to do with a plain function
                    scopes.enter_context(scope)
            with own, SameProcess():
                own.value = ready.definition.function(*ready.args, **ready.kwargs)
        return own.outcome()

    async def _call_async(self, ready: Ready) -> Any:
        own = _Own()
        with own.kept():
            async with AsyncExitStack() as scopes:
                for scope in self._engine.hooks.scopes(ready.job.record):
                    if isinstance(scope, AbstractAsyncContextManager):
                        await scopes.enter_async_context(scope)
                    else:
                        scopes.enter_context(scope)
                with own, SameProcess():
                    own.value = await ready.definition.function(*ready.args, **ready.kwargs)
        return own.outcome()

    def _conclude(self, job: Job, ended: Ended) -> Change:
        definition = ended.ready.definition
        if isinstance(ended.error, TaskCancelled) and job.cancel_requested:
            return self._cancelled(job)
        if ended.error is not None:
            return self._failed(job, definition, ended.error)
        try:
            outcome, blobs = self._engine.codec.encode_result(definition, ended.value)
        except BaseException as error:  # noqa: BLE001 - it runs code of the value's class
            return self._failed(job, definition, error)
        return self._change(job, (Status.SUCCESS,), outcome=outcome, blobs=blobs)

    def _failed(self, job: Job, definition: TaskDefinition, error: BaseException) -> Change:
        outcome, blobs = self._engine.codec.encode_error(error)
        reason = reason_of(error)
        decision = decide_retry(self._engine, definition, error, job.record.state.attempts, job.invocation_id)
        self._engine.logger.debug("invocation %s of %s raised %s", job.invocation_id, definition.task_id, reason)
        if not decision.again:
            return self._change(job, (Status.FAILED,), outcome=outcome, blobs=blobs, reason=reason, attempts=1)
        self._look_for_requests(job)
        if job.cancel_requested:  # it is not worth another attempt
            return self._cancelled(job)
        if decision.delay > 0:
            due = self._engine.state.now() + decision.delay
            expires = job.record.invocation.expires
            if expires is not None and due > expires:  # by then it would be cancelled, and nobody would learn of the error
                return self._change(job, (Status.FAILED,), outcome=outcome, blobs=blobs, reason=reason, attempts=1)
            return self._change(job, (Status.RETRY, Status.SCHEDULED), due=due, reason=reason, attempts=1)
        return self._change(job, (Status.RETRY,), reason=reason, attempts=1)

    def _look_for_requests(self, job: Job) -> None:
        """Learn of a request that no heartbeat has brought yet: once this is released, perhaps for hours, nobody would answer it."""
        with suppress(BackendUnavailableError):
            record = self._engine.state.get([job.invocation_id]).get(job.invocation_id)
            if record is not None and record.state.owner == job.owner:
                job.interrupt = job.interrupt or record.side.signal

    def _cancelled(self, job: Job) -> Change:
        asked = job.interrupt
        by, reason = (asked.by, asked.reason) if asked is not None else ("", "")
        return change(job.record, (Status.CANCELLED,), by=by, owner=job.owner, reason=reason)

    def _set_aside(self, job: Job, error: PynencError) -> Change:
        self._engine.logger.warning("invocation %s is quarantined: %s", job.invocation_id, error)
        outcome, blobs = self._engine.codec.encode_error(error)
        return self._change(job, (Status.QUARANTINED,), outcome=outcome, blobs=blobs, reason=str(error))

    def _change(
        self,
        job: Job,
        through: tuple[Status, ...],
        *,
        outcome: Payload | None = None,
        **details: Any,
    ) -> Change:
        suspect = False if job.record.state.suspect else None  # it has ended once without taking its process down
        return change(job.record, through, by=job.context.runner_id, owner=job.owner, outcome=outcome, suspect=suspect, **details)


def _unless_abandoned(job: Job, outcome: Change) -> Change | None:
    return None if job.abandoned else outcome


class _Own:
    """What a task itself returned or raised: scopes around it see that, and replace neither."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.error = error

    @contextmanager
    def kept(self) -> Generator[None, None, None]:
        """Pass over whatever scopes made of an error of the task's own."""
        try:
            yield
        except BaseException:
            if self.error is None:
                raise

    def outcome(self) -> Any:
        """Return or raise it."""
        error, self.error = self.error, None
        if error is None:
            return self.value
        try:
            raise error
        finally:
            del error  # its traceback refers to this frame: a cycle, which would keep all that the task had alive
