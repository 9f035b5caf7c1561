"""Claims for the free slots of a process, from a thread of its own that blocks in the dispatcher while there is nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import attrs

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.model import Ask, ClaimReply, InvocationRecord, RunnerContext, Signal
from pynenc_core.orchestration.current import Job
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.executing.batching import PATIENCE, Shortness
from pynenc_core.orchestration.executing.courier import Courier
from pynenc_core.orchestration.executing.holdings import Holdings
from pynenc_core.orchestration.executing.slots import Slots
from pynenc_core.ports.absence import Absence
from pynenc_core.ports.gauge import Gauge
from pynenc_core.ports.transitions import change
from pynenc_core.status import Status

_FAREWELL = 2.0  # seconds for which a call to the store that is on its way may hold up the end
_FAR = float("inf")
_NOT_ALLOWED_LOOK = 0.5  # seconds between looks while this runner could not renew its lease
_OVERDUE = 5.0  # seconds after its time at which a wait for work does not count as going well any more


class Claiming:
    """Finds work for slots that are free; a slot that is about to be free asks for itself, in the call that settles."""

    def __init__(
        self,
        engine: Engine,
        context: RunnerContext,
        slots: Slots,
        holdings: Holdings,
        may_claim: Callable[[], bool],
        gauge: Gauge,
    ) -> None:
        self._gauge = gauge
        self._engine = engine
        self._context = context
        self._slots = slots
        self._holdings = holdings
        self._may_claim = may_claim
        self._settings = engine.runner_settings
        self.shortness = Shortness()
        self._dry = False
        """The last claim brought less than it asked for, and nobody has announced work since."""
        self._next_due: float | None = None
        self._look_again: float | None = None
        self._courier: Courier
        self._hand: Callable[[Sequence[Job], int], None]
        self._relieve: Callable[[], bool]
        self._loaded: Callable[[], bool]
        self._awaiting = False
        self._awaits_until = _FAR
        self.rests_until = 0.0
        """Until when the claimer may well ask the store nothing: it waits for work or for a slot."""
        self._thread: threading.Thread | None = None
        name = f"runner {context.runner_id}"
        self._absence = Absence(engine.logger, f"{name} waits for its store", f"{name} can use its store again")

    def attach(
        self,
        courier: Courier,
        hand: Callable[[Sequence[Job], int], None],
        relieve: Callable[[], bool],
        loaded: Callable[[], bool],
    ) -> None:
        """Learn whom to work with: `hand` runs jobs on so many slots that are reserved for them.

        `relieve` takes off slots what waits too long there; `loaded` says whether anything waits on a slot at all.
        """
        self._courier, self._hand, self._relieve, self._loaded = courier, hand, relieve, loaded

    def start(self) -> None:
        """Begin to claim."""
        self._thread = threading.Thread(target=self._claim_on, name="pynenc-claimer", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the claimer, which has no reason left to go on: nobody must use the stores when the app closes them."""
        if self._thread is not None:
            self._thread.join(_FAREWELL)

    def ask(self, want: int) -> Ask:
        """Return how this process claims so many now."""
        return Ask(
            runner_id=self._context.runner_id,
            limit=want,
            start=want,
            queues=self._settings.queues,
            known_tasks=self._engine.tasks.ids,
            awaited_only=self._slots.paused >= max(1, self._settings.max_paused_per_worker // 4),
        )

    def want_for_one(self) -> int:
        """Return how many to claim for one slot that is about to be free: 0 when it may not go to new work."""
        with self._slots.changed:
            open_to_new = self._slots.open_to_new() and self._may_claim()
        return self._ahead() if open_to_new else 0

    def note_load(self) -> None:
        """Learn that something waits on a slot, which nobody would relieve while the claimer blocks in the dispatcher."""
        if self._awaiting:
            self._engine.dispatcher.wake()

    def note_reply(self, reply: ClaimReply, want: int, deliver: Callable[[Sequence[Signal]], None]) -> None:
        """Learn from a reply, before anyone goes on."""
        self._gauge.show_poll()
        if want:
            self._dry = len(reply.claimed) < want
            self._next_due = reply.next_due
            if self._awaiting and reply.next_due is not None and reply.next_due < self._awaits_until:
                self._engine.dispatcher.wake()  # the claimer would sleep beyond it: what another claim has seen is no news to it
        self._holdings.note(reply.claimed)
        if self._courier.in_doubt:
            self._slots.tell()
        if reply.signals:
            deliver(reply.signals)

    def take_in(self, records: Sequence[InvocationRecord]) -> list[Job]:
        """Return the jobs to run now of what was claimed."""
        jobs = self._holdings.take_in(records, self._courier)
        if self._holdings.suspects:
            with self._slots.changed:
                self._slots.suspects_waiting = True
                self._slots.changed.notify_all()
        return jobs

    def give_up_suspect(self, invocation_id: str) -> InvocationRecord | None:
        """Return a suspect that waits for its turn, if this is one, and do not run it."""
        with self._slots.changed:
            record = self._holdings.next_suspect(invocation_id)
            self._slots.suspects_waiting = bool(self._holdings.suspects)
            self._slots.changed.notify_all()
        return record

    def _ahead(self) -> int:
        most = self._settings.settle_batch
        return most if most > 1 and self.shortness else 1

    def _claim_on(self) -> None:
        while not self._courier.given_up:
            try:
                if not self._slots.closed:
                    self._claim_once()
                elif self._slots.taken and self._settings.settle_batch > 1:  # what stands behind a slow one still waits
                    self._slots.rest(PATIENCE)
                    self._relieve()
                else:
                    return
            except BackendUnavailableError as error:
                if not self._courier.given_up:
                    self._absence.note(error)
                    self._slots.rest(_NOT_ALLOWED_LOOK)
            except Exception:
                self._engine.logger.exception("runner %s could not claim; it goes on", self._context.runner_id)
                self._courier.in_doubt = True
                self._slots.rest(_NOT_ALLOWED_LOOK)

    def _claim_once(self) -> None:
        with self._slots.changed:
            while not (self._slots.closed or self._has_reason() or self._doubt_is_due()):
                self.rests_until = _FAR
                self._slots.changed.wait(self._longest_wait())
                if self._settings.settle_batch > 1:
                    break
            self.rests_until = 0.0
            if self._slots.closed:
                return
            alone = self._holdings.next_suspect() if self._holdings.suspects and self._slots.reserve_alone() else None
            free = 0 if alone or self._dry or self._doubt_is_due() or not self._may_claim() else self._slots.reserve_for_claim()
            idle = not alone and not free and self._has_reason()
        if alone:
            self._run_alone(alone)
        elif free:
            self._claim(free)
        elif not self._clear_doubt() and not self._relieve() and idle:
            self._await_work()

    def _longest_wait(self) -> float | None:
        if not self._may_claim():
            return _NOT_ALLOWED_LOOK
        if self._settings.settle_batch > 1 and self._slots.taken:
            return PATIENCE
        return None if self._look_again is None else max(0.0, self._look_again - self._engine.clock.monotonic())

    def _has_reason(self) -> bool:
        if self._holdings.suspects and self._slots.free == self._slots.count:
            return True
        return self._slots.free > 0 and self._slots.open_to_new() and self._may_claim()

    def _claim(self, free: int) -> None:
        jobs: Sequence[Job] = ()
        try:
            jobs = self.take_in(self._courier.exchange(want=free * self._ahead()).claimed)
        finally:
            if len(jobs) < free:
                self._slots.release(free - len(jobs))
        self._hand(jobs, free)

    def _doubt_is_due(self) -> bool:
        return self._courier.in_doubt or (self._look_again is not None and self._engine.clock.monotonic() >= self._look_again)

    def _clear_doubt(self) -> bool:
        """Look for lost claims after a lost reply, and once more a lease later: such a call may be carried out late."""
        if not self._doubt_is_due():
            return False
        in_doubt = self._courier.in_doubt
        self._holdings.reconcile(self._courier)
        self._look_again = self._engine.clock.monotonic() + self._engine.lease if in_doubt else None
        return True

    def _await_work(self) -> None:
        timeout = self._settings.idle_claim_timeout_sec
        self._awaits_until = _FAR
        self._awaiting = True  # before the look at what is due and loaded: who changes that looks the other way round
        due = self._next_due
        if due is not None:
            self._awaits_until = due
            timeout = min(timeout, max(0.0, due - self._engine.state.now()))
        if self._loaded():
            timeout = min(timeout, PATIENCE)
        if self._look_again is not None:
            timeout = min(timeout, max(0.0, self._look_again - self._engine.clock.monotonic()))
        self.rests_until = self._engine.clock.monotonic() + timeout + _OVERDUE
        try:
            self._engine.dispatcher.await_work(self._settings.queues, timeout)  # no sign that the store answers: it may not be asked
            self._absence.over()  # all the same: a claim went well before it, and what it needs of its own is there
        finally:
            self.rests_until = 0.0
            self._awaiting = False
            self._dry = False

    def _run_alone(self, record: InvocationRecord) -> None:
        job: Job | None = None
        try:
            start = change(record, (Status.RUNNING,), by=self._context.runner_id, owner=record.state.owner)
            if self._courier.exchange([start]).refused == (None,):
                job = self._holdings.begin(attrs.evolve(record, state=attrs.evolve(record.state, status=Status.RUNNING)))
                self._slots.stands_alone(job)
        finally:
            with self._slots.changed:
                self._slots.suspects_waiting = bool(self._holdings.suspects)
            if job is None:
                self._slots.nobody_alone()
                self._holdings.drop(record.invocation_id, record.state.claim)
                self._slots.release()
        if job is not None:
            self._hand([job], 1)
