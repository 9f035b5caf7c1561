"""Calls off invocations that run here: because somebody asked for it, or because their time is up."""

from __future__ import annotations

from collections.abc import Callable

from pynenc_core.errors.runners import TaskCancelled
from pynenc_core.model import Change, Refusal, Signal, SignalKind
from pynenc_core.orchestration.current import Job
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.executing.courier import Courier
from pynenc_core.orchestration.executing.execution import Execution
from pynenc_core.orchestration.executing.holdings import Holdings
from pynenc_core.orchestration.executing.interrupting import interrupt
from pynenc_core.orchestration.executing.overruns import Overruns
from pynenc_core.orchestration.executing.slots import Slots
from pynenc_core.orchestration.executing.timeouts import TimeLimits
from pynenc_core.status import Status

_ENDING = 5.0  # seconds that cancelled code has for ending before it counts as stuck


class CallingOff:
    """Tells code to end, and gives up the slots of what cannot be ended."""

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
        self._courier = courier
        self._slots = slots
        self._holdings = holdings
        self._limits = limits
        self._overruns = Overruns(engine, execution, limits, self._write, self._left_behind)
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

    def _write(self, outcome: Change) -> Refusal | None:
        return self._courier.exchange([outcome]).refused[0]

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

    # What does not end.

    def _left_behind(self, job: Job, why: str) -> None:
        """Do without the end of code that was told to end and did not: what stopped it may never return."""
        self.interrupt_waits(job)
        within = self._replace(why)
        if within:
            self._limits.expect_leave(within)
        else:
            self._let_go(job, why)

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
