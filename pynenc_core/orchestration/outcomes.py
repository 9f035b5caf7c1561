"""Moves single invocations on: for runners that claim and settle by themselves, and for whoever cancels from outside."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Any

from pynenc_core.errors.invocations import HardTimeoutError, InvocationNotFoundError
from pynenc_core.errors.runners import UnknownTaskError
from pynenc_core.model import Change, InvocationRecord, Mark, Query, RunnerContext, Signal, SignalKind
from pynenc_core.orchestration.current import Job, current_context
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.executing.execution import Execution
from pynenc_core.orchestration.registry import TaskDefinition
from pynenc_core.ports.transitions import change, owned_change, raise_refusal, reason_of
from pynenc_core.status import CLAIMABLE, OWNED, Owner, Status

_PAGE = 200
_WAITING = CLAIMABLE - {Status.SCHEDULED}  # what is not due yet needs nobody now


class Cancellation(StrEnum):
    """What came of asking to cancel."""

    CANCELLED = "cancelled"
    REQUESTED = "requested"
    ALREADY_FINAL = "already final"


class Outcomes:
    """Claims and transitions of single invocations, each checked against the table and fenced."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._execution = Execution(engine)

    def record(self, invocation_id: str) -> InvocationRecord:
        """Return the stored record. Raises InvocationNotFoundError."""
        found = self.engine.state.get([invocation_id]).get(invocation_id)
        if found is None:
            raise InvocationNotFoundError(invocation_id, self.engine.app_id)
        return found

    def set_invocation_status(self, invocation_id: str, to: Status, by: Owner | None = None, *, reason: str = "") -> None:
        """Move an invocation on, as its owner or as anybody.

        Raises InvocationNotFoundError, InvocationStatusTransitionError, InvocationStatusOwnershipError.
        """
        record = self.record(invocation_id)
        self.settle(change(record, (to,), by=by.runner_id if by else "", owner=by, reason=reason))

    def set_invocation_result(self, invocation_id: str, result: object, by: Owner) -> None:
        """Write a result together with SUCCESS. Raises as `set_invocation_status`, and ResultEncodingError."""
        record = self.record(invocation_id)
        outcome, blobs = self.engine.codec.encode_result(self.definition(record.invocation.task_id), result)
        self.settle(owned_change(record, Status.SUCCESS, by, outcome=outcome, blobs=blobs))

    def set_invocation_exception(self, invocation_id: str, error: BaseException, by: Owner) -> None:
        """Write an exception together with FAILED. Raises as `set_invocation_status`."""
        record = self.record(invocation_id)
        outcome, blobs = self.engine.codec.encode_error(error)
        reason = reason_of(error)
        self.settle(owned_change(record, Status.FAILED, by, outcome=outcome, blobs=blobs, attempts=1, reason=reason))

    def set_invocation_retry(self, invocation_id: str, error: BaseException, by: Owner) -> None:
        """Let an invocation be tried again after `error`; counts an attempt. Raises as `set_invocation_status`."""
        self.settle(owned_change(self.record(invocation_id), Status.RETRY, by, attempts=1, reason=reason_of(error)))

    def reroute_invocations(self, invocation_ids: Collection[str], runner_context: RunnerContext) -> int:
        """Hand back what this runner owns of these, as interruptions; return how many. The others are left alone."""
        return sum(self.kill_and_reroute(invocation_id, runner_context.runner_id) for invocation_id in invocation_ids)

    def reroute_owned(self, runner_id: str) -> int:
        """Hand back all that a runner owns which was stopped on purpose, as interruptions; return how many."""
        count = 0
        while page := self.engine.state.find(Query(runner_id=runner_id, statuses=OWNED), limit=_PAGE):
            handed = sum(self.kill_and_reroute(record.invocation_id, runner_id) for record in page)
            count += handed
            if not handed:
                break
        return count

    def end_overdue(self, runner_id: str, invocation_id: str) -> int:
        """Move on all that a runner owned which was killed since this invocation overran its hard timeout; return how many.

        The attempt of that one ends with HardTimeoutError, and so does any other that has certainly run for longer than it may;
        the rest is handed back as interruptions. What was settled before stays. Call it when the runner is dead. Raises
        BackendUnavailableError.
        """
        running = self.engine.state.find(Query(runner_id=runner_id, statuses=frozenset({Status.RUNNING})), limit=_PAGE)
        now = self.engine.state.now()
        ended = sum(self._end_by_timeout(record) for record in running if self._is_overdue(record, invocation_id, now))
        return ended + self.reroute_owned(runner_id)

    def _is_overdue(self, record: InvocationRecord, named: str, now: float) -> bool:
        definition = self.engine.tasks.get(record.invocation.task_id)
        limit = definition.options.timeout if definition is not None else 0.0
        if record.invocation_id == named or self.engine.runner_settings.settle_batch > 1:  # what stands behind another one has not begun
            return record.invocation_id == named and limit > 0
        return 0 < limit < now - record.state.since  # since it last went on: at least so long

    def _end_by_timeout(self, record: InvocationRecord) -> bool:
        task_id = record.invocation.task_id
        job = Job(record, current_context.get() or RunnerContext.external(), self.engine)
        error = HardTimeoutError(record.invocation_id, task_id, self.definition(task_id).options.timeout)
        return self.engine.settle([self._execution.failed(job, error)])[0] is None

    def waiting_work(self, most: int) -> int:
        """Return how many invocations could be claimed now, counting no further than `most`."""
        count = 0
        for queue in self.engine.runner_settings.queues:
            if count < most:
                count += len(self.engine.state.find(Query(statuses=_WAITING, queue=queue), limit=most - count))
        return count

    def kill_and_reroute(self, invocation_id: str, runner_id: str) -> bool:
        """Take an invocation from its stopped owner and queue it again; False when it was final or not its any more."""
        record = self.engine.state.get([invocation_id]).get(invocation_id)
        if record is None or record.state.status not in OWNED or record.state.runner_id != runner_id:
            return False
        through = (Status.KILLED, Status.REROUTED)
        killed = change(record, through, by=runner_id, owner=record.state.owner, interruptions=1, reason="its runner stopped it")
        return self.engine.settle([killed])[0] is None

    def cancel(self, invocation_id: str, *, by: str = "", reason: str = "") -> Cancellation:
        """Cancel what nobody owns at once; ask the owner otherwise. Raises InvocationNotFoundError."""
        while True:
            record = self.record(invocation_id)
            if record.state.final:
                return Cancellation.ALREADY_FINAL
            if record.state.status in OWNED:
                signal = Signal(invocation_id=invocation_id, kind=SignalKind.CANCEL, by=by, reason=reason)
                self.engine.state.mark([Mark(invocation_id=invocation_id, signal=signal)])
                return Cancellation.REQUESTED
            cancelled = change(record, (Status.CANCELLED,), by=by, reason=reason)
            if self.engine.settle([cancelled])[0] is None:
                return Cancellation.CANCELLED
            # Somebody moved it on between the look and the write: look again.

    def settle(self, *changes: Change) -> None:
        """Write changes; raises for the first that is refused, when all others are written."""
        self.raise_first(changes, self.engine.settle(changes))

    def raise_first(self, changes: Sequence[Change], refused: Sequence[Any]) -> None:
        """Raise what the first refusal stands for."""
        for asked, refusal in zip(changes, refused, strict=True):
            if refusal is not None:
                raise_refusal(self.engine.app_id, asked, refusal)

    def definition(self, task_id: str) -> TaskDefinition:
        """Return what this process knows of a task. Raises UnknownTaskError."""
        found = self.engine.tasks.get(task_id)
        if found is None:
            raise UnknownTaskError(task_id, self.engine.app_id)
        return found
