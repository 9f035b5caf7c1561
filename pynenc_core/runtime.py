"""What a runner sees of its app: executors, duties, signals, worker processes, and the report of its end."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Collection, MutableMapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from pynenc_core.composition import AppParts
from pynenc_core.errors.runners import AppLocatorError
from pynenc_core.locator import load, locate
from pynenc_core.model import Query, RunnerContext, ShutdownEvent, Signal, signal_name
from pynenc_core.orchestration.current import current_runner, in_runner
from pynenc_core.orchestration.executing.executor import ThreadExecutor
from pynenc_core.orchestration.reporting.cgroups import OomWatch
from pynenc_core.orchestration.reporting.diagnostics import Sources
from pynenc_core.orchestration.reporting.endings import store_report
from pynenc_core.orchestration.reporting.farewell import Farewell
from pynenc_core.orchestration.services import RunnerDuties
from pynenc_core.orchestration.shared import SharedCache
from pynenc_core.orchestration.shutdown import stop_signals
from pynenc_core.outside import ExternalRunner
from pynenc_core.plugins.discovery import describe
from pynenc_core.ports.app_records import AppInfo
from pynenc_core.ports.gauge import Gauge
from pynenc_core.ports.runner import BaseRunner
from pynenc_core.ports.shutdown import classify_signal
from pynenc_core.redaction import redact_text
from pynenc_core.status import OWNED
from pynenc_core.worker_start import fork_server_command, worker_command

_LONGEST_ERROR = 1000  # characters of it that a report holds; the log has all
_CLASSIFYING = 0.5  # seconds for plugins to say why a child died: its work is to be handed on within one


class RunnerSide(AppParts):
    """The part of an app that its runners use; `ports.runtime.RunnerView` describes it to them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.made_in = ""
        """The module in which the app object was made."""
        self.found_as = ""
        """The locator by which the command line found it, if it did."""
        self._external: ExternalRunner | None = None
        self._started_at: dict[str, float] = {}
        self._farewells: dict[str, Farewell] = {}
        self._oom_watch: OomWatch | None = None

    def locator(self) -> str:
        """Return where another process finds this app. Raises AppLocatorError."""
        return self.found_as or locate(self, self.made_in)

    def info(self) -> AppInfo:
        """Return what a store says of this app, so that somebody who only finds the store can import it."""
        try:
            return AppInfo(app_id=self.app_id, locator=self.locator())
        except AppLocatorError:
            return AppInfo(app_id=self.app_id)

    def make_runner(self, name: str = "") -> BaseRunner:
        """Return a new runner of this name, of the configured class, or of the installed one of the highest rank.

        Raises as `runner_spec` does.
        """
        spec = self.runner_spec(name)
        runner = self.plugins.catalog.make(spec, BaseRunner, self)
        if not name and not self.conf.app.runner_cls:
            self.logger.info("app %s runs with the %s runner, the best that is installed", self.app_id, spec.name)
        return runner

    @property
    def runner(self) -> BaseRunner:
        """The runner that executes in this context; outside of one an `ExternalRunner`, which executes nothing."""
        found = current_runner.get()
        if isinstance(found, BaseRunner):
            return found
        if self._external is None or self._external.runner_context.pid != os.getpid():  # after a fork, it is another process
            self._external = ExternalRunner(self)
        return self._external

    def open_executor(
        self,
        context: RunnerContext,
        slots: int,
        may_claim: Callable[[], bool],
        gauge: Gauge,
        replace: Callable[[str], float] | None = None,
        *,
        shared_loop: bool = False,
    ) -> ThreadExecutor:
        """Return a new executor with so many slots, whose claims carry this context, and which shows its load in `gauge`.

        `replace` is told why this process should end: code in it does not, though it was told to. It returns within how
        many seconds the process will be gone; 0, or without it, the code is left behind in its thread. With `shared_loop`
        the coroutines of async tasks run beside each other on one event loop.
        """
        return self.orchestrator.open_executor(context, slots, may_claim, current_runner.get(), gauge, replace, shared_loop=shared_loop)

    def open_duties(
        self,
        context: RunnerContext,
        children: Callable[[], Collection[str]],
        deliver: Callable[[Sequence[Signal]], None],
        busy: Callable[[], bool],
    ) -> RunnerDuties:
        """Return the heartbeats of a runner and its children, and its share of the background services."""
        return self.orchestrator.open_duties(context, children, deliver, busy)

    def signals(self, stop: Callable[[int], None], wake: Callable[[], None]) -> AbstractContextManager[None]:
        """Route SIGTERM and SIGINT to `stop`; `wake` is called after it, from an ordinary thread."""
        return stop_signals(self.logger, stop, wake)

    def in_runner(self, runner: object, context: RunnerContext) -> AbstractContextManager[None]:
        """Make a runner the current one for this thread."""
        return in_runner(runner, context)

    def shared_cache(self, runner_id: str) -> MutableMapping[str, object]:
        """Return the mapping that all processes of one runner start share."""
        return SharedCache(self.orchestrator.engine, runner_id)

    def worker_command(self, context: RunnerContext, slots: int) -> tuple[Sequence[str], bytes]:
        """Return the command of a worker process, and the line to send to its standard input first."""
        return worker_command(self, self.locator(), context, slots)

    def fork_server_command(self, context: RunnerContext) -> tuple[Sequence[str], bytes]:
        """Return the command of a process that forks workers, and the line to send to its standard input first."""
        return fork_server_command(self, self.locator(), context)

    def import_task_modules(self) -> None:
        """Import the modules in which tasks are; a failed import is a warning that names it."""
        for module in dict.fromkeys((*self.conf.app.task_modules, *self.conf.app.trigger_task_modules)):
            try:
                importlib.import_module(module)
            except Exception:
                self.logger.warning(
                    "module %r, named in the configuration, could not be imported; its tasks are unknown here", module, exc_info=True
                )

    def register_core_tasks(self) -> tuple[str, ...]:
        """Register the tasks that the core itself brings; return their ids. It brings none: its duties are services, never tasks."""
        return ()

    def register_deferred_triggers(self) -> tuple[str, ...]:
        """Register the triggers that wait for something to be known; return their ids. There are none: nothing declares one yet."""
        return ()

    def announce(self, context: RunnerContext) -> None:
        """Tell that a runner starts, and which tasks it knows."""
        self._started_at[context.runner_id] = time.time()
        self._oom_watch = self._oom_watch or OomWatch()
        self.orchestrator.announce(context)
        self.state_backend.store_app_info(self.info())
        self.logger.info("runner %s starts, with %d tasks", context.runner_id, len(self.tasks.ids))
        self.plugins.hooks.notify("pynenc_runner_started", runner=current_runner.get())

    def report_shutdown(self, context: RunnerContext, signum: int | None) -> None:
        """Log why a runner stops and in which state: a block after a signal or an error, a line otherwise.

        Never holds up a stop: what takes longer than half a second goes on beside it.
        """
        runner, error = self.runner, self.runner.failure
        opened = self._orchestrator
        state = opened.engine.state if opened is not None else None  # one that could not be opened is not tried again now
        event = ShutdownEvent(
            class_name=context.class_name,
            runner_id=context.runner_id,
            host=context.host,
            pid=context.pid,
            at=time.time(),
            started_at=self._started_at.pop(context.runner_id, None),
            signum=signum,
            signal_name="" if signum is None else signal_name(signum),
            reason=classify_signal(signum) if error is None else "error",
            error="" if error is None else redact_text(describe(error))[:_LONGEST_ERROR],
        )
        sources = Sources(
            event=event,
            children=runner.children,
            owned=lambda runner_id: state.find(Query(runner_id=runner_id, statuses=OWNED)) if state is not None else (),
            hooks=self.plugins.hooks,
        )
        farewell = self._farewells[context.runner_id] = Farewell(
            sources=sources,
            logger=self.logger,
            style=self.conf.app.logging_format,
            deadline=self.conf.runner.diagnostics_deadline_sec,
            store=lambda report: store_report(state, report) if state is not None else None,
        )
        farewell.say()

    def exit_reason(self, context: RunnerContext, returncode: int) -> str:
        """Return why a child process ended: as a plugin says, or as the core's own table does. Never raises."""
        self._oom_watch = self._oom_watch or OomWatch()
        exited = self._oom_watch.exited(context.runner_id, context.pid, returncode)
        for answer in self.plugins.hooks.each_within("pynenc_classify_exit", _CLASSIFYING, exit=exited):
            if isinstance(answer.value, str) and answer.value:
                return answer.value
            if answer.error is not None or answer.value is not None:
                said = answer.error or f"it said {answer.value!r}, which is no reason"
                self.logger.error("plugin %s could not classify the end of %s: %s", answer.plugin, context.runner_id, said)
        return exited.reason

    def retire(self, context: RunnerContext) -> None:
        """Tell that a runner ended."""
        farewell = self._farewells.pop(context.runner_id, None)
        if farewell is not None:
            farewell.finish()
        self.plugins.hooks.notify("pynenc_runner_stopped", runner=current_runner.get())
        self.logger.info("runner %s has stopped", context.runner_id)

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        """Travel as the locator: another process imports its own. Raises AppLocatorError where it has none."""
        return load, (self.locator(),)
