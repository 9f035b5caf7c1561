"""Memory stores with one mistake each in the dispatcher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import attrs

from kit.inner_run import caught_by
from pynenc_backend_memory.dispatcher import MemoryDispatcher
from pynenc_core.model import Ask, Batch, Change, ClaimReply, InvocationRecord, Limit, Refusal, SettleReply, Submitted, claimed
from pynenc_core.status import Status


class Saboteur(MemoryDispatcher):
    """A correct dispatcher, to be spoilt; `caught_by` names the tests that must notice."""

    caught_by: ClassVar[tuple[str, ...]]


@caught_by("test_of_two_claims_one_gets_it")
class DoubleClaim(Saboteur):
    """Looks at the head of the queue, and claims it in a second step."""

    def claim(self, ask: Ask) -> ClaimReply:
        now = self._state.now()
        with self._table.lock:
            first = self._table.queues[ask.queues[0]].first(now)
            record = self._table.records[first] if first else None
        if (
            record is None
            or ask.limit != 1
            or record.invocation.limits
            or record.state.suspect
            or record.state.status is not Status.REGISTERED
        ):
            return super().claim(ask)
        self._state.get_blobs([])
        with self._table.lock:
            again = self._table.records[record.invocation_id]
            if ask.awaited_only or again.invocation.expires or again.state.status is Status.CANCELLED:
                return self._claim(ask, now)
            start = ask.start > 0 and (ask.known_tasks is None or record.invocation.task_id in ask.known_tasks)
            got = self._table.replace(again, *claimed(record.invocation_id, record.state, ask.runner_id, now, start=start))
        return attrs.evolve(super().claim(attrs.evolve(ask, limit=0)), claimed=(got,))


@caught_by("test_a_claim_begins_with_the_first_queue_and_its_lowest_rank")
class OrderIgnored(Saboteur):
    """Hands out what it finds in the order of submission."""

    def submit(self, batch: Batch) -> Submitted:
        flat = [attrs.evolve(new, invocation=attrs.evolve(new.invocation, rank=0.0)) for new in batch.invocations]
        return super().submit(attrs.evolve(batch, invocations=tuple(flat)))


@caught_by("test_a_claim_begins_with_the_first_queue_and_its_lowest_rank")
class QueueOrderIgnored(Saboteur):
    """Asks the queues in the order of their names."""

    def _claim(self, ask: Ask, now: float) -> ClaimReply:
        return super()._claim(attrs.evolve(ask, queues=tuple(sorted(ask.queues))), now)


@caught_by("test_nothing_is_claimed_before_it_is_due")
class DueIgnored(Saboteur):
    """Takes what is scheduled for what is ready."""

    def _claim(self, ask: Ask, now: float) -> ClaimReply:
        for queue in ask.queues:
            self._table.queues[queue].first(now + 1e10)
        return super()._claim(ask, now)


@caught_by("test_an_expired_one_is_cancelled_on_the_way")
class ExpiredRuns(Saboteur):
    """Hands out what has expired."""

    def _set_aside(self, record: InvocationRecord, by: str, now: float) -> bool:
        return super()._set_aside(record, by, min(now, record.invocation.expires or now))


@caught_by("test_what_finds_its_limit_full_waits_beside_its_key", "test_two_claims_keep_a_limit")
class LimitIgnored(Saboteur):
    """Takes the limit of a key for one more than it is."""

    def submit(self, batch: Batch) -> Submitted:
        wider = [
            attrs.evolve(
                new,
                invocation=attrs.evolve(new.invocation, limits=tuple(Limit(each.key, each.most + 1) for each in new.invocation.limits)),
            )
            for new in batch.invocations
        ]
        return super().submit(attrs.evolve(batch, invocations=tuple(wider)))


@caught_by("test_a_release_wakes_the_first_beside_the_key_and_no_other", "test_a_freed_limit_wakes")
class NobodyWoken(Saboteur):
    """Leaves who waits beside a key there when a slot is free."""

    def _free(self, before: InvocationRecord, to: Status, by: str, now: float) -> None:
        pass


@caught_by("test_a_release_wakes_the_first_beside_the_key_and_no_other")
class EverybodyWoken(Saboteur):
    """Wakes the whole crowd beside a key for each slot that is free."""

    def _call_next(self, key: str, by: str, now: float) -> None:
        super()._call_next(key, by, now)
        for record in tuple(self._table.records.values()):
            if record.state.status is Status.CONCURRENCY_CONTROLLED and any(limit.key == key for limit in record.invocation.limits):
                self._move(record, Status.REROUTED, by, "woken", now)


@caught_by("test_who_may_not_wait_is_dropped_for_good")
class DropIgnored(Saboteur):
    """Lets those wait that are to be dropped."""

    def submit(self, batch: Batch) -> Submitted:
        waiting = [attrs.evolve(new, invocation=attrs.evolve(new.invocation, drop_when_limited=False)) for new in batch.invocations]
        return super().submit(attrs.evolve(batch, invocations=tuple(waiting)))


@caught_by("test_a_suspect_is_handed_out_but_not_started")
class SuspectStarted(Saboteur):
    """Starts a suspect at once."""

    def _claim(self, ask: Ask, now: float) -> ClaimReply:
        reply = super()._claim(ask, now)
        if ask.start:
            started = [each for each in reply.claimed if each.state.suspect and each.state.status is Status.PENDING]
            for each in started:
                self._move(each, Status.RUNNING, ask.runner_id, "", now)
            reply = attrs.evolve(reply, claimed=tuple(self._table.records[each.invocation_id] for each in reply.claimed))
        return reply


@caught_by("test_only_known_tasks_are_started")
class UnknownStarted(Saboteur):
    """Starts tasks that the process does not know."""

    def _claim(self, ask: Ask, now: float) -> ClaimReply:
        return super()._claim(attrs.evolve(ask, known_tasks=None), now)


@caught_by("test_awaited_only_takes_what_somebody_waits_for")
class NotAwaited(Saboteur):
    """Takes anything where only awaited work may be taken."""

    def _claim(self, ask: Ask, now: float) -> ClaimReply:
        return super()._claim(attrs.evolve(ask, awaited_only=False), now)


@caught_by("test_a_refused_change_stops_neither_the_others_nor_the_claim")
class StopsAtRefusal(Saboteur):
    """Gives up the rest of a settle after the first refusal."""

    def settle(self, changes: Sequence[Change], *, start: Sequence[str] = (), ask: Ask | None = None) -> SettleReply:
        answers: list[Refusal | None] = []
        for change in changes:
            failed = any(answer is not None for answer in answers)
            answers += [Refusal(change.invocation_id, None)] if failed else super().settle([change]).refused
        if any(answer is not None for answer in answers):
            return SettleReply(refused=tuple(answers), not_started=tuple(start))
        author = ask or (Ask(runner_id=changes[0].by, limit=0) if changes else None)
        rest = super().settle((), start=start, ask=author)
        return attrs.evolve(rest, refused=tuple(answers))


@caught_by("test_what_is_pending_here_is_started")
class StartsForeign(Saboteur):
    """Starts what is PENDING, whoever holds it."""

    def _start(self, invocation_id: str, runner_id: str, now: float) -> bool:
        record = self._table.records.get(invocation_id)
        return super()._start(invocation_id, record.state.runner_id if record else runner_id, now)


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


@caught_by("test_replies_bring_requests_to_what_the_asker_owns")
class MuteReplies(Saboteur):
    """Brings no requests with a claim."""

    def _claim(self, ask: Ask, now: float) -> ClaimReply:
        return attrs.evolve(super()._claim(ask, now), signals=())


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
                    self._table.replace(record, state, ())
        return submitted


DISPATCHER_SABOTEURS: tuple[type[Saboteur], ...] = tuple(Saboteur.__subclasses__())
