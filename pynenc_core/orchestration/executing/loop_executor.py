"""The executor of a runner whose coroutines share an event loop: only where a job's own code runs is different.

What may block on the store is done in threads. Jobs that end while a thread is on its way to look after them are looked
after together: their outcomes travel in one call.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial

from pynenc_core.errors.runners import LoopBlockedError
from pynenc_core.model import Change, RunnerContext
from pynenc_core.orchestration.current import Job, running_job
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.executing.execution import Ended, Ready
from pynenc_core.orchestration.executing.executor import ThreadExecutor
from pynenc_core.orchestration.executing.settling import End
from pynenc_core.orchestration.executing.shared_loop import Run, SharedLoop, stopped
from pynenc_core.ports.gauge import Gauge

_IDLE_THREADS = 8  # kept for the next one: they are not what the slots are for
_AGAIN = 0.1  # seconds until it is tried again to start a thread
_TOGETHER = 32  # ends that one thread looks after: with more, the last would wait long for their turn


class LoopExecutor(ThreadExecutor):
    """Runs coroutines beside each other on one loop, and plain functions in threads, both in the same slots."""

    def __init__(
        self,
        engine: Engine,
        context: RunnerContext,
        slots: int,
        may_claim: Callable[[], bool],
        runner: object,
        gauge: Gauge,
        replace: Callable[[str], float] | None = None,
    ) -> None:
        super().__init__(engine, context, slots, may_claim, runner, gauge, replace, idle_threads=_IDLE_THREADS)
        most_threads = slots + engine.runner_settings.max_paused_per_worker
        self._loop = SharedLoop(engine.logger, self._note_end, most_threads)
        self._ends_lock = threading.Lock()
        self._ends: deque[Run] = deque()
        self._somebody_comes = False
        """A thread is on its way that will look after the ends."""

    def start(self) -> None:
        """Begin to claim and to run."""
        self._loop.start()
        super().start()

    def drain(self, grace: float, hurry: threading.Event) -> int:
        """Do as every executor; coroutines that were handed back are cancelled then, and have a second for their way out."""
        handed = super().drain(grace, hurry)
        self._loop.stop()
        return handed

    def wait_for(self, invocation_ids: Collection[str], timeout: float | None, linger: float = 0.0) -> frozenset[str]:
        """Do as every executor, in a thread; raises LoopBlockedError on the event loop, which has to run what is waited for."""
        job = running_job.get()
        if job is not None and timeout != 0 and self._loop.is_current:
            raise LoopBlockedError(job.invocation_id, job.record.invocation.task_id)
        return super().wait_for(invocation_ids, timeout, linger)

    def _for_threads(self, jobs: Sequence[Job]) -> Sequence[Job]:
        mine, others = self._sort(jobs)
        if mine:
            self._threads.hand(partial(self._begin_on_loop, mine))
        return others

    def _sort(self, jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
        """Return the jobs of async tasks, and the others."""
        mine: list[Job] = []
        others: list[Job] = []
        for job in jobs:
            definition = self._engine.tasks.get(job.record.invocation.task_id)
            (mine if definition is not None and definition.is_async else others).append(job)
        return mine, others

    def _begin_on_loop(self, jobs: Sequence[Job]) -> None:
        """Decode arguments and begin; what has none that fit has ended already."""
        while jobs:
            runs: list[Run] = []
            ends: list[End] = []
            for job in jobs:
                made = self._prepare(job)
                if isinstance(made, Run):
                    runs.append(made)
                else:
                    ends.append(made)
            self._loop.begin(runs)
            jobs = self._after(ends)

    def _prepare(self, job: Job) -> Run | End:
        began = self._engine.clock.monotonic()
        try:
            ready = self._execution.prepare(job, self._runner)
        except Exception as error:  # noqa: BLE001 - dealt with as any error of ours
            return self._ended(job, partial(_raise, error), began)
        if isinstance(ready, Ready):
            return Run(job, ready.context, partial(self._execution.call_on_loop, ready), ready.definition.task_id, kept=ready)
        outcome = None if job.abandoned else ready
        return self._ended(job, lambda: outcome, began)

    def _note_end(self, run: Run) -> None:
        """Have somebody look after it; called on the loop."""
        self._ends.append(run)
        self._fetch_somebody()

    def _fetch_somebody(self) -> None:
        with self._ends_lock:
            if self._somebody_comes or not self._ends:
                return
            self._somebody_comes = True
        try:
            self._threads.hand(self._look_after_ends)
        except RuntimeError:  # the process can start no thread at the moment
            self._engine.logger.warning("no thread can be started for what has ended; it is tried again")
            self._somebody_comes = False
            self._loop.later(_AGAIN, self._fetch_somebody)

    def _look_after_ends(self) -> None:
        with self._ends_lock:
            runs = [self._ends.popleft() for _ in range(min(_TOGETHER, len(self._ends)))]
            self._somebody_comes = False
        self._fetch_somebody()
        ends = [self._ended(run.job, partial(self._conclude, run), run.began) for run in runs]
        runs.clear()  # results and errors live no longer than needed
        self._begin_on_loop(self._after(ends))

    def _conclude(self, run: Run) -> Change | None:
        ended: Ended = run.returned or Ended(run.kept, error=run.error)
        ended.error = stopped(run, ended.error)
        return self._execution.conclude(ended)

    def _after(self, ends: Sequence[End]) -> Sequence[Job]:
        """Settle these; return what follows on the loop, and let run what follows in threads."""
        if not ends:
            return ()
        mine, others = self._sort(self._settling.after(ends))
        for job in others:
            self._threads.hand(partial(self._run_on, job))
        return mine


def _raise(error: BaseException) -> None:
    raise error
