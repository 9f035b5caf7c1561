"""Runs invocations in the slots of one process, each on a thread of its own; one that waits for others gives its slot up.

A slot is taken before work is claimed for it and passes, with the claim that settles a result, from one invocation to
the next. An invocation that waits keeps its thread but not its slot. When what it waits for is final it takes a slot
again before anything new is claimed, so no more than the allowed number ever run at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

import attrs

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.errors.runners import UnknownTaskError
from pynenc_core.model import Ask, Change, ClaimReply, InvocationRecord, Query, RunnerContext, Signal, SignalKind
from pynenc_core.orchestration.courier import Courier
from pynenc_core.orchestration.current import Job, running_job
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.execution import Execution, interrupt
from pynenc_core.orchestration.pausing import Pausing
from pynenc_core.orchestration.slots import Slots
from pynenc_core.orchestration.threads import WorkThreads
from pynenc_core.orchestration.transitions import change
from pynenc_core.orchestration.waiting import Interest, Interests
from pynenc_core.status import OWNED, Status

_LAST_WORDS = 5.0  # seconds for which a stopping executor tries to reach a store that is away
_NOT_ALLOWED_LOOK = 0.5  # seconds between looks while this runner could not renew its lease


class ThreadExecutor:
    """The one executor; see the module. Made for one start: it is not started again after `drain`."""

    def __init__(self, engine: Engine, context: RunnerContext, slots: int, may_claim: Callable[[], bool], runner: object) -> None:
        self._engine = engine
        self._context = context
        self._may_claim = may_claim
        self._runner = runner
        self._execution = Execution(engine)
        self._courier = Courier(engine, self._ask, self._note_reply)
        self._slots = Slots(slots)
        self._pausing = Pausing(engine, self._slots, self._courier, self._start_claimed)
        self._outside = Interests(engine.state, engine.clock)
        self._threads: WorkThreads[Job] = WorkThreads(self._run_chain, keep=slots)
        self._claimer = threading.Thread(target=self._claim_loop, name="pynenc-claimer", daemon=True)
        self._jobs: dict[str, Job] = {}
        self._held: set[str] = set()
        """What this process owns: the jobs, and what was claimed and is not a job yet, or never becomes one."""
        self._suspects: list[InvocationRecord] = []
        self._dry = False
        """The last claim brought less than it asked for, and nobody has announced work since."""
        self._next_due: float | None = None

    # What a runner sees.

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
        self._claimer.start()

    def stop_claiming(self) -> None:
        """Take nothing new from now on; what runs goes on."""
        self._slots.close()
        self._engine.dispatcher.wake()

    def drain(self, grace: float, hurry: threading.Event) -> int:
        """Wait up to `grace` seconds (or until `hurry`) for what runs, hand back the rest; return how many went back.

        What waits for others is handed back as soon as nothing runs here: it might wait for ever.
        """
        self.stop_claiming()
        deadline = self._engine.clock.monotonic() + grace
        with self._slots.changed:
            while self._slots.taken and not hurry.is_set():
                left = deadline - self._engine.clock.monotonic()
                if left <= 0:
                    break
                self._slots.changed.wait(min(left, 0.1))  # short: who sets `hurry` does not know this condition
            jobs = [job for job in self._jobs.values() if not job.abandoned]
            for job in jobs:
                job.abandoned = True
        handed = [*(self._kill(job) for job in jobs), *(self._give_back(record) for record in self._suspects)]
        self._suspects.clear()
        self._say_last_words(handed)
        self._threads.close()
        return len(handed)

    def wait_for(self, invocation_ids: Collection[str], timeout: float | None) -> frozenset[str]:
        """Give the slot of the calling invocation up until one of these is final; return which are, () at the timeout.

        Raises WaitDepthError when too many wait in this process already, ConcurrencyDeadlockError when they wait for each
        other, InvocationStatusOwnershipError when this execution was taken over, TaskCancelled when it was cancelled.
        """
        job = running_job.get()
        if job is None:
            return self._outside.wait(invocation_ids, timeout)
        return self._pausing.wait(job, invocation_ids, timeout)

    def deliver(self, signals: Sequence[Signal]) -> None:
        """Hand requests to the invocations they are for; those that are not here are passed over."""
        for signal in signals:
            job = self._jobs.get(signal.invocation_id)
            if job is None:
                continue
            with job.lock:
                known, job.interrupt = job.interrupt, signal
            if known is None:
                # On a thread of its own: heartbeats bring signals, and nothing may delay those.
                threading.Thread(target=self._answer, args=(job, signal), name="pynenc-signal", daemon=True).start()

    # Claiming.

    def _ask(self, want: int) -> Ask:
        limits = self._engine.runner_settings
        return Ask(
            runner_id=self._context.runner_id,
            limit=want,
            start=want,
            queues=limits.queues,
            known_tasks=self._engine.tasks.ids,
            awaited_only=self._slots.paused >= max(1, limits.max_paused_per_worker // 4),
        )

    def _note_reply(self, reply: ClaimReply, want: int) -> None:
        if want:
            self._dry = len(reply.claimed) < want
            self._next_due = reply.next_due
        self._held.update(record.invocation_id for record in reply.claimed)
        if reply.signals:
            self.deliver(reply.signals)

    def _claim_loop(self) -> None:
        while True:
            with self._slots.changed:
                while not self._slots.closed and not self._has_reason_to_claim():
                    self._slots.changed.wait(_NOT_ALLOWED_LOOK if not self._may_claim() else None)
                if self._slots.closed:
                    return
                suspect = self._suspects.pop(0) if self._suspects and self._slots.reserve_alone() else None
                want = 0 if suspect or self._dry else self._slots.reserve_for_claim()
            try:
                if suspect is not None:
                    self._run_alone(suspect)
                elif want:
                    self._claim(want)
                else:
                    self._await_work()
            except BackendUnavailableError:
                return  # the courier gave up: this process ends
            except Exception:
                self._engine.logger.exception("runner %s could not claim; it goes on", self._context.runner_id)

    def _has_reason_to_claim(self) -> bool:
        if self._suspects and self._slots.free == self._slots.count:
            return True
        return self._slots.free > 0 and self._slots.open_to_new() and self._may_claim()

    def _claim(self, want: int) -> None:
        claimed: Sequence[InvocationRecord] = ()
        try:
            if self._courier.in_doubt:
                self._reconcile()
            claimed = self._courier.exchange(want=want).claimed
        finally:
            started = self._take_in(claimed)
            if len(started) < want:
                self._slots.release(want - len(started))
        for job in started:
            self._threads.hand(job)

    def _await_work(self) -> None:
        timeout = self._engine.runner_settings.idle_claim_timeout_sec
        if self._next_due is not None:
            timeout = min(timeout, max(0.0, self._next_due - self._engine.state.now()))
        try:
            self._engine.dispatcher.await_work(self._engine.runner_settings.queues, timeout)
        except BackendUnavailableError as error:
            self._engine.logger.warning("runner %s waits for its store: %s", self._context.runner_id, error)
            with self._slots.changed:
                self._slots.changed.wait(_NOT_ALLOWED_LOOK)
        self._dry = False

    def _start_claimed(self, claimed: Sequence[InvocationRecord]) -> None:
        started = self._take_in(claimed)
        if not started:
            self._slots.release()
        for job in started:
            self._threads.hand(job)

    def _take_in(self, claimed: Sequence[InvocationRecord]) -> list[Job]:
        started = []
        for record in claimed:
            if record.state.status is Status.RUNNING:
                job = self._jobs[record.invocation_id] = Job(record, self._context)
                started.append(job)
            elif record.state.suspect:
                with self._slots.changed:
                    self._suspects.append(record)
                    self._slots.suspects_waiting = True
                    self._slots.changed.notify_all()
            else:
                self._park(record)
        return started

    def _park(self, record: InvocationRecord) -> None:
        error = UnknownTaskError(record.invocation.task_id, self._engine.app_id)
        self._engine.logger.warning("invocation %s is parked: %s", record.invocation_id, error)
        owner = record.state.owner
        parked = change(record, (Status.PARKED,), by=self._context.runner_id, owner=owner, reason=str(error))
        self._drop(record.invocation_id)
        threading.Thread(target=self._courier.exchange, args=([parked],), name="pynenc-park", daemon=True).start()

    def _drop(self, invocation_id: str) -> None:
        self._jobs.pop(invocation_id, None)
        self._held.discard(invocation_id)

    # Running.

    def _run_chain(self, first: Job) -> None:
        job: Job | None = first
        while job is not None:
            job = self._run_one(job)

    def _run_one(self, job: Job) -> Job | None:
        outcome: Change | None = None
        try:
            outcome = self._execution.run(job, self._runner)
            if job.paused:  # a thread or coroutine of its own still waits, but the task itself has ended
                self._pausing.resume(job)
        except Exception:
            self._engine.logger.exception("invocation %s is left to recovery after an error of the executor", job.invocation_id)
            self._courier.in_doubt = True
        return self._settle(job, outcome)

    def _settle(self, job: Job, outcome: Change | None) -> Job | None:
        if isinstance(job.interest, Interest):
            job.interest.close()
        self._slots.no_longer_alone(job)
        with self._slots.changed:
            want = 1 if job.has_slot and self._slots.open_to_new() and self._may_claim() else 0
        claimed: Sequence[InvocationRecord] = ()
        try:
            delivery = self._courier.exchange([outcome] if outcome is not None and not job.abandoned else (), want=want)
            claimed = delivery.claimed
            if any(delivery.refused):
                self._engine.logger.info("the outcome of invocation %s came too late: somebody else owns it now", job.invocation_id)
        except BackendUnavailableError as error:
            self._engine.logger.warning("the outcome of invocation %s is lost to recovery: %s", job.invocation_id, error)
        self._drop(job.invocation_id)
        started = self._take_in(claimed)
        if started:
            return started[0]
        if job.has_slot:
            self._slots.release()
        return None

    def _run_alone(self, record: InvocationRecord) -> None:
        job: Job | None = None
        try:
            if not self._courier.exchange(start=[record.invocation_id]).not_started:
                running = attrs.evolve(record, state=attrs.evolve(record.state, status=Status.RUNNING))
                job = self._jobs[record.invocation_id] = Job(running, self._context)
                self._slots.stands_alone(job)
        finally:
            with self._slots.changed:
                self._slots.suspects_waiting = bool(self._suspects)
            if job is None:
                self._drop(record.invocation_id)
                self._slots.release()
        if job is not None:
            self._threads.hand(job)

    # Handing back.

    def _answer(self, job: Job, signal: Signal) -> None:
        if signal.kind is SignalKind.CANCEL:
            status = Status.PAUSED if job.paused else Status.RUNNING
            record = attrs.evolve(job.record, state=attrs.evolve(job.record.state, status=status))
            cancelled = change(record, (Status.CANCELLED,), by=signal.by or self._context.runner_id, owner=job.owner, reason=signal.reason)
            if any(self._courier.exchange([cancelled]).refused):
                return  # its own outcome came first
            job.abandoned = True
        if isinstance(job.interest, Interest):
            job.interest.interrupt()
        self._slots.tell()
        interrupt(job)

    def _kill(self, job: Job) -> Change:
        status = Status.PAUSED if job.paused else Status.RUNNING
        record = attrs.evolve(job.record, state=attrs.evolve(job.record.state, status=status))
        through = (Status.KILLED, Status.REROUTED)
        return change(record, through, by=self._context.runner_id, owner=job.owner, interruptions=1, reason="its runner stopped")

    def _give_back(self, record: InvocationRecord) -> Change:
        through = (Status.REROUTED,) if record.state.status is Status.PENDING else (Status.KILLED, Status.REROUTED)
        return change(record, through, by=self._context.runner_id, owner=record.state.owner, reason="never started here")

    def _reconcile(self) -> None:
        """Hand back what the store says is ours and nobody here knows of: claimed by a call whose reply was lost."""
        self._courier.in_doubt = False
        with self._courier.nothing_in_flight():
            mine = self._engine.state.find(Query(runner_id=self._context.runner_id, statuses=OWNED), limit=1000)
            lost = [self._give_back(record) for record in mine if record.invocation_id not in self._held]
        if lost:
            self._courier.exchange(lost)
            self._engine.logger.warning("%d invocations were claimed by a call whose reply was lost; handed back", len(lost))

    def _say_last_words(self, handed: Sequence[Change]) -> None:
        patience = threading.Timer(_LAST_WORDS, self._courier.give_up)
        patience.daemon = True
        patience.start()
        try:
            if handed:
                self._courier.exchange(handed)
                self._engine.logger.info("%d invocations were handed back by %s", len(handed), self._context.runner_id)
            if self._courier.in_doubt:
                self._reconcile()
        except BackendUnavailableError as error:
            self._engine.logger.warning("%d invocations of %s are left to recovery: %s", len(handed), self._context.runner_id, error)
        finally:
            patience.cancel()
            self._courier.give_up()
