"""What becomes of a job that has run into a time limit: its code is told, and its outcome written if it does not end."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.errors.invocations import HardTimeoutError
from pynenc_core.errors.runners import TaskCancelled
from pynenc_core.model import Change, Refusal
from pynenc_core.orchestration.current import Job
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.executing.execution import Execution
from pynenc_core.orchestration.executing.interrupting import interrupt
from pynenc_core.orchestration.executing.timeouts import Allowance, Overrun, TimeLimits
from pynenc_core.status import Status


class Overruns:
    """Sees to the jobs whose clocks `TimeLimits` keeps."""

    def __init__(
        self,
        engine: Engine,
        execution: Execution,
        limits: TimeLimits,
        write: Callable[[Change], Refusal | None],
        left_behind: Callable[[Job, str], None],
    ) -> None:
        """`write` settles one change; `left_behind` is told of a job whose outcome is written while its code goes on, and why."""
        self._engine = engine
        self._execution = execution
        self._limits = limits
        self._write = write
        self._left_behind = left_behind
        limits.overran = self._overran

    def _overran(self, job: Job, what: Overrun) -> None:
        """See to a job that has run into a limit; called in a thread of its own."""
        try:
            match what:
                case Overrun.SOFT:
                    self._soft(job)
                case Overrun.HARD:
                    self._hard(job)
                case Overrun.STUCK:
                    self._stuck(job)
        except BackendUnavailableError as error:
            self._engine.logger.warning("the outcome of invocation %s is left to recovery: %s", job.invocation_id, error)
        except Exception:
            self._engine.logger.exception("invocation %s could not be ended", job.invocation_id)

    def _soft(self, job: Job) -> None:
        allowance = job.allowance
        if not isinstance(allowance, Allowance):
            return
        told = interrupt(job, allowance.soft_error(), lambda: not (job.paused or job.stopped))
        if not told and job.in_user_code and not job.stopped:
            self._limits.soft_again(job)

    def _hard(self, job: Job) -> None:
        """Tell the code to end. What it does then is nothing but its farewell: its outcome is HardTimeoutError."""
        with job.lock:
            if job.paused or job.stopped or not job.in_user_code:
                return  # one that waits is told when it goes on
            job.timed_out = True
        interrupt(job, TaskCancelled(job.invocation_id, "its `timeout` is over"), lambda: job.timed_out)

    def _stuck(self, job: Job) -> None:
        if job.timed_out and not job.abandoned and not self._write_timeout(job):
            return
        with job.lock:
            if not job.abandoned or not job.in_user_code or job.ended:
                return
        task_id = job.record.invocation.task_id
        self._left_behind(job, f"task {task_id} did not end when it was told to, in invocation {job.invocation_id}")

    def _write_timeout(self, job: Job) -> bool:
        """Write the outcome while the code still runs; False when it began to wait for others just before."""
        allowance = job.allowance
        if not isinstance(allowance, Allowance):
            return False
        refusal = self._write(self._execution.failed(job, _seen(job, allowance.hard_error())))
        if refusal is not None and refusal.status is Status.PAUSED and refusal.claim == job.owner.claim:
            return False
        job.abandoned = True  # also when its own outcome came first, or somebody else's
        return True


def _seen(job: Job, error: HardTimeoutError) -> HardTimeoutError:
    """Note in an error where the code of a job is at this moment."""
    frame = sys._current_frames().get(job.thread)  # noqa: SLF001 - the one way to see another thread's frames
    if frame is not None and job.stop_coroutine is None:
        error.add_note("It was here and did not end:\n" + "".join(traceback.format_stack(frame)))
    return error
