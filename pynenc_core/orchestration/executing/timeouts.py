"""How long the code of an attempt may run: clocks that stand still while it waits for others, and one thread that watches them all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import StrEnum

import attrs

from pynenc_core.config import TaskSettings
from pynenc_core.errors.invocations import HardTimeoutError, SoftTimeoutError
from pynenc_core.orchestration.current import Job
from pynenc_core.ports.clock import Clock
from pynenc_core.ports.gauge import Gauge

_ENDING = 0.3  # seconds that code has for ending once it was told that its hard limit is over
_NEVER = float("inf")


class Overrun(StrEnum):
    """What a job has run into."""

    SOFT = "soft"
    HARD = "hard"
    STUCK = "stuck"
    """It was told to end, and did not in the time that it was given."""


@attrs.define(eq=False)
class Allowance:
    """What one attempt may take of time, and what it has used. All seconds are of the monotonic clock."""

    job: Job
    limits: TimeLimits
    soft: float
    """0: no limit, as is that of `hard`."""
    hard: float
    used: float = 0.0
    """Before it last began or went on."""
    runs_since: float | None = None
    """None while its time stands still."""
    soft_told: bool = False
    hard_told: bool = False

    def soft_due(self) -> float:
        """Return when the soft limit will be over, if nothing is waited for."""
        return _NEVER if self.runs_since is None or not self.soft or self.soft_told else self.runs_since - self.used + self.soft

    def hard_due(self) -> float:
        """Return when the hard limit will be over, if nothing is waited for."""
        return _NEVER if self.runs_since is None or not self.hard or self.hard_told else self.runs_since - self.used + self.hard

    def soft_error(self) -> SoftTimeoutError:
        """Return what is raised inside the task."""
        return SoftTimeoutError(self.job.invocation_id, self.job.record.invocation.task_id, self.soft)

    def hard_error(self) -> HardTimeoutError:
        """Return the outcome of an attempt that took too long."""
        return HardTimeoutError(self.job.invocation_id, self.job.record.invocation.task_id, self.hard)

    def begin(self) -> None:
        """Note that the job's own code starts now."""
        self.limits.run(self)

    def end(self) -> None:
        """Note that it has ended. Raises HardTimeoutError when that came too late, whoever has noticed it by now."""
        if self.limits.stop(self) and not (self.job.abandoned or self.job.cancel_requested):
            raise self.hard_error()

    def hold(self) -> None:
        """Let its time stand still: the job is PAUSED."""
        self.limits.hold(self)

    def go_on(self) -> None:
        """Let its time run again."""
        if self.runs_since is None and self.job.in_user_code:
            self.limits.run(self)


class TimeLimits:
    """The clocks of one process's jobs."""

    overran: Callable[[Job, Overrun], None]
    """Told of what overruns, each time in a thread of its own; to be set before the first job begins."""

    def __init__(self, clock: Clock, gauge: Gauge) -> None:
        self._clock = clock
        self._gauge = gauge
        self._changed = threading.Condition()
        self._running: dict[Job, Allowance] = {}
        self._ending: dict[Job, float] = {}
        """By when code that was told to end must have ended."""
        self._shown: tuple[float, Job | None] = (_NEVER, None)
        """What the gauge shows: when something must have ended, and which job."""
        self._leaving = _NEVER
        """By when this process must have ended."""
        self._wakes_at = _NEVER
        self._thread: threading.Thread | None = None
        self._closed = False

    def allow(self, job: Job, options: TaskSettings) -> None:
        """Let the limits of its task hold for a job."""
        if options.timeout or options.soft_timeout:
            job.allowance = Allowance(job, self, options.soft_timeout, options.timeout)

    def run(self, allowance: Allowance) -> None:
        """Let the time of a job run from now on."""
        with self._changed:
            allowance.runs_since = self._clock.monotonic()
            self._running[allowance.job] = allowance
            self._look_at(min(allowance.soft_due(), allowance.hard_due()))

    def hold(self, allowance: Allowance) -> None:
        """Let the time of a job stand still; what was about to end it waits until it goes on."""
        with self._changed:
            self._count(allowance)
            if allowance.hard_told and not allowance.job.abandoned:
                allowance.hard_told = allowance.job.timed_out = False
                self._ending.pop(allowance.job, None)
            self._show()

    def stop(self, allowance: Allowance) -> bool:
        """Forget a job, whose code has ended; return whether it took longer than its hard limit."""
        with self._changed:
            self._count(allowance)
            self._running.pop(allowance.job, None)
            self._ending.pop(allowance.job, None)
            if self._shown[1] is allowance.job:
                self._show()
            return allowance.hard_told or 0.0 < allowance.hard <= allowance.used

    def forget(self, job: Job) -> None:
        """Forget a job, also one that has no limits."""
        if job in self._running or job in self._ending:
            with self._changed:
                self._running.pop(job, None)
                self._ending.pop(job, None)
                self._show()

    def soft_again(self, job: Job) -> None:
        """Note that SoftTimeoutError could not be raised: the job waits for others. It is tried again when it goes on."""
        with self._changed:
            allowance = self._running.get(job)
            if allowance is not None:
                allowance.soft_told = False
                self._look_at(allowance.soft_due())

    def expect_end(self, job: Job, within: float) -> None:
        """Tell that a job is stuck if its code has not ended so many seconds from now."""
        with self._changed:
            self._ending[job] = self._clock.monotonic() + within
            self._look_at(self._ending[job])

    def expect_leave(self, within: float) -> None:
        """Show that this process will be gone in so many seconds."""
        with self._changed:
            self._leaving = self._clock.monotonic() + within
            self._show()

    def turn(self, now: float) -> tuple[list[tuple[Job, Overrun]], float]:
        """Return what has overrun by now and was not returned before, and when to look again."""
        with self._changed:
            over: list[tuple[Job, Overrun]] = [(job, Overrun.STUCK) for job, by in self._ending.items() if by <= now]
            for job, _ in over:
                del self._ending[job]
            for job, allowance in self._running.items():
                if allowance.soft_due() <= now < allowance.hard_due():
                    allowance.soft_told = True
                    over.append((job, Overrun.SOFT))
                if allowance.hard_due() <= now:
                    allowance.hard_told = allowance.soft_told = True
                    self._ending[job] = now + _ENDING
                    over.append((job, Overrun.HARD))
            self._show()
            dues = (min(each.soft_due(), each.hard_due()) for each in self._running.values())
            self._wakes_at = min(*dues, *self._ending.values(), _NEVER, _NEVER)
            return over, self._wakes_at

    def close(self) -> None:
        """Watch nothing any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _count(self, allowance: Allowance) -> None:
        if allowance.runs_since is not None:
            allowance.used += self._clock.monotonic() - allowance.runs_since
            allowance.runs_since = None

    def _look_at(self, when: float) -> None:
        """Make sure that somebody looks then. Call it with `_changed` held."""
        if when < self._shown[0]:
            self._show()
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._watch, name="pynenc-timeouts", daemon=True)
            self._thread.start()
        elif when < self._wakes_at:
            self._changed.notify_all()

    def _show(self) -> None:
        """Show by when something must have ended, for a parent to see to it where no code of this process can run."""
        first, whose = self._leaving, None
        for job, allowance in self._running.items():
            if (due := allowance.hard_due()) < first:
                first, whose = due, job
        for job, by in self._ending.items():
            if by < first:
                first, whose = by, job
        if (first, whose) != self._shown:
            self._shown = first, whose
            self._gauge.show_deadline(0.0 if first == _NEVER else first, whose.invocation_id if whose is not None else "")

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                over, wakes_at = self.turn(self._clock.monotonic())
                for job, what in over:
                    # On threads of their own: one may have to wait for the store, or for code to leave a call to us.
                    threading.Thread(target=self.overran, args=(job, what), name="pynenc-timeout", daemon=True).start()
                if not over:
                    self._changed.wait(None if wakes_at == _NEVER else max(0.0, wakes_at - self._clock.monotonic()))
