"""The app: configuration, components and tasks under one id. Everything a user needs hangs on it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial, wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, overload

from pynenc_core.group import InvocationGroup, Member, wait_for
from pynenc_core.invocation import Invocation
from pynenc_core.locator import calling_module
from pynenc_core.plugins import PluginManager
from pynenc_core.ports.clock import SYSTEM_CLOCK, Clock
from pynenc_core.runtime import RunnerSide
from pynenc_core.task import Task, define

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class DirectTask(Protocol[P, R_co]):
    """A function whose calls run elsewhere and are waited for; `task` is the task itself."""

    task: Task[..., Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the task and return its result, or raise what it raised."""
        ...


class Pynenc(RunnerSide):
    """One app. Making it reads the configuration and touches no store: that happens when a task is first called.

    `url` names a backend (`scheme://...`); `app_id` and all other settings may be given by name, as `max_retries` in
    `task.max_retries` or nested mappings: `Pynenc(app_id="shop", runner={"max_threads": 8})`. They win over every other
    layer. Raises ConfigurationError for what nothing reads or what does not fit.
    """

    def __init__(
        self,
        url: str = "",
        *,
        config_filepath: str | Path | None = None,
        plugins: PluginManager | None = None,
        clock: Clock = SYSTEM_CLOCK,
        **settings: object,
    ) -> None:
        super().__init__(url, overrides=settings, config_filepath=config_filepath, plugins=plugins, clock=clock)
        self.made_in = calling_module()

    @property
    def runs_inline(self) -> bool:
        """Whether tasks run where they are called (`dev_mode_force_sync_tasks`)."""
        return self.conf.app.dev_mode_force_sync_tasks

    @overload
    def task(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(self, /, **options: Any) -> _TaskDecorator: ...
    def task(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Make a function a task, as `@app.task` or `@app.task(max_retries=3, ...)`; the options are those of `TaskSettings`.

        Raises TaskDefinitionError, TaskInMainError, and UnknownSettingError or InvalidSettingError for an option.
        """
        if function is None:
            return _TaskDecorator(self, options)
        return self._register(function, options)

    @overload
    def direct_task(self, function: Callable[P, R], /) -> DirectTask[P, R]: ...
    @overload
    def direct_task(self, /, **options: Any) -> Callable[[Callable[P, R]], DirectTask[P, R]]: ...
    def direct_task(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Make a function a task whose callers wait and get the value: it is called as before, and runs elsewhere.

        The task itself is the attribute `task` of what is returned.
        """
        if function is None:
            return partial(self._direct, options=options)
        return self._direct(function, {})

    def get_invocation(self, invocation_id: str) -> Invocation[Any]:
        """Return the handle of a stored invocation. Raises InvocationNotFoundError."""
        self.orchestrator.record(invocation_id)
        return Invocation(self.orchestrator, invocation_id)

    def wait(
        self,
        invocations: Iterable[Member[R]] | InvocationGroup[R],
        *,
        return_when: Literal["first", "all"] = "all",
        timeout: float | None = None,
    ) -> tuple[list[Member[R]], list[Member[R]]]:
        """Return those that are final, in the order of ending, and those that are not.

        Waits until all are, or one with `return_when="first"`, for up to `timeout` seconds. A failure is an end like any
        other. Inside a task the wait holds no slot.
        """
        return wait_for(self.orchestrator, list(invocations), first=return_when == "first", timeout=timeout)

    def _register(self, function: Callable[..., Any], options: Mapping[str, Any]) -> Task[..., Any]:
        identity = f"{function.__module__}.{function.__qualname__}" if hasattr(function, "__qualname__") else repr(function)
        definition = define(function, self.conf.task_options(identity, options))
        self._decorated[definition.task_id] = dict(options)
        self.tasks.register(definition)
        return Task(self, function, definition)

    def _direct(self, function: Callable[..., Any], options: Mapping[str, Any]) -> Callable[..., Any]:
        task = self._register(function, options)
        if task.definition.is_async:

            @wraps(function)
            async def waiting(*args: Any, **kwargs: Any) -> Any:
                return await task(*args, **kwargs).async_result()

            waiting.task = task  # type: ignore[attr-defined] # documented: the way to the task itself
            return waiting

        @wraps(function)
        def blocking(*args: Any, **kwargs: Any) -> Any:
            return task(*args, **kwargs).get_result()

        blocking.task = task  # type: ignore[attr-defined] # as above
        return blocking

    def __repr__(self) -> str:
        return f"<Pynenc {self.app_id}>"


class _TaskDecorator:
    """What `app.task(...)` with options returns."""

    def __init__(self, app: Pynenc, options: Mapping[str, Any]) -> None:
        self._app = app
        self._options = options

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Task[..., Any]:
        """Make the function a task with these options."""
        return self._app._register(function, self._options)  # noqa: SLF001 - the other half of `task`
