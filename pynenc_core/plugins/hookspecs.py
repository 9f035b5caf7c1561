"""Every hook a plugin may implement, each as a Protocol that a plugin's module can be checked against.

A plugin is a module (or an object) whose functions are marked with `hookimpl`:

    from pynenc_core.plugins import RunnerSpec, hookimpl

    @hookimpl
    def pynenc_runners() -> list[RunnerSpec]:
        return [RunnerSpec(name="inline", target="my_package.runner:InlineRunner")]

    CHECKED: RunnersHook = sys.modules[__name__]   # in the plugin's tests: the type checker compares the signatures

Parameters are positional-or-keyword and have no defaults; an implementation may take fewer of them. Implementations are
called one by one, what was registered last first, `tryfirst` before and `trylast` after the others, the core's own last
of all; wrappers are refused. Only `pynenc_invocation_scope` goes the other way round, since what is entered first is
outermost: first registered (the entry points in order of their names), first entered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

from pluggy import HookimplMarker, HookspecMarker

from pynenc_core.model import ProcessExit, ShutdownEvent, ShutdownReport
from pynenc_core.plugins.specs import (
    BackendSpec,
    BrokerSpec,
    BuilderMethodSpec,
    CommandSpec,
    RunnerSpec,
    SerializerSpec,
    StateBackendSpec,
)
from pynenc_core.ports.retries import Failure, RetryDecision

PROJECT = "pynenc"
"""The name of the pluggy project and of the entry-point group."""

hookspec = HookspecMarker(PROJECT)
hookimpl = HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of the hook of the same name."""


class RunnersHook(Protocol):
    """Offers runners."""

    @hookspec
    def pynenc_runners(self) -> Iterable[RunnerSpec]:
        """Return the specs of the runners this plugin brings; called once, when a runner is first looked for."""
        ...


class BrokersHook(Protocol):
    """Offers brokers."""

    @hookspec
    def pynenc_brokers(self) -> Iterable[BrokerSpec]:
        """Return the specs of the brokers this plugin brings; called once, when a broker is first looked for."""
        ...


class StateBackendsHook(Protocol):
    """Offers state backends."""

    @hookspec
    def pynenc_state_backends(self) -> Iterable[StateBackendSpec]:
        """Return the specs of the state backends this plugin brings; called once, when one is first looked for."""
        ...


class BackendsHook(Protocol):
    """Offers storage that one URL opens."""

    @hookspec
    def pynenc_backends(self) -> Iterable[BackendSpec]:
        """Return the specs that join a URL scheme to a broker and a state backend; called once, at first need."""
        ...


class SerializersHook(Protocol):
    """Offers serializers."""

    @hookspec
    def pynenc_serializers(self) -> Iterable[SerializerSpec]:
        """Return the specs of the serializers this plugin brings; called once, when one is first looked for."""
        ...


class CommandsHook(Protocol):
    """Adds commands to the CLI."""

    @hookspec
    def pynenc_commands(self) -> Iterable[CommandSpec]:
        """Return the specs of the commands this plugin brings; called once, when the CLI lists or runs a command."""
        ...


class BuilderMethodsHook(Protocol):
    """Adds methods to `PynencBuilder`."""

    @hookspec
    def pynenc_builder_methods(self) -> Iterable[BuilderMethodSpec]:
        """Return the specs of the methods this plugin brings; called once, when the builder meets a name of none of its own."""
        ...


class ConfigureHook(Protocol):
    """Learns the settings."""

    @hookspec(historic=True)
    def pynenc_configure(self, settings: object) -> None:
        """Called with the app's `Settings` (`settings.section(cls)`) as soon as both they and the plugin are known.

        Historic: a plugin that is registered later is called then. One that raises is left out and listed as broken.
        """
        ...


class DispatcherHook(Protocol):
    """Joins a broker and a state backend that share a store."""

    @hookspec(firstresult=True)
    def pynenc_dispatcher(self, broker: object, state_backend: object) -> object | None:
        """Return a `Dispatcher` for this `BaseBroker` and `BaseStateBackend`, or None where they are not this plugin's.

        Called at app start; the first that is not None is taken, the core's split dispatcher last.
        """
        ...


class InvocationScopeHook(Protocol):
    """Wraps each execution: the middleware."""

    @hookspec
    def pynenc_invocation_scope(
        self,
        invocation: object,
    ) -> AbstractContextManager[object] | AbstractAsyncContextManager[object] | None:
        """Return what is entered around one execution of `invocation` (with its `invocation_id`, `task` and `call`), or None.

        An async context manager is entered for async tasks. It sees the result's end or the exception and may replace
        neither; what it raises itself is the invocation's failure.
        """
        ...


class DecideRetryHook(Protocol):
    """Decides what follows a failure."""

    @hookspec(firstresult=True)
    def pynenc_decide_retry(self, failure: Failure) -> RetryDecision | None:
        """Return what follows `failure`, or None for no opinion.

        The first that is not None is taken, the core's rule last. One that raises is logged and passed over.
        """
        ...


class RunnerStartedHook(Protocol):
    """Observes the start of runners."""

    @hookspec
    def pynenc_runner_started(self, runner: object) -> None:
        """Called after `runner` (a `BaseRunner`) has started and before it first claims."""
        ...


class RunnerStoppedHook(Protocol):
    """Observes the end of runners."""

    @hookspec
    def pynenc_runner_stopped(self, runner: object) -> None:
        """Called after `runner` (a `BaseRunner`) has handed back what it owned."""
        ...


class InvocationChangedHook(Protocol):
    """Observes status changes."""

    @hookspec
    def pynenc_invocation_changed(self, change: object) -> None:
        """Called after a change was written by this process, with `change` (`invocation_id`, `status`, the record before and after).

        Runs in the thread that wrote the change, which waits for it: be quick.
        """
        ...


class ClassifyExitHook(Protocol):
    """Explains the end of a process."""

    @hookspec(firstresult=True)
    def pynenc_classify_exit(self, exit: ProcessExit) -> str | None:  # noqa: A002 - the word of the field; a hook's argument is its API
        """Return, in words for logs and histories, why the process of `exit` ended, or None to leave it to others.

        `exit` has `runner_id`, `pid`, `exit_code`, `signal`, and the kernel's counter of out-of-memory kills before and now.
        The first that is not None is taken, the core's own table last. All plugins together have half a second: work waits
        to be handed on.
        """
        ...


class ShutdownDiagnosticsHook(Protocol):
    """Adds sections to the report of a shutdown."""

    @hookspec
    def pynenc_shutdown_diagnostics(self, event: ShutdownEvent) -> Mapping[str, object] | None:
        """Return sections for the report of `event` (the signal, the reason, the runner): title to plain data, or None.

        Plain data are mappings, lists and scalars, as in JSON; a number whose name ends in `_bytes` is shown in a unit. Never
        called inside a signal handler, and before anything is torn down; all plugins together have one deadline,
        `diagnostics_deadline_sec`. Who raises, or is late, has a section that says so.
        """
        ...


class ReportShutdownHook(Protocol):
    """Takes the report of a shutdown elsewhere."""

    @hookspec
    def pynenc_report_shutdown(self, report: ShutdownReport) -> None:
        """Called with the finished `report` after it was logged: send it elsewhere, soon, since the process is about to end.

        After a stop without a signal and without an error it has nothing but its event.
        """
        ...


class HealthcheckHook(Protocol):
    """Adds checks to `pynenc doctor`."""

    @hookspec
    def pynenc_healthcheck(self, app: object) -> Iterable[object] | None:
        """Return what was checked on `app`, each with a `name`, whether it is `ok` and a `detail`, or None."""
        ...


ALL_HOOKS: tuple[type, ...] = (
    RunnersHook,
    BrokersHook,
    StateBackendsHook,
    BackendsHook,
    SerializersHook,
    CommandsHook,
    BuilderMethodsHook,
    ConfigureHook,
    DispatcherHook,
    InvocationScopeHook,
    DecideRetryHook,
    RunnerStartedHook,
    RunnerStoppedHook,
    InvocationChangedHook,
    ClassifyExitHook,
    ShutdownDiagnosticsHook,
    ReportShutdownHook,
    HealthcheckHook,
)
