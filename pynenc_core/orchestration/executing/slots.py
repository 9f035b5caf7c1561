"""Counts the slots of one process, and says who takes the next free one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from pynenc_core.orchestration.current import Job
from pynenc_core.ports.gauge import Gauge


class Slots:
    """So many invocations run at once. One that resumes comes before new work, and a suspect runs with nobody beside it."""

    def __init__(self, count: int, gauge: Gauge) -> None:
        self._gauge = gauge
        self.count = count
        self.changed = threading.Condition()
        """Held while reading or changing anything here; told of every change."""
        self.free = count
        self.paused = 0
        self.closed = False
        """No new work any more; what is paused may still resume."""
        self.suspects_waiting = False
        """Nothing new is taken until everything here is free, so that a suspect can run alone."""
        self._resuming: deque[Job] = deque()
        self._alone: Job | None = None
        self._about_to_be_alone = False
        self._awaiting: dict[str, Job] = {}
        """By what it waits for: a paused job that waits for nothing else."""
        self._promised: set[Job] = set()
        """Jobs that are about to resume, since the one thing they wait for is final; the slot of that one is theirs."""

    @property
    def taken(self) -> int:
        """How many slots are taken, by what runs or by a claim on its way."""
        return self.count - self.free

    def count_paused(self, step: int) -> None:
        """Note that one begins (1) or ceases (-1) to wait for others. Call it with `changed` held."""
        self.paused += step
        self._gauge.show_paused(self.paused)

    def open_to_new(self) -> bool:
        """Return whether a slot that is free, or about to be, may go to new work. Call it with `changed` held."""
        return not (self.closed or self.suspects_waiting or self._resuming or self._promised or self._is_alone)

    def reserve_for_claim(self) -> int:
        """Take every free slot for a claim; 0 when none may go to new work. Call it with `changed` held."""
        if not self.open_to_new():
            return 0
        count, self.free = self.free, 0
        return count

    def reserve_alone(self) -> bool:
        """Take all slots for a suspect, if all are free. Call it with `changed` held."""
        if self.free < self.count or self._resuming or self._is_alone or self.closed:
            return False
        self.free = self.count - 1
        self._about_to_be_alone = True
        return True

    @property
    def _is_alone(self) -> bool:
        return self._alone is not None or self._about_to_be_alone

    def nobody_alone(self) -> None:
        """Note that the suspect for which all slots were taken does not run."""
        with self.changed:
            self._about_to_be_alone = False

    def stands_alone(self, job: Job) -> None:
        """Let nobody run beside this job, which holds a slot."""
        with self.changed:
            self._alone, self._about_to_be_alone = job, False

    def awaits_one(self, job: Job, wanted: Sequence[str]) -> None:
        """Note what a job that pauses waits for: if it is one thing only, the job goes on as soon as that is final.

        With nothing wanted, forget that it waits.
        """
        with self.changed:
            for known in [known for known, waiting in self._awaiting.items() if waiting is job]:
                del self._awaiting[known]
            if len(wanted) == 1:
                self._awaiting[wanted[0]] = job
            if job in self._promised:
                self._promised.discard(job)
                self.changed.notify_all()

    def awaited_alone(self, invocation_id: str) -> bool:
        """Return whether a paused job here goes on when this one is final: then its slot is not for new work."""
        return invocation_id in self._awaiting

    def promise(self, invocation_id: str) -> None:
        """Keep the slot of an invocation that is final now for the job that waited for it."""
        with self.changed:
            job = self._awaiting.pop(invocation_id, None)
            if job is not None and job.paused and not job.abandoned:
                self._promised.add(job)

    def release(self, count: int = 1) -> None:
        """Give slots back."""
        with self.changed:
            self.free += count
            self.changed.notify_all()

    def no_longer_alone(self, job: Job) -> None:
        """Let others run beside this job again: it waits, or has ended."""
        with self.changed:
            if self._alone is job:
                self._alone = None
                self.changed.notify_all()

    def take_for_resume(self, job: Job) -> bool:
        """Block until the job has a slot again, in the order of asking; False when it was abandoned meanwhile."""
        with self.changed:
            self._promised.discard(job)
            self._resuming.append(job)
            try:
                while not job.abandoned and not (self._resuming[0] is job and self.free > 0 and not self._is_alone):
                    self.changed.wait()
                if job.abandoned:
                    return False
                self.free -= 1
                return True
            finally:
                self._resuming.remove(job)
                self.changed.notify_all()

    def rest(self, seconds: float) -> None:
        """Wait for any change, at most so long."""
        with self.changed:
            self.changed.wait(seconds)

    def tell(self) -> None:
        """Wake everybody who waits for a change: something they look at has changed elsewhere."""
        with self.changed:
            self.changed.notify_all()

    def close(self) -> None:
        """Let no new work in from now on."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
