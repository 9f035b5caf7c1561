"""What one process owns: the jobs it runs, and what it claimed and will not run."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress

import attrs

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.errors.base import PynencError
from pynenc_core.errors.records import RecordUnreadableError
from pynenc_core.errors.runners import UnknownTaskError
from pynenc_core.model import Change, InvocationRecord, Query, RunnerContext, Signal, SignalKind
from pynenc_core.orchestration.current import Job
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.executing.courier import Courier
from pynenc_core.orchestration.executing.timeouts import TimeLimits
from pynenc_core.ports.gauge import Gauge
from pynenc_core.ports.transitions import change
from pynenc_core.status import OWNED, Status

_Claim = tuple[str, int]
"""An invocation and the number of its claim."""


class Holdings:
    """The book of one executor, kept in step with the store."""

    def __init__(self, engine: Engine, context: RunnerContext, gauge: Gauge, limits: TimeLimits) -> None:
        self._limits = limits
        self._engine = engine
        self._gauge = gauge
        self._context = context
        self._lock = threading.Lock()
        self._jobs: dict[_Claim, Job] = {}
        self._known: set[_Claim] = set()
        """The jobs, and what was claimed and is not a job yet."""
        self.suspects: list[InvocationRecord] = []
        """Claimed, to be started when nothing else runs here."""

    def note(self, records: Iterable[InvocationRecord]) -> None:
        """Note what a claim brought, before anybody else can look."""
        with self._lock:
            self._known.update((record.invocation_id, record.state.claim) for record in records)

    def take_in(self, records: Sequence[InvocationRecord], courier: Courier) -> list[Job]:
        """Return the jobs to run now; keep suspects for later, set aside what this process has no task for."""
        jobs: list[Job] = []
        for record in records:
            if record.state.status is Status.RUNNING:
                jobs.append(self.begin(record))
            elif record.state.suspect:
                self.suspects.append(record)
            else:
                self._park(record, courier)
        return jobs

    def begin(self, record: InvocationRecord) -> Job:
        """Return the job of an invocation that is RUNNING."""
        job = Job(record, self._context, self._engine)
        job.interrupt = _cancel_request(record)
        if (definition := self._engine.tasks.get(record.invocation.task_id)) is not None:
            self._limits.allow(job, definition.options)
        claim = (record.invocation_id, record.state.claim)
        with self._lock:
            self._jobs[claim] = job
            self._known.add(claim)
            self._gauge.show_jobs(len(self._jobs))
        return job

    def drop(self, invocation_id: str, claim: int) -> None:
        """Forget what is settled, or somebody else's; by its claim, since the invocation may be here again under a newer one."""
        with self._lock:
            job = self._jobs.pop((invocation_id, claim), None)
            self._known.discard((invocation_id, claim))
            self._gauge.show_jobs(len(self._jobs))
        if job is not None:
            self._limits.forget(job)

    def settled(self, changes: Iterable[Change]) -> None:
        """Forget what these changes released."""
        for each in changes:
            self.drop(each.invocation_id, each.expect.claim)

    def keep(self, job: Job) -> None:
        """Note that a job has ended and that its outcome is kept for later: it is no job any more, and ours all the same."""
        with self._lock:
            self._jobs.pop((job.invocation_id, job.owner.claim), None)
        self._limits.forget(job)

    def next_suspect(self, invocation_id: str = "") -> InvocationRecord | None:
        """Take the first suspect that waits for its turn, or that one; None when there is none."""
        with self._lock:
            for index, record in enumerate(self.suspects):
                if invocation_id in {"", record.invocation_id}:
                    return self.suspects.pop(index)
        return None

    def cancel_suspect(self, record: InvocationRecord, asked: Signal, courier: Courier) -> None:
        """Answer a request to cancel a suspect that was taken by `next_suspect` and will not run."""
        cancelled = change(record, (Status.CANCELLED,), by=asked.by, owner=record.state.owner, reason=asked.reason)

        def send() -> None:
            with suppress(BackendUnavailableError):  # this process ends: recovery reads the request
                courier.exchange([cancelled])
                self.drop(record.invocation_id, record.state.claim)

        threading.Thread(target=send, name="pynenc-signal", daemon=True).start()

    def job(self, invocation_id: str) -> Job | None:
        """Return the job of an invocation, if it runs or waits here; of several claims the newest one's."""
        with self._lock:
            mine = [job for (known, _), job in self._jobs.items() if known == invocation_id]
        return max(mine, key=lambda job: job.owner.claim, default=None)

    def jobs(self) -> list[Job]:
        """Return the jobs that run or wait here."""
        with self._lock:
            return list(self._jobs.values())

    def still_at_it(self) -> int:
        """Return how many slots are taken by code whose outcome counts no more: cancelled, or taken over."""
        with self._lock:
            return sum(1 for job in self._jobs.values() if job.abandoned and job.has_slot)

    def abandon_all(self) -> list[Change]:
        """Take everything away from its execution; return the changes that hand it back."""
        with self._lock:
            jobs = [job for job in self._jobs.values() if not job.abandoned]
            for job in jobs:
                job.abandoned = True
            suspects, self.suspects = self.suspects, []
        return [*(self.killed(job) for job in jobs), *(self._given_back(record) for record in suspects)]

    def killed(self, job: Job) -> Change:
        """Return the change that hands back a job that was begun; it counts as an interruption."""
        return self._change(job, (Status.KILLED, Status.REROUTED), interruptions=1, reason="its runner stopped")

    def not_begun(self, job: Job) -> Change:
        """Return the change that hands back a job that was claimed ahead and not begun."""
        return self._change(job, (Status.KILLED, Status.REROUTED), reason="never begun here")

    def cancelled(self, job: Job, asked: Signal, *, paused: bool) -> Change:
        """Return the change that answers a request to cancel."""
        return self._change(job, (Status.CANCELLED,), by=asked.by, reason=asked.reason, paused=paused)

    def reconcile(self, courier: Courier) -> None:
        """Hand back what the store says is ours and nobody here knows of: claimed by a call whose reply was lost."""
        with courier.nothing_in_flight():
            mine = self._engine.state.find(Query(runner_id=self._context.runner_id, statuses=OWNED), limit=1000)
            lost = [self._given_back(record) for record in mine if (record.invocation_id, record.state.claim) not in self._known]
            courier.in_doubt = False
        if lost:
            courier.exchange(lost)
            self._engine.logger.warning("%d invocations were claimed by a call whose reply was lost; handed back", len(lost))

    def _park(self, record: InvocationRecord, courier: Courier) -> None:
        to, error = unrunnable(record, self._engine.app_id)
        self._engine.logger.warning("invocation %s is %s: %s", record.invocation_id, to.lower(), error)
        parked = change(record, (to,), by=self._context.runner_id, owner=record.state.owner, reason=str(error))
        self.drop(record.invocation_id, record.state.claim)

        def send() -> None:
            with suppress(BackendUnavailableError):  # this process ends: it is left to recovery
                courier.exchange([parked])

        # On a thread of its own: whoever took this in has the results of others to hand over first.
        threading.Thread(target=send, name="pynenc-park", daemon=True).start()

    def _given_back(self, record: InvocationRecord) -> Change:
        through = (Status.REROUTED,) if record.state.status is Status.PENDING else (Status.KILLED, Status.REROUTED)
        return change(record, through, by=self._context.runner_id, owner=record.state.owner, reason="never begun here")

    def _change(
        self,
        job: Job,
        through: Sequence[Status],
        *,
        by: str = "",
        interruptions: int = 0,
        reason: str = "",
        paused: bool | None = None,
    ) -> Change:
        status = Status.PAUSED if (job.paused if paused is None else paused) else Status.RUNNING
        record = attrs.evolve(job.record, state=attrs.evolve(job.record.state, status=status))
        return change(record, through, by=by or self._context.runner_id, owner=job.owner, interruptions=interruptions, reason=reason)


def _cancel_request(record: InvocationRecord) -> Signal | None:
    """Return a request to cancel that nobody has answered yet: its attempt ended before it heard of it."""
    signal = record.side.signal
    return signal if signal is not None and signal.kind is SignalKind.CANCEL else None


def unrunnable(record: InvocationRecord, app_id: str) -> tuple[Status, PynencError]:
    """Return what becomes of an invocation that this process has no task for, and why."""
    if not record.invocation.task_id:
        return Status.QUARANTINED, RecordUnreadableError(record.invocation_id)
    return Status.PARKED, UnknownTaskError(record.invocation.task_id, app_id)
