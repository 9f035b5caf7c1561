"""Memory stores with one mistake each in the dispatcher."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

import attrs

from kit.inner_run import caught_by
from kit.state_saboteurs import EveryRequest
from pynenc_backend_memory.dispatcher import MemoryDispatcher
from pynenc_backend_memory.state_backend import MemoryStateBackend
from pynenc_backend_memory.step import MemoryStep
from pynenc_core.model import (
    Ask,
    Batch,
    Change,
    ClaimReply,
    InvocationDTO,
    InvocationRecord,
    Limit,
    Refusal,
    SettleReply,
    Signal,
    State,
    Submitted,
    claimed,
)
from pynenc_core.status import Status
from pynenc_testkit.samples import change


class Saboteur(MemoryDispatcher):
    """A correct dispatcher, to be spoilt; `caught_by` names the tests that must notice."""

    caught_by: ClassVar[tuple[str, ...]]
    step_class: ClassVar[type[MemoryStep]] = MemoryStep

    def __init__(self, state_backend: MemoryStateBackend) -> None:
        super().__init__(state_backend)
        # The state backend is this dispatcher's own: the one that tests look through stays as it is.
        state_backend.step = lambda: self.step_class(state_backend.table, state_backend.now())  # type: ignore[method-assign] # spoilt on purpose

    def asked(self, ask: Ask) -> Ask:
        """Return what is asked for instead."""
        return ask

    def registering(self, invocation: InvocationDTO) -> InvocationDTO:
        """Return what is registered instead."""
        return invocation

    def submit(self, batch: Batch) -> Submitted:
        spoilt = [attrs.evolve(new, invocation=self.registering(new.invocation)) for new in batch.invocations]
        return super().submit(attrs.evolve(batch, invocations=tuple(spoilt)))

    def settle(self, changes: Sequence[Change], *, ask: Ask | None = None) -> SettleReply:
        return super().settle(changes, ask=self.asked(ask) if ask else None)


@caught_by("test_of_two_claims_one_gets_it")
class DoubleClaim(Saboteur):
    """Looks at the head of the queue, and claims it in a second step."""

    def claim(self, ask: Ask) -> ClaimReply:
        first = self._table.queues[ask.queues[0]].first()
        seen = self._table.records[first] if first else None
        ordinary = ask.awaited_only or ask.known_tasks is not None or not ask.start or ask.limit != 1
        if seen is None or ordinary or seen.invocation.limits or seen.invocation.expires or seen.state.status is not Status.REGISTERED:
            return super().claim(ask)
        self._state.get_blobs([])
        with self._table.lock:
            present = self._table.records[seen.invocation_id]
            if present.state.status is Status.CANCELLED:
                return ClaimReply()
            state, entries = claimed(seen.invocation_id, seen.state, ask.runner_id, self._state.now(), start=True)
            self._table.replace(present, _with(present, state), entries, "")
        return ClaimReply(claimed=(_with(seen, state),))


@caught_by("test_a_claim_begins_with_the_first_queue_and_its_lowest_rank")
class OrderIgnored(Saboteur):
    """Hands out what it finds in the order of submission."""

    def registering(self, invocation: InvocationDTO) -> InvocationDTO:
        return attrs.evolve(invocation, rank=0.0)


@caught_by("test_a_claim_begins_with_the_first_queue_and_its_lowest_rank")
class QueueOrderIgnored(Saboteur):
    """Asks the queues in the order of their names."""

    def asked(self, ask: Ask) -> Ask:
        return attrs.evolve(ask, queues=tuple(sorted(ask.queues)))


class DueIsReady(MemoryStep):
    """Lets everything that is scheduled stand in the queue's order."""

    def next_due(self, queue: str) -> float | None:
        return self._table.queues[queue].advance(self.now + 1e10)


@caught_by("test_nothing_is_claimed_before_it_is_due")
class DueIgnored(Saboteur):
    """Takes what is scheduled for what is ready."""

    step_class: ClassVar[type[MemoryStep]] = DueIsReady


class NothingExpires(MemoryStep):
    """Reads records without their expiry."""

    def record(self, held: InvocationRecord, state: State | None = None) -> InvocationRecord:
        whole = super().record(held, state)
        return attrs.evolve(whole, invocation=attrs.evolve(whole.invocation, expires=None))


@caught_by("test_an_expired_one_is_cancelled_on_the_way")
class ExpiredRuns(Saboteur):
    """Hands out what has expired."""

    step_class: ClassVar[type[MemoryStep]] = NothingExpires


@caught_by("test_what_finds_its_limit_full_waits_beside_its_key", "test_two_claims_keep_a_limit")
class LimitIgnored(Saboteur):
    """Takes the limit of a key for one more than it is."""

    def registering(self, invocation: InvocationDTO) -> InvocationDTO:
        return attrs.evolve(invocation, limits=tuple(Limit(each.key, each.most + 1) for each in invocation.limits))


class NobodyWaits(MemoryStep):
    """Finds nobody beside any key."""

    def first_beside(self, key: str) -> InvocationRecord | None:
        del key
        return None


@caught_by("test_a_release_wakes_the_first_beside_the_key_and_no_other", "test_a_freed_limit_wakes")
class NobodyWoken(Saboteur):
    """Leaves who waits beside a key there when a slot is free."""

    step_class: ClassVar[type[MemoryStep]] = NobodyWaits


@caught_by("test_a_release_wakes_the_first_beside_the_key_and_no_other")
class EverybodyWoken(Saboteur):
    """Wakes the whole crowd beside a key for each slot that is free."""

    def settle(self, changes: Sequence[Change], *, ask: Ask | None = None) -> SettleReply:
        reply = super().settle(changes, ask=ask)
        if changes:
            crowd = [each for each in tuple(self._table.records.values()) if each.state.status is Status.CONCURRENCY_CONTROLLED]
            super().settle([change(each, Status.REROUTED) for each in crowd])
        return reply


@caught_by("test_who_may_not_wait_is_dropped_for_good")
class DropIgnored(Saboteur):
    """Lets those wait that are to be dropped."""

    def registering(self, invocation: InvocationDTO) -> InvocationDTO:
        return attrs.evolve(invocation, drop_when_limited=False)


@caught_by("test_a_suspect_is_handed_out_but_not_started")
class SuspectStarted(Saboteur):
    """Starts a suspect at once."""

    def claim(self, ask: Ask) -> ClaimReply:
        reply = super().claim(ask)
        suspects = [each for each in reply.claimed if each.state.suspect and each.state.status is Status.PENDING and ask.start]
        self.settle([change(each, Status.RUNNING) for each in suspects])
        return attrs.evolve(reply, claimed=tuple(self._table.records[each.invocation_id] for each in reply.claimed))


@caught_by("test_only_known_tasks_are_started")
class UnknownStarted(Saboteur):
    """Starts tasks that the process does not know."""

    def asked(self, ask: Ask) -> Ask:
        return attrs.evolve(ask, known_tasks=None)


@caught_by("test_awaited_only_takes_what_somebody_waits_for")
class NotAwaited(Saboteur):
    """Takes anything where only awaited work may be taken."""

    def asked(self, ask: Ask) -> Ask:
        return attrs.evolve(ask, awaited_only=False)


@caught_by("test_a_refused_change_stops_neither_the_others_nor_the_claim")
class StopsAtRefusal(Saboteur):
    """Gives up the rest of a settle after the first refusal."""

    def settle(self, changes: Sequence[Change], *, ask: Ask | None = None) -> SettleReply:
        answers: list[Refusal | None] = []
        for each in changes:
            failed = any(answer is not None for answer in answers)
            answers += [Refusal(each.invocation_id, None)] if failed else super().settle([each]).refused
        if any(answer is not None for answer in answers):
            return SettleReply(refused=tuple(answers))
        return attrs.evolve(super().settle((), ask=ask), refused=tuple(answers))


@caught_by("test_what_is_pending_here_is_started")
class StartsForeign(Saboteur):
    """Starts what is PENDING, whoever holds it."""

    def settle(self, changes: Sequence[Change], *, ask: Ask | None = None) -> SettleReply:
        theirs: list[Change] = []
        for each in changes:
            record = self._table.records.get(each.invocation_id)
            pending = record is not None and record.state.status is each.expect.status is Status.PENDING
            expect = attrs.evolve(each.expect, runner_id=record.state.runner_id) if record and pending else each.expect
            theirs.append(attrs.evolve(each, expect=expect))
        return super().settle(theirs, ask=ask)


@caught_by("test_work_submitted_between_claim_and_await_is_not_missed")
class LostWakeUp(Saboteur):
    """Begins to wait for news without looking what came since the last claim."""

    def await_work(self, queues: Sequence[str], timeout: float) -> bool:
        with self._table.lock:
            self._seen.update({queue: self._table.news[queue] for queue in queues})
        return super().await_work(queues, timeout)


@caught_by("test_a_wake_before_the_wait_counts_for_it_once")
class ForgottenWake(Saboteur):
    """Lets only those return that wait already."""

    def wake(self) -> None:
        with self._table.lock:
            self._woken = self._waiting > 0
            self._table.changed.notify_all()


@caught_by("test_a_request_for_another_claim_reaches_nobody")
class StaleRequests(Saboteur):
    """Tells an owner what was meant for the one before."""

    step_class: ClassVar[type[MemoryStep]] = EveryRequest


class DeafStep(MemoryStep):
    """Knows of no request."""

    def signals(self, runner_ids: Collection[str]) -> tuple[Signal, ...]:
        del runner_ids
        return ()


@caught_by("test_replies_bring_requests_to_what_the_asker_owns")
class MuteReplies(Saboteur):
    """Brings no requests with a claim."""

    step_class: ClassVar[type[MemoryStep]] = DeafStep


@caught_by("test_submitting_again_queues_nothing_twice")
class SubmitsTwice(Saboteur):
    """Queues again whatever is submitted again."""

    def submit(self, batch: Batch) -> Submitted:
        submitted = super().submit(batch)
        with self._table.lock:
            for name in submitted.ids:
                record = self._table.records[name]
                if record.state.status is Status.PENDING and not record.invocation.unique_key:
                    state = attrs.evolve(record.state, status=Status.REGISTERED, runner_id="")
                    self._table.replace(record, _with(record, state), (), "")
        return submitted


def _with(record: InvocationRecord, state: State) -> InvocationRecord:
    return attrs.evolve(record, state=state)


DISPATCHER_SABOTEURS: tuple[type[Saboteur], ...] = tuple(Saboteur.__subclasses__())
