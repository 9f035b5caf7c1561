"""The runner inside a worker process that was started for one invocation, and may be stopped while that one waits."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Sequence

from pynenc_core.app import Pynenc
from pynenc_core.errors.invocations import WaitDepthError
from pynenc_core.model import InvocationRecord, RunnerContext, Signal
from pynenc_core.ports.control import Control, Hold, Report, Resume
from pynenc_core.ports.runtime import Interruption
from pynenc_core.worker.parent import Parent
from pynenc_core.worker.runner import WorkerRunner

_OURS = "pynenc-"  # how the threads are named that this core and its plugins start


class SingleRunWorker(WorkerRunner):
    """Runs the one invocation that its parent has claimed for it, and ends.

    While that invocation waits for others it is the parent that waits: this process has no connection open, and reads. The
    parent may stop it then, by a signal. It resumes it by another one, and by a line, which nothing can lose.
    """

    def __init__(self, app: Pynenc, context: RunnerContext, parent: Parent) -> None:
        super().__init__(app, context, 1, parent)
        self._given: InvocationRecord | None = None
        self._invocation_id = ""
        self._told = threading.Condition()
        self._numbers = itertools.count(1)
        self._resumes: dict[int, Resume] = {}
        self._asked = False
        """A request has come for the invocation."""

    def _on_start(self) -> None:
        self.executor = self._new_executor()
        self._parent.tell(Report(ready=True))

    def runner_loop_iteration(self) -> None:
        """Start what was given, once; the end of it ends the loop."""
        self.pause(self.conf.idle_claim_timeout_sec)
        given, self._given = self._given, None
        if given is not None and self.executor is not None:
            self.executor.run_given(given, self._hold, self.stop_runner_loop)

    def _carry_out(self, told: Control) -> None:
        super()._carry_out(told)
        if told.run is not None:
            self._given, self._invocation_id = told.run, told.run.invocation_id
        if told.resume is not None:
            self._resumes[told.resume.number] = told.resume

    def _have_heard(self) -> None:
        self.nudge()
        with self._told:
            self._told.notify_all()

    def _deliver(self, signals: Sequence[Signal]) -> None:
        super()._deliver(signals)
        self._asked = self._asked or bool(signals)

    def _hold(
        self, awaits: Collection[str], timeout: float | None, linger: float, interruption: Interruption, *, coroutines: bool
    ) -> frozenset[str]:
        """Let the parent wait; return what it says is final, () at the timeout, when a request has come, or when interrupted."""
        interruption.when_interrupted = self._have_heard
        number = next(self._numbers)
        may_stop = not coroutines and _alone()
        with self._told:
            heard = self._heard  # before the look at requests: one that comes later is not among them, and the parent sees that
            if self._asked or interruption.interrupted:
                return frozenset()
            hold = Hold(number=number, awaits=list(awaits), timeout=timeout, linger=linger, heard=heard, may_stop=may_stop)
            self._parent.tell(Report(hold=hold))
            self._told.wait_for(lambda: self._asked or interruption.interrupted or number in self._resumes)
            resume = self._resumes.pop(number, None)
        if resume is None:
            self._parent.tell(Report(goes_on=number))
            return frozenset()
        if resume.refused_above:
            raise WaitDepthError(self._invocation_id, resume.refused_above)
        return frozenset(resume.arrived)


def _alone() -> bool:
    """Return whether no thread runs here that the task has started."""
    main = threading.main_thread()
    return all(thread is main or thread.name.startswith(_OURS) for thread in threading.enumerate())
