"""What may go wrong with runners and with finding an app from another process."""

from __future__ import annotations

from pynenc_core.errors.base import PynencError


class RunnerNotExecutableError(PynencError):
    """An app outside a runner was asked to execute."""

    runner: str
    method: str

    def __str__(self) -> str:
        return (
            f"{self.runner} executes nothing, so {self.method}() cannot work: "
            "start a runner with `pynenc --app module:attribute runner start`, "
            "or name one with `runner_cls` in [tool.pynenc]"
        )


class LoopBlockedError(PynencError):
    """A coroutine on a shared event loop waited for another invocation by a blocking call."""

    invocation_id: str
    task_id: str

    def __str__(self) -> str:
        return (
            f"invocation {self.invocation_id} of {self.task_id} would block the event loop that it shares with other coroutines, "
            "which may be those it waits for: use `await invocation.async_result()` or `async for ... in group.async_results()`, "
            "or hand the blocking call to asyncio.to_thread"
        )


class AppLocatorError(PynencError):
    """Another process could not find the app object."""

    locator: str
    problem: str

    def __str__(self) -> str:
        return f"the app {self.locator!r} cannot be found by another process: {self.problem}"


class TaskInMainError(PynencError):
    """A task was defined in `__main__`, which no other process can import."""

    function: str

    def __str__(self) -> str:
        return (
            f"task {self.function!r} is defined in __main__, the script that was started, which no worker can import under that name: "
            "move it to a module and import it from there"
        )


class TaskDefinitionError(PynencError):
    """A function cannot be made a task."""

    function: str
    problem: str

    def __str__(self) -> str:
        return f"{self.function!r} cannot be a task: {self.problem}"


class UnknownTaskError(PynencError):
    """No task of that id is registered on the app in this process."""

    task_id: str
    app_id: str

    def __str__(self) -> str:
        return (
            f"app {self.app_id!r} knows no task {self.task_id!r} in this process: import its module, "
            "or name it in `task_modules` in [tool.pynenc]"
        )


class TaskCancelled(PynencError):  # noqa: N818 - it is no mistake, it is a request that arrives as an exception
    """Raised inside a running task whose cancellation was requested, or whose `timeout` is over."""

    invocation_id: str
    reason: str = ""

    def __str__(self) -> str:
        return f"invocation {self.invocation_id} is cancelled{f': {self.reason}' if self.reason else ''}"


class NoShutdownReportError(PynencError):
    """Nothing is stored of a runner's shutdown."""

    runner_id: str
    app_id: str

    def __str__(self) -> str:
        return (
            f"app {self.app_id!r} has no report of a shutdown of runner {self.runner_id!r}: it still runs, was killed, "
            "ended more than a week ago, or never was; `pynenc runner list` shows who lives and who ended lately"
        )


class PreloadRefusedError(PynencError):
    """Workers cannot be forked from a process that has imported the app."""

    problem: str

    def __str__(self) -> str:
        return (
            f"the app cannot be loaded before workers are forked: {self.problem}; "
            "mend that, or leave `preload_app` false in [tool.pynenc.runner]"
        )
