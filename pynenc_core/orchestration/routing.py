"""Takes calls in: limits, workflow, parent and rank are decided here, then a whole batch is submitted in one call."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from itertools import islice
from typing import Any

from pynenc_core.config import TaskSettings
from pynenc_core.errors.runners import TaskCancelled
from pynenc_core.identifiers import new_id
from pynenc_core.model import Batch, InvocationDTO, NewInvocation, RunnerContext, Submitted, WorkflowIdentity
from pynenc_core.orchestration.codec import EncodedCall
from pynenc_core.orchestration.concurrency import limits_of, unique_key_of
from pynenc_core.orchestration.current import current_context, running_in, running_job
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.registry import TaskDefinition

_PRIORITY_SPAN = 200  # points between the lowest priority, -100, and the highest, 100


class Routing:
    """Registers invocations of this app."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._outside: RunnerContext | None = None

    def route_call(self, definition: TaskDefinition, arguments: Mapping[str, Any]) -> Submitted:
        """Register one call, bound to its parameters; return the id that stands for it.

        Raises ArgumentEncodingError, PayloadTooLargeError, BackendUnavailableError; TaskCancelled inside a task that was.
        """
        return self._submit(definition, [self._engine.codec.encode_call(definition, arguments, self._ahead(definition.options))])

    def route_calls(self, definition: TaskDefinition, calls: Iterable[Mapping[str, Any]]) -> Iterator[Submitted]:
        """Register calls in batches of at most `parallel_batch_size`, each all or nothing; yield what stands for each batch."""
        pending = iter(calls)
        size, ahead = definition.options.parallel_batch_size, self._ahead(definition.options)
        while batch := [self._engine.codec.encode_call(definition, arguments, ahead) for arguments in islice(pending, size)]:
            yield self._submit(definition, batch)

    def _ahead(self, options: TaskSettings) -> float:
        """Return in how many seconds a call is due: so much longer its arguments are needed."""
        if not options.delay and options.eta is None:
            return 0.0
        now = self._engine.state.now()
        return max(0.0, (_due(options, now) or now) - now)

    def _submit(self, definition: TaskDefinition, calls: list[EncodedCall]) -> Submitted:
        job = running_job.get()
        if job is not None and job.stopped and job.tell_once():
            # What calls us again and again is told here; once, so that its `finally` may still call what undoes its work.
            raise TaskCancelled(job.invocation_id)
        batch_id = new_id() if len(calls) > 1 else ""
        now = self._engine.state.now()
        rank = now - definition.options.priority * self._engine.orchestrator_settings.ageing_seconds / _PRIORITY_SPAN
        by = self.context().runner_id
        inside = running_in(self._engine)
        parent = inside.record.invocation if inside else None
        new = tuple([self._new(definition, encoded, parent, batch_id, rank, now, by) for encoded in calls])
        blobs = {blob.key: blob for encoded in calls for blob in encoded.blobs}
        if new[0].invocation.workflow.workflow_id == new[0].invocation.invocation_id:
            self._engine.state.store_workflow_type(definition.task_id)  # once a minute: no index of a store lists the types
        # Never without an id of its own: under it a store remembers the answer to a batch, so that a repetition gets the same.
        submitted = Batch(batch_id=batch_id or new[0].invocation.invocation_id, invocations=new, blobs=tuple(blobs.values()))
        return self._engine.dispatcher.submit(submitted)

    def _new(
        self,
        definition: TaskDefinition,
        encoded: EncodedCall,
        parent: InvocationDTO | None,
        batch_id: str,
        rank: float,
        now: float,
        by: str,
    ) -> NewInvocation:
        options, invocation_id = definition.options, new_id()
        if parent is None:
            workflow = WorkflowIdentity(invocation_id, definition.task_id)
        elif options.force_new_workflow:
            workflow = WorkflowIdentity(invocation_id, definition.task_id, parent.workflow.workflow_id)
        else:
            workflow = parent.workflow
        invocation = InvocationDTO(
            invocation_id=invocation_id,
            call_id=encoded.call.call_id,
            task_id=definition.task_id,
            workflow=workflow,
            parent_id=parent.invocation_id if parent else "",
            queue=options.queue,
            rank=rank,
            expires=now + options.expires if options.expires else None,
            limits=limits_of(definition, encoded.call),
            drop_when_limited=not options.reroute_on_concurrency_control,
            unique_key=unique_key_of(definition, encoded.call),
            batch_id=batch_id,
            registered_by=by,
        )
        return NewInvocation(invocation=invocation, call=encoded.call, due=_due(options, now))

    def context(self) -> RunnerContext:
        """Return the context of who registers here: the current runner's, or this process's own outside of any."""
        context = current_context.get()
        if context is not None:
            job = running_job.get()
            if job is not None and job.home is not self._engine:  # a runner of another app, which is unknown in this store
                self._engine.state.store_runner_context(context)
            return context
        outside = self._outside  # without a lock, which a fork could leave taken: made twice, it is the same
        if outside is None or outside.pid != os.getpid():
            outside = self._outside = RunnerContext.external()
        self._engine.state.store_runner_context(outside)  # once a minute: the store may have been purged meanwhile
        return outside


def _due(options: TaskSettings, now: float) -> float | None:
    after = now + options.delay if options.delay else None
    if options.eta is None:
        return after
    eta = options.eta if options.eta.tzinfo else options.eta.replace(tzinfo=UTC)
    return max(eta.timestamp(), after or 0.0)
