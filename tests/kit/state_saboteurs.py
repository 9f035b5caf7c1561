"""Memory stores with one mistake each in the state backend, of the kind that careful people make."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import attrs

from pynenc_backend_memory.moves import MemoryMoves
from pynenc_backend_memory.records import MemoryWatch
from pynenc_backend_memory.state_backend import MemoryStateBackend, _named
from pynenc_core.model import (
    Ask,
    Batch,
    Blob,
    Change,
    ClaimReply,
    Expect,
    InvocationHistory,
    InvocationRecord,
    Lease,
    Mark,
    Query,
    Refusal,
    Signal,
    Submitted,
    Swapped,
    Swept,
    claimed,
    meets,
    woken,
)
from pynenc_core.ports.storage import Watch
from pynenc_core.status import Status


class Saboteur(MemoryStateBackend):
    """A correct store, to be spoilt; `caught_by` names the tests that must notice."""

    caught_by: ClassVar[tuple[str, ...]]

    def tables(self) -> list[MemoryMoves]:
        """Return the tables of every app in the same place."""
        place = self.app.store_url("state_backend").partition("://")[2]
        return [table for (where, _), table in _named.items() if where == place]

    def force(self, change: Change) -> Swapped:
        """Write a change whatever its expectation is."""
        with self.table.lock:
            record = self.table.records.get(change.invocation_id)
            if record is None:
                return Swapped((Refusal(change.invocation_id, None),))
            state = record.state
            return self.table.swap([attrs.evolve(change, expect=Expect(state.status, state.runner_id, state.claim))], self.now())


def joined(answers: Iterable[Swapped]) -> Swapped:
    """Return the answers to several changes as one."""
    every = tuple(answers)
    refused = tuple(refusal for each in every for refusal in each.refused)
    return Swapped(refused, tuple(entry for each in every for entry in each.claimable))


@contextmanager
def spoilt(table: MemoryMoves, **methods: Callable[..., Any]) -> Iterator[None]:
    """Put other methods in the place of a table's, with its lock held."""
    with table.lock:
        table.__dict__.update(methods)
        try:
            yield
        finally:
            for name in methods:
                del table.__dict__[name]


class UnlockedSwap(Saboteur):
    """Reads, compares, and writes in a second step."""

    caught_by = ("test_of_two_swaps_one_wins",)

    def swap(self, changes: Sequence[Change]) -> Swapped:
        answers: list[Swapped] = []
        for change in changes:
            record = self.get([change.invocation_id]).get(change.invocation_id)
            if record is None or not meets(record.state, change.expect):
                answers.append(super().swap([change]))
                continue
            self.get_blobs([blob.key for blob in change.blobs])
            answers.append(self.force(change))
        return joined(answers)


class BlindWrite(Saboteur):
    """Looks at the status only: whoever held it before may write."""

    caught_by = ("test_a_stale_owner_is_refused_also_when_the_same_runner_claimed_again", "test_a_refused_change_changes_nothing_anywhere")

    def swap(self, changes: Sequence[Change]) -> Swapped:
        answers: list[Swapped] = []
        for change in changes:
            record = self.get([change.invocation_id]).get(change.invocation_id)
            fits = record is not None and record.state.status is change.expect.status
            answers.append(self.force(change) if fits else super().swap([change]))
        return joined(answers)


class RunnerOnly(Saboteur):
    """Knows an owner by its runner alone, so that the same runner's older claim passes."""

    caught_by = ("test_a_stale_owner_is_refused_also_when_the_same_runner_claimed_again",)

    def swap(self, changes: Sequence[Change]) -> Swapped:
        answers: list[Swapped] = []
        for change in changes:
            record = self.get([change.invocation_id]).get(change.invocation_id)
            same = record is not None and (record.state.status, record.state.runner_id) == (change.expect.status, change.expect.runner_id)
            answers.append(self.force(change) if same else super().swap([change]))
        return joined(answers)


class LostHistory(Saboteur):
    """Notes only the last of the statuses that a change goes through."""

    caught_by = ("test_each_transition_leaves_one_entry", "test_every_field_of_a_change_is_written")

    def swap(self, changes: Sequence[Change]) -> Swapped:
        return super().swap([attrs.evolve(change, through=change.through[-1:]) for change in changes])


class BlobsFirst(Saboteur):
    """Stores a change's blobs before it knows whether the change is refused."""

    caught_by = ("test_a_refused_change_leaves_no_blob", "test_a_refused_change_changes_nothing_anywhere")

    def swap(self, changes: Sequence[Change]) -> Swapped:
        for change in changes:
            self.put_blobs(change.blobs)
        return super().swap(changes)


class AllOrNothing(Saboteur):
    """Refuses the rest of a call after the first refusal."""

    caught_by = ("test_changes_of_one_call_are_judged_one_by_one_in_order",)

    def swap(self, changes: Sequence[Change]) -> Swapped:
        answers: list[Swapped] = []
        for change in changes:
            failed = any(refusal is not None for answer in answers for refusal in answer.refused)
            answers.append(Swapped((Refusal(change.invocation_id, None),)) if failed else super().swap([change]))
        return joined(answers)


class SilentSwap(Saboteur):
    """Tells no watcher what a swap ends."""

    caught_by = ("test_what_becomes_final_while_somebody_waits_is_reported", "test_every_watcher_is_told")

    def swap(self, changes: Sequence[Change]) -> Swapped:
        with self.table.lock:
            listeners, self.table.listeners = self.table.listeners, type(self.table.listeners)(set)
        answers = super().swap(changes)
        with self.table.lock:
            self.table.listeners = listeners
        return answers


class LateWatch(Saboteur):
    """Looks what is final first, and begins to listen afterwards."""

    caught_by = ("test_a_watch_begun_while_it_ends_is_told",)

    def watch(self, invocation_ids: Collection[str]) -> Watch:
        found = self.get(invocation_ids)
        gone = {each for each in invocation_ids if each not in found or found[each].state.final}
        self.get_blobs([])
        watch = MemoryWatch(self.table, invocation_ids)
        watch._ended = gone
        return watch


class SkippingPages(Saboteur):
    """Cuts the page before it looks at the bounds."""

    caught_by = ("test_pages_are_by_id_within_bounds", "test_pages_neither_skip_nor_repeat_while_others_come_and_go")

    def find(
        self, query: Query, *, after: str = "", before: str = "", limit: int = 100, newest_first: bool = False
    ) -> tuple[InvocationRecord, ...]:
        page = super().find(query, limit=limit, newest_first=newest_first)
        return tuple(record for record in page if after < record.invocation_id and (not before or record.invocation_id < before))


class ForeignApps(Saboteur):
    """Finds the records of every app."""

    caught_by = ("test_records_are_apart",)

    def find(
        self, query: Query, *, after: str = "", before: str = "", limit: int = 100, newest_first: bool = False
    ) -> tuple[InvocationRecord, ...]:
        found = list(super().find(query, after=after, before=before, limit=limit, newest_first=newest_first))
        for table in self.tables():
            if table is not self.table:
                found += [table.records[each] for each in table.select(query)]
        return tuple(found[:limit])


class PurgesTooMuch(Saboteur):
    """Empties the whole store, not only what belongs to this app."""

    caught_by = ("test_a_purge_leaves_other_apps_alone",)

    def purge(self) -> None:
        for table in self.tables():
            with table.lock:
                table.clear()


class SweepsTooMuch(Saboteur):
    """Removes everything that is final, however recently."""

    caught_by = ("test_a_sweep_removes_what_was_final_before",)

    def sweep(self, before: float, limit: int = 1000) -> Swept:
        return super().sweep(before + 1e9, limit)


class ShortHistory(Saboteur):
    """Keeps the last 200 entries, and not how it began."""

    caught_by = ("test_the_first_20_and_the_last_180_entries_are_kept",)

    def history(self, invocation_ids: Collection[str]) -> dict[str, tuple[InvocationHistory, ...]]:
        full = super().history(invocation_ids)
        return {each: entries if len(entries) < 200 else entries[20:] for each, entries in full.items()}


class OpenWindow(Saboteur):
    """Takes the end of a time range for a part of it."""

    caught_by = ("test_a_window_of_history_is_half_open",)

    def history_between(
        self, start: float, end: float, *, after: tuple[float, str, int] | None = None, limit: int = 100
    ) -> tuple[InvocationHistory, ...]:
        return super().history_between(start, end + 1e-6, after=after, limit=limit)


class BackwardExpiry(Saboteur):
    """Takes the last reference's time to live for the blob's."""

    caught_by = ("test_a_reference_moves_the_expiry_forward_and_never_back",)

    def put_blobs(self, blobs: Iterable[Blob]) -> None:
        blobs = tuple(blobs)
        with self.table.lock:
            for blob in blobs:
                self.table.blobs.pop(blob.key, None)
        super().put_blobs(blobs)


class PatternPrefix(Saboteur):
    """Hands a prefix to a pattern matcher without escaping it."""

    caught_by = ("test_values_are_listed_by_prefix_in_pages",)

    def list_values(self, kind: str, *, prefix: str = "", after: str = "", limit: int = 100) -> tuple[tuple[str, bytes], ...]:
        every = super().list_values(kind, after=after, limit=10_000)
        return tuple(pair for pair in every if fnmatch.fnmatchcase(pair[0], prefix + "*"))[:limit]


class ForgottenFence(Saboteur):
    """Counts a role's holders anew for each."""

    caught_by = (
        "test_a_role_passes_on_when_its_time_is_over_with_a_higher_fence",
        "test_a_role_that_is_given_back_is_free_at_once_with_a_higher_fence",
    )

    def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        lease = super().take_lease(name, holder, seconds)
        return None if lease is None else attrs.evolve(lease, fence=1)


class UnlockedLease(Saboteur):
    """Looks whether a role is free, and takes it in a second step."""

    caught_by = ("test_of_two_that_take_a_role_one_gets_it",)

    def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        held = self.table.leases.get(name)
        if held and held.holder not in {"", holder} and held.until > self.now():
            return None
        self.get_values("lease", [name])
        with self.table.lock:
            fence = held.fence + (held.holder != holder) if held else 1
            lease = self.table.leases[name] = Lease(name, holder, fence, self.now() + seconds)
        return lease


class WaitersForgotten(Saboteur):
    """Leaves who waits beside a key there when a swap frees it."""

    caught_by = ("test_a_release_wakes_the_first_all_of_whose_limits_have_room", "test_a_swap_says_what_it_made_claimable")

    def swap(self, changes: Sequence[Change]) -> Swapped:
        with spoilt(self.table, _call_next=lambda *_: None):
            return self.table.swap(changes, self.now())


class FirstBesideWoken(Saboteur):
    """Wakes the first beside a key, whether its other limits have room or not."""

    caught_by = ("test_a_release_wakes_the_first_all_of_whose_limits_have_room",)

    def swap(self, changes: Sequence[Change]) -> Swapped:
        table = self.table

        def wake(key: str, by: str, now: float) -> None:
            waiting = [each for each in table.records.values() if each.state.status is Status.CONCURRENCY_CONTROLLED]
            first = min((each for each in waiting if key in {limit.key for limit in each.invocation.limits}), key=lambda each: each.rank)
            table.replace(first, *woken(first.invocation_id, first.state, key, by, now))

        has_waiters = any(record.state.status is Status.CONCURRENCY_CONTROLLED for record in self.table.records.values())
        with spoilt(table, **({"_call_next": wake} if has_waiters else {})):
            return table.swap(changes, self.now())


class QuietSwap(Saboteur):
    """Names only the changed ones of what it made claimable."""

    caught_by = ("test_a_swap_says_what_it_made_claimable",)

    def swap(self, changes: Sequence[Change]) -> Swapped:
        swapped = super().swap(changes)
        own = {change.invocation_id for change in changes}
        return attrs.evolve(swapped, claimable=tuple(each for each in swapped.claimable if each.invocation_id in own))


class UnlockedAcquire(Saboteur):
    """Looks at a record and at its limits, and claims it in a second step."""

    caught_by = (
        "test_of_two_that_acquire_one_invocation_one_gets_it",
        "test_of_two_that_acquire_the_last_place_of_a_limit_one_gets_it",
    )

    def acquire(self, invocation_ids: Sequence[str], ask: Ask) -> ClaimReply:
        record = self.get(invocation_ids).get(invocation_ids[0]) if len(invocation_ids) == 1 else None
        room = record and all(self.holders([limit.key])[limit.key] < limit.most for limit in record.invocation.limits)
        plain = record and record.state.status is Status.REGISTERED and not (record.invocation.expires or ask.awaited_only)
        if record is None or not room or not plain or ask.limit < 1:
            return super().acquire(invocation_ids, ask)
        self.get_blobs([])
        with self.table.lock:
            got = self.table.replace(record, *claimed(record.invocation_id, record.state, ask.runner_id, self.now(), start=ask.start > 0))
        return attrs.evolve(super().acquire((), ask), claimed=(got,))


class UnfencedMark(Saboteur):
    """Lets anybody report progress, also who owns it no more."""

    caught_by = ("test_a_mark_by_an_owner_is_refused_unless_it_owns",)

    def mark(self, marks: Sequence[Mark]) -> tuple[str, ...]:
        return super().mark([attrs.evolve(mark, owner=None) for mark in marks])


class FullOutbox(Saboteur):
    """Forgets nothing that was carried out."""

    caught_by = ("test_entries_leave_the_outbox_when_they_are_carried_out",)

    def mark(self, marks: Sequence[Mark]) -> tuple[str, ...]:
        return super().mark([attrs.evolve(mark, drop_outbox=()) for mark in marks])


class RepeatedPause(Saboteur):
    """Does not look at the number of history entries."""

    caught_by = ("test_with_a_number_a_repeated_pause_is_written_once",)

    def swap(self, changes: Sequence[Change]) -> Swapped:
        return super().swap([attrs.evolve(change, expect=attrs.evolve(change.expect, seq=None)) for change in changes])


class NoWindow(Saboteur):
    """Lets a unique key count as long as its invocation is not final, whatever its window."""

    caught_by = ("test_a_unique_key_with_a_window_counts_until_its_end_and_no_longer",)

    def add_batch(self, batch: Batch) -> Submitted:
        new = [attrs.evolve(each, invocation=attrs.evolve(each.invocation, unique_until=None)) for each in batch.invocations]
        return super().add_batch(attrs.evolve(batch, invocations=tuple(new)))


class UnlockedUnique(Saboteur):
    """Looks for the unique key first, and stores in a second step."""

    caught_by = ("test_of_two_batches_with_one_unique_key_one_is_stored",)

    def add_batch(self, batch: Batch) -> Submitted:
        keys = [new.invocation.unique_key for new in batch.invocations]
        if any(self.find(Query(unique_key=key)) for key in keys if key):
            return super().add_batch(batch)
        self.get_blobs([])
        with self.table.lock:
            for key in keys:
                self.table._unique.pop(key, None)
        return super().add_batch(batch)


class RisingBoost(Saboteur):
    """Lets the last boost win, also when it is a higher rank."""

    caught_by = ("test_a_boost_is_only_ever_lowered",)

    def mark(self, marks: Sequence[Mark]) -> tuple[str, ...]:
        with self.table.lock:
            for mark in marks:
                record = self.table.records.get(mark.invocation_id)
                if record and record.side.boost is not None and mark.boost is not None:
                    self.table.records[mark.invocation_id] = attrs.evolve(record, side=attrs.evolve(record.side, boost=None))
        return super().mark(marks)


class LostMark(Saboteur):
    """Reads the side values, and writes all of them back in a second step."""

    caught_by = ("test_two_marks_of_different_values_are_both_written",)

    def mark(self, marks: Sequence[Mark]) -> tuple[str, ...]:
        before = self.get([mark.invocation_id for mark in marks])
        self.get_blobs([])
        refused = super().mark(marks)
        with self.table.lock:
            for mark in marks:
                record, old = self.table.records.get(mark.invocation_id), before.get(mark.invocation_id)
                if record and old and mark.boost is None and record.side.boost != old.side.boost:
                    self.table.records[mark.invocation_id] = attrs.evolve(record, side=attrs.evolve(record.side, boost=old.side.boost))
        return refused


class LoudSignals(Saboteur):
    """Tells every runner every request."""

    caught_by = ("test_a_heartbeat_brings_requests_to_what_the_runner_owns",)

    def beat(self, runner_ids: Collection[str], lease: float, *, may_serve: bool = False) -> tuple[Signal, ...]:
        super().beat(runner_ids, lease, may_serve=may_serve)
        with self.table.lock:
            return tuple(record.side.signal for record in self.table.records.values() if record.side.signal and not record.state.final)


STATE_SABOTEURS: tuple[type[Saboteur], ...] = tuple(Saboteur.__subclasses__())
