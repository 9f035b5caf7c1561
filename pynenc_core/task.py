"""Functions as tasks: calling one registers an invocation instead of running it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

from pynenc_core.config import TaskSettings
from pynenc_core.errors.runners import TaskDefinitionError, TaskInMainError
from pynenc_core.group import InvocationGroup
from pynenc_core.identifiers import new_id, task_id
from pynenc_core.invocation import Invocation, ReusedInvocation, SyncInvocation
from pynenc_core.orchestration.current import running_in, running_job
from pynenc_core.orchestration.inline import run_inline
from pynenc_core.orchestration.orchestrator import AppOrchestrator
from pynenc_core.orchestration.registry import TaskDefinition
from pynenc_core.signatures import CallSignature

P = ParamSpec("P")
R = TypeVar("R")
Arguments = tuple[Any, ...] | Mapping[str, Any]
"""One call of a `parallelize`: a tuple of positional arguments, or a mapping of keyword arguments."""


class Host(Protocol):
    """What a task needs of its app."""

    @property
    def orchestrator(self) -> AppOrchestrator:
        """The rules; starts the app at the first use."""
        ...

    @property
    def runs_inline(self) -> bool:
        """Whether tasks run where they are called."""
        ...

    @property
    def logger(self) -> logging.Logger:
        """The app's logger."""
        ...


class TaskLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose lines carry the ids of the invocation, task, runner and workflow they were written in."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        """Add the ids of the running invocation to a line's fields."""
        job = running_job.get()
        ids: dict[str, object] = {"task_id": (self.extra or {}).get("task_id")}
        if job is not None:
            ids |= {
                "invocation_id": job.invocation_id,
                "runner_id": job.context.runner_id,
                "workflow_id": job.record.invocation.workflow.workflow_id,
            }
        given: dict[str, object] = kwargs.get("extra") or {}
        return msg, {**kwargs, "extra": {**ids, **given}}


class Task(Generic[P, R]):
    """A function registered on an app. Calling it registers an invocation; `function` is the function itself."""

    def __init__(self, host: Host, function: Callable[P, R] | Callable[P, Coroutine[Any, Any, R]], definition: TaskDefinition) -> None:
        self._host = host
        self.definition = definition
        self.function = function
        self.logger = TaskLogger(host.logger, {"task_id": definition.task_id})
        update_wrapper(self, function)

    @property
    def task_id(self) -> str:
        """The id, `module.qualified_name`."""
        return self.definition.task_id

    @property
    def options(self) -> TaskSettings:
        """The task's options from all layers; read them, the configuration is where to change them."""
        return self.definition.options

    @property
    def invocation(self) -> Invocation[R] | None:
        """The invocation of this task that runs in this context; None outside of one."""
        job = running_job.get()
        if job is None or job.record.invocation.task_id != self.task_id or running_in(self._host.orchestrator.engine) is None:
            return None
        return Invocation(self._host.orchestrator, job.invocation_id, self.definition)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Invocation[R]:
        """Register a call and return its invocation.

        Raises ArgumentBindingError or ArgumentEncodingError, naming the parameter, for arguments that do not fit;
        PayloadTooLargeError; BackendUnavailableError, when it is unknown whether the call was registered.
        """
        bound = self.definition.signature.bind(args, kwargs)
        if self._host.runs_inline:
            return cast("Invocation[R]", self._inline(bound))
        orchestrator = self._host.orchestrator
        submitted = orchestrator.routing.route_call(self.definition, bound)
        return self._handle(orchestrator, submitted.ids[0], 0 in submitted.reused)

    def parallelize(self, calls: Iterable[Arguments]) -> InvocationGroup[R]:
        """Register many calls, each a tuple of positional or a mapping of keyword arguments, 500 at most in one submit.

        Each batch of `parallel_batch_size` is registered wholly or not at all. Raises as a single call does, for the
        first that does not fit; earlier batches are registered then.
        """
        bound = (self._bind(call) for call in calls)
        if self._host.runs_inline:
            return InvocationGroup(None, [self._inline(arguments) for arguments in bound])
        orchestrator = self._host.orchestrator
        return InvocationGroup(orchestrator, list(self._register(orchestrator, bound)))

    def _register(self, orchestrator: AppOrchestrator, bound: Iterable[Mapping[str, Any]]) -> Iterator[Invocation[R]]:
        for submitted in orchestrator.routing.route_calls(self.definition, bound):
            for position, invocation_id in enumerate(submitted.ids):
                yield self._handle(orchestrator, invocation_id, position in submitted.reused)

    def _bind(self, call: Arguments) -> dict[str, Any]:
        if type(call) is tuple:  # first: what is no mapping takes much longer to find out
            return self.definition.signature.bind(call, {})
        if isinstance(call, Mapping):
            return self.definition.signature.bind((), call)
        return self.definition.signature.bind(tuple(call), {})

    def _handle(self, orchestrator: AppOrchestrator, invocation_id: str, reused: bool) -> Invocation[R]:
        if reused:
            return ReusedInvocation(orchestrator, invocation_id, self.definition)
        return Invocation(orchestrator, invocation_id, self.definition)

    def _inline(self, bound: Mapping[str, Any]) -> SyncInvocation[R]:
        value, error = run_inline(self._host.orchestrator.engine, self.definition, bound)
        return SyncInvocation(new_id(), cast("R", value), error)

    def __repr__(self) -> str:
        return f"<Task {self.task_id}>"


def define(function: Callable[..., Any], options: TaskSettings) -> TaskDefinition:
    """Return the definition of a function as a task.

    Raises TaskDefinitionError for what is no plain function of a module, TaskInMainError for one of the started script.
    """
    if isinstance(function, Task):
        raise TaskDefinitionError(function.task_id, "it is a task already; decorate the function once")
    if not inspect.isfunction(function):
        raise TaskDefinitionError(repr(function), "only functions can be tasks; for a class, decorate a function that makes and uses it")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TaskDefinitionError(function.__qualname__, "it is a generator, whose values no result can carry; return a list")
    if function.__module__ == "__main__":
        raise TaskInMainError(function.__qualname__)
    identity = task_id(function.__module__, function.__qualname__)
    return TaskDefinition(
        task_id=identity,
        function=function,
        signature=CallSignature.of(function, identity, secret=options.secret_args),
        options=options,
        is_async=inspect.iscoroutinefunction(function),
    )
