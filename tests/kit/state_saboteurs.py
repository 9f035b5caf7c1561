"""Memory stores with one mistake each in the state backend, of the kind that careful people make."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Sequence
from typing import ClassVar

import attrs

from kit.inner_run import caught_by
from pynenc_backend_memory.records import MemoryWatch
from pynenc_backend_memory.state_backend import MemoryStateBackend, _named
from pynenc_backend_memory.step import MemoryStep
from pynenc_backend_memory.table import MemoryTable
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
)
from pynenc_core.status import Status


class Saboteur(MemoryStateBackend):
    """A correct store, to be spoilt; `caught_by` names the tests that must notice."""

    caught_by: ClassVar[tuple[str, ...]]
    step_class: ClassVar[type[MemoryStep]] = MemoryStep

    def step(self) -> MemoryStep:
        """Return a step, which may be spoilt."""
        return self.step_class(self.table, self.now())

    def tables(self) -> list[MemoryTable]:
        """Return the tables of every app in the same place."""
        place = self.app.store_url("state_backend").partition("://")[2]
        return [table for (where, _), table in _named.items() if where == place]

    def force(self, change: Change) -> Swapped:
        """Write a change whatever its expectation is."""
        record = self.table.records.get(change.invocation_id)
        if record is None:
            return Swapped((Refusal(change.invocation_id, None),))
        state = record.state
        fitting = attrs.evolve(change, expect=Expect(state.status, state.runner_id, state.claim))
        return MemoryStateBackend.swap(self, [fitting])


def joined(answers: Iterable[Swapped]) -> Swapped:
    """Return the answers to several changes as one."""
    every = tuple(answers)
    refused = tuple(refusal for each in every for refusal in each.refused)
    return Swapped(refused, tuple(entry for each in every for entry in each.claimable))


@caught_by("test_of_two_swaps_one_wins")
class UnlockedSwap(Saboteur):
    """Reads, compares, and writes in a second step."""

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


@caught_by("test_a_stale_owner_is_refused_also_when_the_same_runner_claimed_again", "test_a_refused_change_changes_nothing_anywhere")
class BlindWrite(Saboteur):
    """Looks at the status only: whoever held it before may write."""

    def swap(self, changes: Sequence[Change]) -> Swapped:
        answers: list[Swapped] = []
        for change in changes:
            record = self.get([change.invocation_id]).get(change.invocation_id)
            fits = record is not None and record.state.status is change.expect.status
            answers.append(self.force(change) if fits else super().swap([change]))
        return joined(answers)


@caught_by("test_a_stale_owner_is_refused_also_when_the_same_runner_claimed_again")
class RunnerOnly(Saboteur):
    """Knows an owner by its runner alone, so that the same runner's older claim passes."""

    def swap(self, changes: Sequence[Change]) -> Swapped:
        answers: list[Swapped] = []
        for change in changes:
            record = self.get([change.invocation_id]).get(change.invocation_id)
            same = record is not None and (record.state.status, record.state.runner_id) == (change.expect.status, change.expect.runner_id)
            answers.append(self.force(change) if same else super().swap([change]))
        return joined(answers)


@caught_by("test_each_transition_leaves_one_entry", "test_every_field_of_a_change_is_written")
class LostHistory(Saboteur):
    """Notes only the last of the statuses that a change goes through."""

    def swap(self, changes: Sequence[Change]) -> Swapped:
        return super().swap([attrs.evolve(change, through=change.through[-1:]) for change in changes])


@caught_by("test_a_refused_change_leaves_no_blob", "test_a_refused_change_changes_nothing_anywhere")
class BlobsFirst(Saboteur):
    """Stores a change's blobs before it knows whether the change is refused."""

    def swap(self, changes: Sequence[Change]) -> Swapped:
        for change in changes:
            self.put_blobs(change.blobs)
        return super().swap(changes)


@caught_by("test_changes_of_one_call_are_judged_one_by_one_in_order")
class AllOrNothing(Saboteur):
    """Refuses the rest of a call after the first refusal."""

    def swap(self, changes: Sequence[Change]) -> Swapped:
        answers: list[Swapped] = []
        for change in changes:
            failed = any(refusal is not None for answer in answers for refusal in answer.refused)
            answers.append(Swapped((Refusal(change.invocation_id, None),)) if failed else super().swap([change]))
        return joined(answers)


@caught_by("test_what_becomes_final_while_somebody_waits_is_reported", "test_every_watcher_is_told")
class SilentSwap(Saboteur):
    """Tells no watcher what a swap ends."""

    def swap(self, changes: Sequence[Change]) -> Swapped:
        with self.table.lock:
            listeners, self.table.listeners = self.table.listeners, type(self.table.listeners)(set)
        answers = super().swap(changes)
        with self.table.lock:
            self.table.listeners = listeners
        return answers


@caught_by("test_a_watch_begun_while_it_ends_is_told")
class LateWatch(Saboteur):
    """Looks what is final first, and begins to listen afterwards."""

    def watch(self, invocation_ids: Collection[str]) -> MemoryWatch:
        found = self.get(invocation_ids)
        gone = {each for each in invocation_ids if each not in found or found[each].state.final}
        self.get_blobs([])
        watch = MemoryWatch(self.table, invocation_ids)
        watch._ended = gone
        return watch


@caught_by("test_pages_are_by_id_within_bounds", "test_pages_neither_skip_nor_repeat_while_others_come_and_go")
class SkippingPages(Saboteur):
    """Cuts the page before it looks at the bounds."""

    def find(
        self, query: Query, *, after: str = "", before: str = "", limit: int = 100, newest_first: bool = False
    ) -> tuple[InvocationRecord, ...]:
        page = super().find(query, limit=limit, newest_first=newest_first)
        return tuple(record for record in page if after < record.invocation_id and (not before or record.invocation_id < before))


@caught_by("test_records_are_apart")
class ForeignApps(Saboteur):
    """Finds the records of every app."""

    def find(
        self, query: Query, *, after: str = "", before: str = "", limit: int = 100, newest_first: bool = False
    ) -> tuple[InvocationRecord, ...]:
        found = list(super().find(query, after=after, before=before, limit=limit, newest_first=newest_first))
        for table in self.tables():
            if table is not self.table:
                found += [table.records[each] for each in table.select(query)]
        return tuple(found[:limit])


@caught_by("test_a_purge_leaves_other_apps_alone")
class PurgesTooMuch(Saboteur):
    """Empties the whole store, not only what belongs to this app."""

    def purge(self) -> None:
        for table in self.tables():
            with table.lock:
                table.clear()


@caught_by("test_a_sweep_removes_what_was_final_before")
class SweepsTooMuch(Saboteur):
    """Removes everything that is final, however recently."""

    def sweep(self, before: float, limit: int = 1000) -> Swept:
        return super().sweep(before + 1e9, limit)


@caught_by("test_the_first_20_and_the_last_180_entries_are_kept")
class ShortHistory(Saboteur):
    """Keeps the last 200 entries, and not how it began."""

    def history(self, invocation_ids: Collection[str]) -> dict[str, tuple[InvocationHistory, ...]]:
        full = super().history(invocation_ids)
        return {each: entries if len(entries) < 200 else entries[20:] for each, entries in full.items()}


@caught_by("test_a_window_of_history_is_half_open")
class OpenWindow(Saboteur):
    """Takes the end of a time range for a part of it."""

    def history_between(
        self, start: float, end: float, *, after: tuple[float, str, int] | None = None, limit: int = 100
    ) -> tuple[InvocationHistory, ...]:
        return super().history_between(start, end + 1e-6, after=after, limit=limit)


@caught_by("test_a_reference_moves_the_expiry_forward_and_never_back")
class BackwardExpiry(Saboteur):
    """Takes the last reference's time to live for the blob's."""

    def put_blobs(self, blobs: Iterable[Blob]) -> None:
        blobs = tuple(blobs)
        with self.table.lock:
            for blob in blobs:
                self.table.blobs.pop(blob.key, None)
        super().put_blobs(blobs)


@caught_by("test_values_are_listed_by_prefix_in_pages")
class PatternPrefix(Saboteur):
    """Hands a prefix to a pattern matcher without escaping it."""

    def list_values(self, kind: str, *, prefix: str = "", after: str = "", limit: int = 100) -> tuple[tuple[str, bytes], ...]:
        every = super().list_values(kind, after=after, limit=10_000)
        return tuple(pair for pair in every if fnmatch.fnmatchcase(pair[0], prefix + "*"))[:limit]


@caught_by(
    "test_a_role_passes_on_when_its_time_is_over_with_a_higher_fence", "test_a_role_that_is_given_back_is_free_at_once_with_a_higher_fence"
)
class ForgottenFence(Saboteur):
    """Counts a role's holders anew for each."""

    def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        lease = super().take_lease(name, holder, seconds)
        return None if lease is None else attrs.evolve(lease, fence=1)


@caught_by("test_of_two_that_take_a_role_one_gets_it")
class UnlockedLease(Saboteur):
    """Looks whether a role is free, and takes it in a second step."""

    def take_lease(self, name: str, holder: str, seconds: float) -> Lease | None:
        held = self.table.leases.get(name)
        if held and held.holder not in {"", holder} and held.until > self.now():
            return None
        self.get_values("lease", [name])
        with self.table.lock:
            fence = held.fence + (held.holder != holder) if held else 1
            lease = self.table.leases[name] = Lease(name, holder, fence, self.now() + seconds)
        return lease


class NobodyBeside(MemoryStep):
    """Finds nobody beside any key."""

    def first_beside(self, key: str) -> InvocationRecord | None:
        del key
        return None


@caught_by("test_a_release_wakes_the_first_all_of_whose_limits_have_room", "test_a_swap_says_what_it_made_claimable")
class WaitersForgotten(Saboteur):
    """Leaves who waits beside a key there when a swap frees it."""

    step_class: ClassVar[type[MemoryStep]] = NobodyBeside


class FirstOnly(MemoryStep):
    """Looks at the first beside a key, and at nobody behind it."""

    def wait_beside(self, held: InvocationRecord, key: str) -> None:
        super().wait_beside(held, key)
        self.first_beside = lambda _key: None  # type: ignore[method-assign] # spoilt on purpose


@caught_by("test_a_release_wakes_the_first_all_of_whose_limits_have_room")
class FirstBesideOnly(Saboteur):
    """Wakes nobody when the first beside a key has to wait for another key."""

    step_class: ClassVar[type[MemoryStep]] = FirstOnly


@caught_by("test_a_swap_says_what_it_made_claimable")
class QuietSwap(Saboteur):
    """Names only the changed ones of what it made claimable."""

    def swap(self, changes: Sequence[Change]) -> Swapped:
        swapped = super().swap(changes)
        own = {change.invocation_id for change in changes}
        return attrs.evolve(swapped, claimable=tuple(each for each in swapped.claimable if each.invocation_id in own))


@caught_by("test_of_two_that_acquire_one_invocation_one_gets_it", "test_of_two_that_acquire_the_last_place_of_a_limit_one_gets_it")
class UnlockedAcquire(Saboteur):
    """Looks at a record and at its limits, and claims it in a second step."""

    def acquire(self, invocation_ids: Sequence[str], ask: Ask) -> ClaimReply:
        seen = self.get(invocation_ids).get(invocation_ids[0]) if len(invocation_ids) == 1 else None
        room = seen and all(self.holders([limit.key])[limit.key] < limit.most for limit in seen.invocation.limits)
        plain = seen and seen.state.status is Status.REGISTERED and not (seen.invocation.expires or ask.awaited_only)
        if seen is None or not room or not plain or ask.limit < 1:
            return super().acquire(invocation_ids, ask)
        self.get_blobs([])
        with self.table.lock:
            state, entries = claimed(seen.invocation_id, seen.state, ask.runner_id, self.now(), start=ask.start > 0)
            self.table.replace(self.table.records[seen.invocation_id], attrs.evolve(seen, state=state), entries, "")
        return attrs.evolve(super().acquire((), ask), claimed=(attrs.evolve(seen, state=state),))


class EveryRequest(MemoryStep):
    """Brings all requests to what somebody owns, whatever claim they are for."""

    def signals(self, runner_ids: Collection[str]) -> tuple[Signal, ...]:
        mine = [record for record in self._table.records.values() if record.state.runner_id in runner_ids]
        return tuple(record.side.signal for record in mine if record.side.signal)


@caught_by("test_a_mark_by_an_owner_is_refused_unless_it_owns")
class UnfencedMark(Saboteur):
    """Lets anybody report progress, also who owns it no more."""

    def mark(self, marks: Sequence[Mark]) -> tuple[str, ...]:
        return super().mark([attrs.evolve(mark, owner=None) for mark in marks])


@caught_by("test_entries_leave_the_outbox_when_they_are_carried_out")
class FullOutbox(Saboteur):
    """Forgets nothing that was carried out."""

    def mark(self, marks: Sequence[Mark]) -> tuple[str, ...]:
        return super().mark([attrs.evolve(mark, drop_outbox=()) for mark in marks])


@caught_by("test_with_a_number_a_repeated_pause_is_written_once")
class RepeatedPause(Saboteur):
    """Does not look at the number of history entries."""

    def swap(self, changes: Sequence[Change]) -> Swapped:
        return super().swap([attrs.evolve(change, expect=attrs.evolve(change.expect, seq=None)) for change in changes])


@caught_by("test_a_unique_key_with_a_window_counts_until_its_end_and_no_longer")
class NoWindow(Saboteur):
    """Lets a unique key count as long as its invocation is not final, whatever its window."""

    def add_batch(self, batch: Batch) -> Submitted:
        new = [attrs.evolve(each, invocation=attrs.evolve(each.invocation, unique_until=None)) for each in batch.invocations]
        return super().add_batch(attrs.evolve(batch, invocations=tuple(new)))


@caught_by("test_a_request_for_one_claim_reaches_no_other")
class StaleSignals(Saboteur):
    """Tells an owner what was meant for the one before."""

    def beat(self, runner_ids: Collection[str], lease: float, *, may_serve: bool = False) -> tuple[Signal, ...]:
        super().beat(runner_ids, lease, may_serve=may_serve)
        with self.table.lock:
            return EveryRequest(self.table, self.now()).signals(runner_ids)


@caught_by("test_of_two_batches_with_one_unique_key_one_is_stored")
class UnlockedUnique(Saboteur):
    """Looks for the unique key first, and stores in a second step."""

    def add_batch(self, batch: Batch) -> Submitted:
        keys = [new.invocation.unique_key for new in batch.invocations]
        if any(self.find(Query(unique_key=key)) for key in keys if key):
            return super().add_batch(batch)
        self.get_blobs([])
        with self.table.lock:
            for key in keys:
                self.table.unique.pop(key, None)
        return super().add_batch(batch)


@caught_by("test_a_boost_is_only_ever_lowered")
class RisingBoost(Saboteur):
    """Lets the last boost win, also when it is a higher rank."""

    def mark(self, marks: Sequence[Mark]) -> tuple[str, ...]:
        refused = super().mark(marks)
        with self.table.lock:
            for mark in marks:
                record = self.table.records.get(mark.invocation_id)
                if record and mark.boost is not None and record.side.boost != mark.boost:
                    self.table.records[mark.invocation_id] = attrs.evolve(record, side=attrs.evolve(record.side, boost=mark.boost))
        return refused


@caught_by("test_two_marks_of_different_values_are_both_written")
class LostMark(Saboteur):
    """Reads the side values, and writes all of them back in a second step."""

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


@caught_by("test_a_heartbeat_brings_requests_to_what_the_runner_owns")
class LoudSignals(Saboteur):
    """Tells every runner every request."""

    def beat(self, runner_ids: Collection[str], lease: float, *, may_serve: bool = False) -> tuple[Signal, ...]:
        super().beat(runner_ids, lease, may_serve=may_serve)
        with self.table.lock:
            return tuple(record.side.signal for record in self.table.records.values() if record.side.signal and not record.state.final)


STATE_SABOTEURS: tuple[type[Saboteur], ...] = tuple(Saboteur.__subclasses__())
