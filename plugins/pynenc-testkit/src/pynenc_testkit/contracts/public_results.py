"""Results, exceptions and history under their public names: fenced like any write."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import pytest

from pynenc_core.errors.invocations import InvocationNotFoundError, InvocationStatusOwnershipError, InvocationStatusTransitionError
from pynenc_core.errors.records import OutcomeMissingError
from pynenc_core.errors.serialization import RemoteError
from pynenc_core.model import Payload, RunnerContext, StatusRecord
from pynenc_core.ports.state_backend import BaseStateBackend
from pynenc_core.status import Owner, Status
from pynenc_testkit.contracts.subject import StorageSubject
from pynenc_testkit.samples import batch, blob, change, claim, finish, history, new, record, running, settled, state, statuses, written
from pynenc_testkit.stores import Raw, Store

OWNER = Owner("r1", 1)
STRANGERS = {"nobody": None, "another runner": Owner("r2", 1), "an older claim": Owner("r1", 0), "a later claim": Owner("r1", 2)}
PARENT = RunnerContext(class_name="PoolRunner", runner_id="PoolRunner@host-1-x", host="host", pid=1, thread="MainThread")
CONTEXT = RunnerContext(class_name="Worker", runner_id="Worker@host-2-y", host="host", pid=2, parent=PARENT)
SAYS_IT_MAY_BE_OVERRIDDEN = {"serialize_exception", "deserialize_exception", "discover_app_infos"}

Write = Callable[[BaseStateBackend, str, Owner | None], None]
WRITES: dict[str, Write] = {
    "result": lambda state, invocation_id, owner: state.set_result(invocation_id, "late", owner=owner),
    "encoded result": lambda state, invocation_id, owner: state._set_result(invocation_id, Payload(b"late"), owner=owner),
    "exception": lambda state, invocation_id, owner: state.set_exception(invocation_id, ValueError("late"), owner=owner),
    "encoded exception": lambda state, invocation_id, owner: state._set_exception(invocation_id, Payload(b"late"), owner=owner),
}


class ResultRules(StorageSubject):
    """A result or an exception is written by the owner, together with the final status, and never changes."""

    def test_a_result_comes_with_success(self, store: Store, other: Store) -> None:
        held = running(store)
        store.state.set_result(held.invocation_id, {"sum": [1, 2.5, None]}, owner=OWNER)
        assert other.state.get_result(held.invocation_id) == {"sum": [1, 2.5, None]}
        assert other.state._get_result(held.invocation_id) == Payload(b'{"sum":[1,2.5,null]}', size=20)
        assert state(other, held.invocation_id).status is Status.SUCCESS
        assert statuses(history(other, held.invocation_id))[-2:] == [Status.RUNNING, Status.SUCCESS]
        assert history(other, held.invocation_id)[-1].runner_context_id == "r1"

    def test_none_is_a_result(self, store: Store) -> None:
        held = running(store)
        store.state.set_result(held.invocation_id, None, owner=OWNER)
        assert store.state.get_result(held.invocation_id) is None
        assert store.state._get_result(held.invocation_id) == Payload(b"null", size=4)

    def test_an_exception_comes_with_failed_and_counts_an_attempt(self, store: Store, other: Store) -> None:
        held = running(store)
        store.state.set_exception(held.invocation_id, LookupError("no", 3), owner=OWNER)
        error = other.state.get_exception(held.invocation_id)
        assert (type(error), error.args) == (LookupError, ("no", 3))
        ended = state(other, held.invocation_id)
        assert (ended.status, ended.attempts, ended.reason) == (Status.FAILED, 1, "LookupError: ('no', 3)")
        assert other.state.serialize_exception(error).startswith(b"{")

    def test_an_exception_of_an_unknown_class_keeps_its_text(self, store: Store) -> None:
        held = running(store)
        store.state.set_exception(held.invocation_id, type("Odd", (Exception,), {})("words"), owner=OWNER)
        error = store.state.get_exception(held.invocation_id)
        assert isinstance(error, RemoteError)
        assert (error.type_name.rpartition(".")[2], error.message) == ("Odd", "words")

    def test_the_encoded_halves_carry_payloads_and_blobs(self, store: Store, other: Store) -> None:
        large = blob(b"large" * 1000)
        first, second = running(store), running(store)
        store.state._set_result(first.invocation_id, Payload(blob=large.key, size=5000), (large,), owner=OWNER)
        store.state._set_exception(second.invocation_id, Payload(b"told", size=4), reason="why", owner=OWNER)
        assert other.state._get_result(first.invocation_id) == Payload(blob=large.key, size=5000)
        assert other.state.get_blobs([large.key]) == {large.key: b"large" * 1000}
        assert other.state._get_exception(second.invocation_id) == Payload(b"told", size=4)
        assert history(other, second.invocation_id)[-1].status_record.reason == "why"

    @pytest.mark.parametrize("stranger", STRANGERS)
    @pytest.mark.parametrize("write", WRITES)
    def test_who_does_not_own_it_is_refused_and_changes_nothing(self, store: Store, raw: Raw, write: str, stranger: str) -> None:
        held = running(store)
        before = raw.dump()
        with pytest.raises(InvocationStatusOwnershipError) as refused:
            WRITES[write](store.state, held.invocation_id, STRANGERS[stranger])
        assert (refused.value.owner, refused.value.owner_claim) == ("r1", 1)
        assert raw.dump() == before
        finish(store, held)
        assert raw.dump() != before

    @pytest.mark.parametrize("write", WRITES)
    def test_a_zombie_is_refused_wherever_its_work_went(self, store: Store, write: str) -> None:
        old = running(store, queue="q")
        late = WRITES[write]
        settled(store, change(old, Status.RUNNING_RECOVERY, Status.REROUTED, by="sweeper"))
        with pytest.raises(InvocationStatusOwnershipError):
            late(store.state, old.invocation_id, OWNER)
        again = claim(store, "r1", start=1, queues=("q",)).claimed[0]
        with pytest.raises(InvocationStatusOwnershipError):
            late(store.state, old.invocation_id, OWNER)
        store.state.set_result(again.invocation_id, "new", owner=Owner("r1", 2))
        with pytest.raises(InvocationStatusOwnershipError):
            late(store.state, old.invocation_id, OWNER)
        assert store.state.get_result(old.invocation_id) == "new"

    @pytest.mark.parametrize("write", WRITES)
    def test_an_outcome_never_changes(self, store: Store, write: str) -> None:
        held = running(store)
        store.state.set_result(held.invocation_id, "first", owner=OWNER)
        with pytest.raises(InvocationStatusTransitionError):
            WRITES[write](store.state, held.invocation_id, OWNER)
        with pytest.raises(InvocationStatusTransitionError):
            WRITES[write](store.state, held.invocation_id, None)
        assert store.state.get_result(held.invocation_id) == "first"

    def test_what_does_not_run_gets_no_result(self, store: Store) -> None:
        store.state.add_batch(batch(new("a")))
        with pytest.raises(InvocationStatusTransitionError):
            store.state.set_result("a", 1)
        assert state(store, "a").status is Status.REGISTERED

    def test_who_executes_it_is_its_owner(self, store: Store) -> None:
        first, second = running(store), running(store)
        store.app.acting[first.invocation_id] = OWNER
        store.state.set_result(first.invocation_id, 1)
        with pytest.raises(InvocationStatusOwnershipError):
            store.state.set_result(second.invocation_id, 2)
        store.app.acting[second.invocation_id] = Owner("r1", 7)
        store.state.set_result(second.invocation_id, 3, owner=OWNER)
        assert [store.state.get_result(each.invocation_id) for each in (first, second)] == [1, 3]

    def test_an_outcome_that_is_not_there_is_an_error(self, store: Store) -> None:
        held, done, failed = running(store), running(store), running(store)
        store.state.set_result(done.invocation_id, 1, owner=OWNER)
        store.state.set_exception(failed.invocation_id, ValueError(), owner=OWNER)
        wanted = [(held, Status.RUNNING, "result"), (held, Status.RUNNING, "exception")]
        wanted += [(done, Status.SUCCESS, "exception"), (failed, Status.FAILED, "result")]
        for each, status, what in wanted:
            with pytest.raises(OutcomeMissingError) as missing:
                getattr(store.state, f"get_{what}")(each.invocation_id)
            assert (missing.value.status, missing.value.wanted) == (status, what)

    def test_the_public_names_are_the_cores(self, store: Store) -> None:
        cls = type(store.state)
        public = [name for base in BaseStateBackend.__mro__ for name in vars(base) if name not in BaseStateBackend.__abstractmethods__]
        own = {name for name in public if not name.startswith("__") and getattr(cls, name, None) is not getattr(BaseStateBackend, name)}
        assert own - SAYS_IT_MAY_BE_OVERRIDDEN - {"_abc_impl"} == set()
        held = running(store)
        store.state.set_result(held.invocation_id, 1, owner=OWNER)
        store.state.wait_for_invocation_async_operations(held.invocation_id)
        store.state.wait_for_all_async_operations()
        assert store.state.get_result(held.invocation_id) == 1

    def test_an_unknown_invocation_is_named(self, store: Store) -> None:
        running(store, "known")
        ask: list[Callable[[str], object]] = [store.state.get_result, store.state.get_exception, store.state._get_result]
        ask += [store.state._get_exception, store.state.get_invocation, store.state.get_history]
        ask += [partial(store.state.set_result, result=1, owner=OWNER)]
        ask += [partial(store.state.add_history, status_record=StatusRecord(Status.REGISTERED), runner_context=CONTEXT)]
        for call in ask:
            with pytest.raises(InvocationNotFoundError) as unknown:
                call("nobody")
            assert (unknown.value.invocation_id, unknown.value.app_id) == ("nobody", store.app.app_id)
        assert store.state.get_invocation("known").status is Status.RUNNING


class NoteRules(StorageSubject):
    """What is added to history is a note: it names who and why, and moves nothing."""

    def test_a_note_is_one_more_entry_by_a_stored_context(self, store: Store, other: Store) -> None:
        held = running(store)
        present = history(store, held.invocation_id)[-1].status_record
        store.state.add_history(held.invocation_id, attrs.evolve(present, reason="half done"), CONTEXT)
        entries = other.state.get_history(held.invocation_id)
        assert [entry.seq for entry in entries] == [1, 2, 3, 4]
        assert entries[-1].status_record == StatusRecord(Status.RUNNING, "r1", 1, "half done")
        assert entries[-1].runner_context_id == CONTEXT.runner_id
        assert other.state.get_runner_context(CONTEXT.runner_id) == CONTEXT
        assert other.state.get_runner_context(PARENT.runner_id) == PARENT

    @pytest.mark.parametrize("status", [Status.SCHEDULED, Status.RUNNING, Status.PAUSED, Status.SUCCESS, Status.FAILED])
    def test_a_note_moves_nothing(self, store: Store, status: Status) -> None:
        held = running(store, "a")
        store.state.add_batch(batch(new("b")))
        details: dict[Status, dict[str, Any]] = {
            Status.SCHEDULED: {"due": store.state.now() + 1000},
            Status.PAUSED: {"awaits": ("b",), "boost": 1.0},
            Status.SUCCESS: {"outcome": Payload(b"1", size=1), "reason": "well"},
            Status.FAILED: {"outcome": Payload(b"e", size=1), "attempts": 1, "reason": "badly"},
        }
        if status is not Status.RUNNING:
            written(store, change(held, status, **details[status]))
        before = record(store, "a")
        store.state.add_history("a", attrs.evolve(store.state.get_history("a")[-1].status_record, reason="note"), CONTEXT)
        after = record(store, "a")
        assert after == attrs.evolve(before, state=attrs.evolve(before.state, seq=before.state.seq + 1))
        assert store.state.get_history("a")[-1].status_record.reason == "note"

    @pytest.mark.parametrize("stale", ["status", "runner", "claim", "released"])
    def test_a_note_by_a_stale_owner_is_refused(self, store: Store, stale: str) -> None:
        held = running(store)
        present = StatusRecord(Status.RUNNING, "r1", 1, "late")
        wrong = {
            "status": attrs.evolve(present, status=Status.PENDING),
            "runner": attrs.evolve(present, runner_id="r2"),
            "claim": attrs.evolve(present, claim=0),
            "released": present,
        }[stale]
        if stale == "released":
            settled(store, change(held, Status.RUNNING_RECOVERY, Status.REROUTED, by="sweeper"))
        before, entries = record(store, held.invocation_id), history(store, held.invocation_id)
        with pytest.raises(InvocationStatusOwnershipError):
            store.state.add_history(held.invocation_id, wrong, CONTEXT)
        assert (record(store, held.invocation_id), history(store, held.invocation_id)) == (before, entries)

    def test_notes_on_many_are_judged_one_by_one(self, store: Store) -> None:
        held = [running(store), running(store, runner_id="r2"), running(store)]
        with pytest.raises(InvocationStatusOwnershipError) as refused:
            store.state.add_histories(held, StatusRecord(Status.RUNNING, "r1", 1, "note"), CONTEXT)
        assert refused.value.invocation_id == held[1].invocation_id
        assert [len(store.state.get_history(each.invocation_id)) for each in held] == [4, 3, 4]

    def test_a_range_of_history_comes_in_batches(self, store: Store, other: Store) -> None:
        running(store, "a")
        store.lapse(1)
        start = store.state.now()
        store.lapse(1)
        finish(store, running(store, "b"))
        running(store, "c")
        store.lapse(1)
        end = store.state.now()
        store.lapse(1)
        running(store, "d")
        pages = list(other.state.iter_history_in_timerange(start, end, batch_size=3))
        assert [len(page) for page in pages] == [3, 3, 1]
        entries = [entry for page in pages for entry in page]
        assert sorted(entries, key=lambda entry: (entry.invocation_id, entry.seq)) == [*history(store, "b"), *history(store, "c")]
        assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
        edge = entries[3].at
        assert [entry for page in other.state.iter_history_in_timerange(start, edge) for entry in page] == [
            e for e in entries if e.at < edge
        ]
