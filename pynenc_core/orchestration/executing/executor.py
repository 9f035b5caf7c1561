"""Runs invocations in the slots of one process, each on a thread of its own; one that waits for others gives its slot up.

A slot is taken before work is claimed for it and passes, with the claim that settles a result, from one invocation to
the next. An invocation that waits keeps its thread but not its slot. When what it waits for is final it takes a slot
again before anything new is claimed, so no more than the allowed number ever run at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from functools import partial

from pynenc_core.errors.backends import BackendError, BackendUnavailableError
from pynenc_core.model import Change, InvocationRecord, RunnerContext, Signal, SignalKind
from pynenc_core.orchestration.current import Job, running_job
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.executing.calling_off import CallingOff
from pynenc_core.orchestration.executing.claiming import Claiming
from pynenc_core.orchestration.executing.coroutine_waits import CoroutineWaits
from pynenc_core.orchestration.executing.coroutines import close_loop
from pynenc_core.orchestration.executing.courier import Courier
from pynenc_core.orchestration.executing.draining import drain
from pynenc_core.orchestration.executing.execution import Execution
from pynenc_core.orchestration.executing.holdings import Holdings
from pynenc_core.orchestration.executing.pausing import Pausing
from pynenc_core.orchestration.executing.settling import End, Settling
from pynenc_core.orchestration.executing.slots import Slots
from pynenc_core.orchestration.executing.threads import WorkThreads
from pynenc_core.orchestration.executing.timeouts import TimeLimits
from pynenc_core.orchestration.waiting import Interests
from pynenc_core.ports.gauge import Gauge
from pynenc_core.ports.runtime import Hold
from pynenc_core.status import OWNED

_LAST_WORDS = 5.0  # seconds for which a stopping executor tries to reach a store that is away


class ThreadExecutor:
    """The one executor; see the module. Made for one start: it is not started again after `drain`."""

    def __init__(
        self,
        engine: Engine,
        context: RunnerContext,
        slots: int,
        may_claim: Callable[[], bool],
        runner: object,
        gauge: Gauge,
        replace: Callable[[str], float] | None = None,
        *,
        idle_threads: int | None = None,
    ) -> None:
        """`replace` is told why this process should end, since code in it does not; without it the process stays.

        It returns within how many seconds the process will be gone, 0 where it stays after all. `idle_threads` is how many
        threads to keep for what comes next: as many as slots, unless it is given.
        """
        self._engine = engine
        self._context = context
        self._runner = runner
        self._gauge = gauge
        self._execution = Execution(engine)
        self._slots = Slots(slots, gauge)
        self._limits = TimeLimits(engine.clock, gauge)
        self._holdings = Holdings(engine, context, gauge, self._limits)
        self._claiming = Claiming(engine, context, self._slots, self._holdings, may_claim, gauge)
        self._courier = Courier(engine, self._claiming.ask, partial(self._claiming.note_reply, deliver=self.deliver))
        self._pausing = Pausing(engine, self._slots, self._courier, self._claiming.want_for_one, self._pass_slot_on, self._holdings.settled)
        self._calling_off = CallingOff(
            engine, self._execution, self._courier, self._slots, self._holdings, self._limits, replace or (lambda _: 0.0)
        )
        self._outside = Interests(engine.state, engine.clock, engine.logger)
        self._threads = WorkThreads(keep=slots if idle_threads is None else idle_threads, farewell=close_loop)
        self._settling = Settling(engine, self._slots, self._holdings, self._claiming, self._courier)
        self._claiming.attach(self._courier, self._hand, self._settling.relieve, self._settling.loaded)

    @property
    def running(self) -> int:
        """How many slots are taken, by what runs or by a claim on its way."""
        return self._slots.taken

    @property
    def paused(self) -> int:
        """How many invocations wait for others and hold no slot."""
        return self._slots.paused

    def start(self) -> None:
        """Begin to claim and to run."""
        self._gauge.show_jobs(0)
        self._claiming.start()

    def run_given(self, record: InvocationRecord, hold: Hold, ended: Callable[[], None]) -> None:
        """Run one invocation that somebody else has claimed for this executor, and claim nothing; `ended` is called afterwards.

        When it waits for others, it does so by `hold`, with no connection to the stores left open.
        """
        self._pausing.hold = hold
        with self._slots.changed:
            self._slots.close()
            self._slots.free -= 1
        first = self._settling.load([self._holdings.begin(record)])

        def run() -> None:
            self._run_on(first)
            ended()

        self._threads.hand(run)

    def stop_claiming(self) -> None:
        """Take nothing new from now on; what runs goes on."""
        self._slots.close()
        self._engine.dispatcher.wake()

    def drain(self, grace: float, hurry: threading.Event) -> int:
        """Wait up to `grace` seconds (or until `hurry`) for what runs, hand back the rest; return how many went back.

        What waits for others is handed back as soon as nothing runs here: it might wait for ever.
        """
        self.stop_claiming()
        drain(self._engine, self._slots, self._holdings, grace, hurry)
        jobs = self._holdings.jobs()
        handed = [*self._settling.unload(), *self._holdings.abandon_all()]
        for job in jobs:
            self._calling_off.interrupt_waits(job)
        self._limits.close()
        self._say_last_words(handed)
        self._threads.close()
        self._engine.dispatcher.wake()  # once more: who was about to wait when it was first called waits now
        self._claiming.join()
        return len(handed)

    def wait_for(self, invocation_ids: Collection[str], timeout: float | None, linger: float = 0.0) -> frozenset[str]:
        """Give the slot of the calling invocation up until one of these is final; return which are, () at the timeout.

        `linger` is for how many seconds to gather more before the invocation goes on, since each pause costs two writes.
        Raises WaitDepthError when too many wait in this process already, ConcurrencyDeadlockError when they wait for each
        other, InvocationStatusOwnershipError when this execution was taken over, TaskCancelled when it was cancelled.
        """
        job = running_job.get()
        if job is None:
            return self._outside.wait(invocation_ids, timeout)
        return self._pausing.wait(job, invocation_ids, timeout, linger)

    async def async_wait_for(self, invocation_ids: Collection[str], timeout: float | None, linger: float = 0.0) -> frozenset[str]:  # noqa: ASYNC109 - as its blocking twin takes it
        """Do as `wait_for` in a coroutine of a running invocation, of which any number may wait at once.

        A cancelled wait ends when the invocation has a slot again.
        """
        job = running_job.get()
        if job is None:
            import asyncio  # imported late: a process without coroutines never needs it

            return await asyncio.to_thread(self._outside.wait, invocation_ids, timeout)
        with job.lock:
            waits: CoroutineWaits = job.coroutine_waits or CoroutineWaits(job, self._pausing, self._engine.clock, self._threads.hand)
            job.coroutine_waits = waits
        return await waits.wait(invocation_ids, timeout, linger)

    def deliver(self, signals: Sequence[Signal]) -> None:
        """Hand requests to the invocations they are for; those that are not here are passed over. Each heartbeat calls it."""
        if self._engine.clock.monotonic() < self._claiming.rests_until and not self._courier.in_doubt:
            self._gauge.show_poll()  # with nothing to ask and no call that failed, an answered heartbeat is as good as a claim
        for signal in signals:
            job = self._holdings.job(signal.invocation_id)
            if job is None:
                if signal.kind is SignalKind.CANCEL and (suspect := self._claiming.give_up_suspect(signal.invocation_id)):
                    self._holdings.cancel_suspect(suspect, signal, self._courier)
                continue
            with job.lock:
                known, job.interrupt = job.interrupt, signal
            if known is None:
                # On a thread of its own: heartbeats bring signals, and nothing may delay those.
                threading.Thread(target=self._calling_off.answer, args=(job, signal), name="pynenc-signal", daemon=True).start()

    # Running.

    def _hand(self, jobs: Sequence[Job], slots: int) -> None:
        """Run jobs that were claimed together, on the slots that were reserved for them: at most one for each job."""
        self._begin([self._settling.load(jobs[first::slots]) for first in range(min(slots, len(jobs)))])

    def _pass_slot_on(self, job: Job, claimed: Sequence[InvocationRecord], ahead: Sequence[Job]) -> None:
        self._settling.pass_on(job, claimed, ahead, self._begin)

    def _begin(self, jobs: Sequence[Job]) -> None:
        """Run jobs beside each other, each on the slot that it has; whatever follows on these slots as well."""
        for job in self._for_threads(jobs):
            self._threads.hand(partial(self._run_on, job))

    def _run_on(self, first: Job) -> None:
        """Run a job in this thread, and what follows on its slot, as long as that belongs in a thread."""
        here: Sequence[Job] = [first]
        while here:
            job = here[0]
            began = self._engine.clock.monotonic()
            end = self._ended(job, partial(self._execution.run, job, self._runner), began)
            here = self._for_threads(self._settling.after([end]))

    def _for_threads(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Begin the jobs whose code runs elsewhere, and return the others; here there is no other place."""
        return jobs

    def _ended(self, job: Job, make: Callable[[], Change | None], began: float) -> End:
        """Return the end of a job with the outcome that `make` gives; where the store fails, the job is handed back."""
        outcome: Change | None = None
        try:
            outcome = make()
            self._pausing.finish(job)
        except BackendError:
            self._engine.logger.exception("invocation %s is handed back after an error of its store", job.invocation_id)
            self._courier.in_doubt = True
        except Exception as error:  # noqa: BLE001 - whatever it is, the slot goes on with something else
            outcome = self._execution.crashed(job, error)
            self._courier.in_doubt = True
        self._claiming.shortness.note(self._engine.clock.monotonic() - began)
        with job.lock:
            job.coroutine_waits = None  # else the two would keep each other alive
            idle = [interest for interest in job.interests if not interest.in_use]
        for interest in idle:
            interest.close()
        self._slots.no_longer_alone(job)
        return End(job, outcome)

    # The end.

    def _say_last_words(self, handed: Sequence[Change]) -> None:
        patience = threading.Timer(_LAST_WORDS, self._courier.give_up)
        patience.daemon = True
        patience.start()
        try:
            if handed:
                refused = self._courier.exchange(handed).refused
                if any(refusal is not None and refusal.status in OWNED for refusal in refused):
                    self._holdings.settled(handed)  # one began to wait, or went on, just now: what is still ours is looked for below
                    self._courier.in_doubt = True
                self._engine.logger.info("%d invocations were handed back by %s", len(handed), self._context.runner_id)
            if self._courier.in_doubt:
                self._holdings.reconcile(self._courier)
        except BackendUnavailableError as error:
            self._engine.logger.warning("%d invocations of %s are left to recovery: %s", len(handed), self._context.runner_id, error)
        finally:
            patience.cancel()
            self._courier.give_up()
