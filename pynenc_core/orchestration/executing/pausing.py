"""How a running invocation waits for others: it is PAUSED, its slot is free, and it takes one again before it goes on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import cast

import attrs

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.errors.invocations import ConcurrencyDeadlockError, InvocationStatusOwnershipError, WaitDepthError
from pynenc_core.errors.runners import TaskCancelled
from pynenc_core.model import Change, InvocationRecord, Refusal, SignalKind
from pynenc_core.orchestration.circles import ask_youngest, circle_through
from pynenc_core.orchestration.current import Job
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.executing.courier import Courier
from pynenc_core.orchestration.executing.slots import Slots
from pynenc_core.orchestration.waiting import Interest
from pynenc_core.ports.runtime import Hold
from pynenc_core.ports.transitions import change, raise_refusal
from pynenc_core.status import Status

_RANK_STEP = 1e-3  # seconds of rank by which awaited work comes before who waits for it
_CIRCLE_LOOK = 0.25  # seconds a wait lasts before somebody looks whether it can ever end: most are over by then
_CIRCLE_LOOK_MOST = 60.0  # seconds between later looks: a place beside a key may have closed the circle since


class Pausing:
    """The waits of the jobs of one executor."""

    def __init__(
        self,
        engine: Engine,
        slots: Slots,
        courier: Courier,
        want: Callable[[], int],
        pass_on: Callable[[Job, Sequence[InvocationRecord], Sequence[Job]], None],
        settled: Callable[[Sequence[Change]], None],
    ) -> None:
        """`want` says how many to claim for a slot that a pause frees; `pass_on` lets them run on it, or gives it back.

        `settled` is told of kept outcomes that went along with a pause.
        """
        self._engine = engine
        self._slots = slots
        self._courier = courier
        self._want = want
        self._pass_on = pass_on
        self._settled = settled
        self._most = engine.runner_settings.max_paused_per_worker
        self.hold: Hold | None = None
        """How to wait where the whole process may be stopped meanwhile."""

    def wait(self, job: Job, invocation_ids: Collection[str], timeout: float | None, linger: float) -> frozenset[str]:
        """Wait as `Executor.wait_for` says, in the thread of `job` or one that it started."""
        if job.invocation_id in invocation_ids:
            raise ConcurrencyDeadlockError(job.invocation_id, (job.invocation_id,))
        interest = self.open(job, invocation_ids)
        try:
            arrived = interest.wait(invocation_ids, 0)
            if arrived or timeout == 0:
                return arrived
            if not self.begin(job, invocation_ids):
                return interest.wait(invocation_ids, timeout, linger)
            try:
                return self.wait_paused(job, interest, invocation_ids, timeout, linger)
            finally:
                self.end(job)
        finally:
            interest.in_use = False

    def open(self, job: Job, invocation_ids: Collection[str]) -> Interest:
        """Return an interest in these, for one waiter: it is in use until somebody says otherwise."""
        with job.lock:
            for known in job.interests:
                if not (known.in_use or known.interrupted) and known.covers(invocation_ids):
                    known.in_use = True
                    return cast("Interest", known)
        made = Interest(self._engine.state, self._engine.clock, invocation_ids)  # not under the lock: heartbeats take it too
        made.in_use = True
        with job.lock:
            idle = [known for known in job.interests if not known.in_use]
            job.interests = [*(known for known in job.interests if known.in_use), made]
            too_late = job.abandoned or job.interrupt is not None
        for known in idle:
            known.close()
        if too_late:
            made.interrupt()
        return made

    def begin(self, job: Job, invocation_ids: Collection[str]) -> bool:
        """Pause the job, or note what else it waits for; False for a thread that outlived its task, which may just block.

        When it is True, `end` has to follow.
        """
        with job.pausing:
            if job.abandoned or job.timed_out:
                raise TaskCancelled(job.invocation_id)
            if job.ended:
                return False
            if not job.paused:
                self._pause(job, tuple(invocation_ids))
            else:
                self._await_more(job, invocation_ids)
            job.waits += 1
            return True

    def go_on(self, job: Job, invocation_ids: Collection[str]) -> bool:
        """Note what else a job waits for, after `begin`; True."""
        with job.pausing:
            if job.paused:
                self._await_more(job, invocation_ids)
        return True

    def end(self, job: Job) -> None:
        """Take a slot again, unless others of its threads wait: then it stays paused, or they would hold a slot."""
        with job.pausing:
            job.waits -= 1
            if job.waits == 0:
                self.resume(job)

    def _await_more(self, job: Job, invocation_ids: Collection[str]) -> None:
        if job.awaits.issuperset(invocation_ids):
            return
        # Written like the first ones: awaited work may be all that is claimed, and a circle may go through it.
        awaits = job.awaits.union(invocation_ids)
        again = self._paused_record(job)
        more = change(
            again,
            (Status.RUNNING, Status.PAUSED),
            by=job.context.runner_id,
            owner=job.owner,
            awaits=tuple(sorted(awaits)),
            boost=self._boost(job),
        )
        self._must_be_written(job, more, self._courier.exchange([more]).refused[0])
        self._slots.awaits_one(job, ())
        job.awaits = awaits

    def wait_paused(self, job: Job, interest: Interest, wanted: Collection[str], timeout: float | None, linger: float) -> frozenset[str]:
        """Wait as `Interest.wait` does, between `begin` and `end`; raises ConcurrencyDeadlockError when it could never end."""
        if self.hold is not None:
            return self._wait_held(job, interest, wanted, timeout, linger, self.hold)
        clock, look = self._engine.clock, _CIRCLE_LOOK
        deadline = None if timeout is None else clock.monotonic() + timeout
        while True:
            left = None if deadline is None else deadline - clock.monotonic()
            arrived = interest.wait(wanted, look if left is None else min(look, max(0.0, left)), linger)
            if arrived or interest.interrupted or job.interrupt is not None or (left is not None and left <= look):
                return arrived
            look = min(look * 4, _CIRCLE_LOOK_MOST)
            with suppress(BackendUnavailableError):  # there will be another look
                self._break_circle(job)

    def _wait_held(
        self,
        job: Job,
        interest: Interest,
        wanted: Collection[str],
        timeout: float | None,
        linger: float,
        hold: Hold,
    ) -> frozenset[str]:
        with job.lock:
            job.interests.remove(interest)  # whoever waits next looks anew: this one learns nothing more
        interest.close()
        with self._courier.nothing_in_flight():
            self._engine.disconnect()
        coroutines = job.coroutine_waits is not None or job.stop_coroutine is not None
        return hold(wanted, timeout, linger, interest, coroutines=coroutines)

    def _break_circle(self, job: Job) -> None:
        circle = circle_through(self._engine.state, job.invocation_id)
        if circle is None:
            return
        if circle.youngest_waiter == job.invocation_id:
            raise ConcurrencyDeadlockError(job.invocation_id, circle.members)
        ask_youngest(self._engine.state, circle, job.context.runner_id)

    def _pause(self, job: Job, wanted: tuple[str, ...]) -> None:
        with self._slots.changed:
            if self._slots.paused >= self._most:
                raise WaitDepthError(job.invocation_id, self._most)
            self._slots.count_paused(1)
        kept, ahead = job.chain.unload()
        self._slots.awaits_one(job, wanted)
        boost = self._boost(job)
        paused = change(job.record, (Status.PAUSED,), by=job.context.runner_id, owner=job.owner, awaits=wanted, boost=boost)
        try:
            delivery = self._courier.exchange([*kept, paused], want=0 if ahead else self._want())
        except BaseException:
            self._slots.awaits_one(job, ())
            with self._slots.changed:
                self._slots.count_paused(-1)
            raise
        self._settled(kept)
        refusal = delivery.refused[-1]
        with job.lock:
            job.paused, job.has_slot, job.awaits = refusal is None, False, frozenset(wanted)
        if job.paused and job.allowance is not None:
            job.allowance.hold()
        self._slots.no_longer_alone(job)
        self._pass_on(job, delivery.claimed, ahead)
        if refusal is not None:
            self._slots.awaits_one(job, ())
            with self._slots.changed:
                self._slots.count_paused(-1)
            self._must_be_written(job, paused, refusal)

    def finish(self, job: Job) -> None:
        """Note that the task has returned; one that is paused, since threads of its own still wait, goes on first."""
        with job.pausing:
            job.ended = True
            if not job.paused:
                return
            with suppress(TaskCancelled, ConcurrencyDeadlockError, InvocationStatusOwnershipError):  # nobody is left to hear it
                self.resume(job, needs_slot=False)  # it runs no more: it only has to be RUNNING to be settled

    def resume(self, job: Job, *, needs_slot: bool = True) -> None:
        """Take a slot again and become RUNNING; raises what a signal asks for, or that the execution was taken over.

        Call it with `job.pausing` held; does nothing for a job that is not paused.
        """
        if not job.paused:
            return
        goes_on = self._slots.take_for_resume(job) if needs_slot else not job.abandoned
        self._slots.awaits_one(job, ())
        with self._slots.changed:
            self._slots.count_paused(-1)
        with job.lock:
            job.paused, job.has_slot = False, goes_on and needs_slot
            signal = job.interrupt
        if not goes_on:
            raise TaskCancelled(job.invocation_id)
        resumed = change(self._paused_record(job), (Status.RUNNING,), by=job.context.runner_id, owner=job.owner)
        delivery = self._courier.exchange([resumed])
        self._must_be_written(job, resumed, delivery.refused[0])
        if job.allowance is not None:
            job.allowance.go_on()
        if signal is not None and signal.kind is SignalKind.DEADLOCK:
            raise ConcurrencyDeadlockError(job.invocation_id, signal.circle)

    def _boost(self, job: Job) -> float:
        return job.record.rank - _RANK_STEP

    def _paused_record(self, job: Job) -> InvocationRecord:
        return attrs.evolve(job.record, state=attrs.evolve(job.record.state, status=Status.PAUSED))

    def _must_be_written(self, job: Job, asked: Change, refusal: Refusal | None) -> None:
        if refusal is not None:
            job.abandoned = True
            raise_refusal(self._engine.app_id, asked, refusal)
