"""Calls off invocations that run here: because somebody asked for it, or because their time is up."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.errors.invocations import HardTimeoutError
from pynenc_core.errors.runners import TaskCancelled
from pynenc_core.model import Signal, SignalKind
from pynenc_core.orchestration.courier import Courier
from pynenc_core.orchestration.current import Job
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.execution import Execution
from pynenc_core.orchestration.holdings import Holdings
from pynenc_core.orchestration.interrupting import interrupt
from pynenc_core.orchestration.slots import Slots
from pynenc_core.orchestration.timeouts import Allowance, Overrun, TimeLimits
from pynenc_core.status import Status

_ENDING = 5.0  # seconds that cancelled code has for ending before it counts as stuck


class CallingOff:
    """Tells code to end, writes the outcome of what does not, and gives up the threads of what cannot be ended."""

    def __init__(
        self,
        engine: Engine,
        execution: Execution,
        courier: Courier,
        slots: Slots,
        holdings: Holdings,
        limits: TimeLimits,
        replace: Callable[[str], float],
    ) -> None:
        """`replace` is told why this process should end, and returns within how many seconds it will; 0: it stays."""
        self._engine = engine
        self._execution = execution
        self._courier = courier
        self._slots = slots
        self._holdings = holdings
        self._limits = limits
        limits.overran = self.overran
        self._replace = replace

    # Requests.

    def answer(self, job: Job, signal: Signal) -> None:
        """Do what a request asks for."""
        cancels = signal.kind is SignalKind.CANCEL
        if cancels and not self._cancel(job, signal):
            return  # its own outcome came first
        self.interrupt_waits(job)
        if cancels:
            self._limits.expect_end(job, _ENDING)
            interrupt(job, TaskCancelled(job.invocation_id), lambda: True)

    def _cancel(self, job: Job, signal: Signal) -> bool:
        paused = job.paused
        while True:
            (refusal,) = self._courier.exchange([self._holdings.cancelled(job, signal, paused=paused)]).refused
            if refusal is None:
                job.abandoned = True
                return True
            if refusal.claim != job.owner.claim or refusal.status not in {Status.RUNNING, Status.PAUSED}:
                return False
            paused = refusal.status is Status.PAUSED  # it began to wait, or went on, in the meantime

    def interrupt_waits(self, job: Job) -> None:
        """Let whatever this job waits for return to it."""
        with job.lock:
            interests = list(job.interests)
        for interest in interests:
            interest.interrupt()
        self._slots.tell()

    # Time limits.

    def overran(self, job: Job, what: Overrun) -> None:
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
        """Do without the end of code that was told to end and did not: what stopped it may never return."""
        if job.timed_out and not job.abandoned and not self._write_timeout(job):
            return
        with job.lock:
            if not job.abandoned or not job.in_user_code or job.ended:
                return
        self.interrupt_waits(job)
        why = f"task {job.record.invocation.task_id} did not end when it was told to, in invocation {job.invocation_id}"
        within = self._replace(why)
        if within:
            self._limits.expect_leave(within)
        else:
            self._let_go(job, why)

    def _write_timeout(self, job: Job) -> bool:
        """Write the outcome while the code still runs; False when it began to wait for others just before."""
        allowance = job.allowance
        if not isinstance(allowance, Allowance):
            return False
        (refusal,) = self._courier.exchange([self._execution.failed(job, _seen(job, allowance.hard_error()))]).refused
        if refusal is not None and refusal.status is Status.PAUSED and refusal.claim == job.owner.claim:
            return False
        job.abandoned = True  # also when its own outcome came first, or somebody else's
        return True

    def _let_go(self, job: Job, why: str) -> None:
        with job.lock:
            if not job.in_user_code:
                return
            had_slot, job.has_slot = job.has_slot, False
        self._engine.logger.warning("%s; it is left behind, and its slot serves others", why)
        self._slots.no_longer_alone(job)
        self._holdings.drop(job.invocation_id, job.owner.claim)
        if had_slot:
            self._slots.release()


def _seen(job: Job, error: HardTimeoutError) -> HardTimeoutError:
    """Note in an error where the code of a job is at this moment."""
    frame = sys._current_frames().get(job.thread)  # noqa: SLF001 - the one way to see another thread's frames
    if frame is not None and job.stop_coroutine is None:
        error.add_note("It was here and did not end:\n" + "".join(traceback.format_stack(frame)))
    return error
