"""Records: whatever is given comes back, field by field, and a batch is stored once."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from pynenc_core.model import CallDTO, Limit, NewInvocation, Payload, WorkflowIdentity, applied, claimed, registered
from pynenc_core.status import Status
from pynenc_testkit.contracts.subject import StorageSubject
from pynenc_testkit.samples import (
    batch,
    blob,
    change,
    claim,
    finish,
    found,
    history,
    ids,
    new,
    record,
    running,
    settled,
    state,
    statuses,
    submit,
    written,
)
from pynenc_testkit.stores import Store

TEXT = "naïve\n\x7f 税 %_*'\"\\ 🧮"
LARGE = blob(b"large argument" * 1000)


def full(invocation_id: str = "inv-full") -> NewInvocation:
    """Return an invocation to register that has a value in every field."""
    made = new(
        invocation_id,
        task_id=f"shop.{TEXT}:Bill.pay",
        call_id=f"call#{TEXT}",
        workflow=WorkflowIdentity("root", "shop:root", "upper"),
        parent_id="parent",
        queue="fast",
        rank=-12.0625,
        expires=4e9,
        limits=(Limit(TEXT, 2), Limit("b", 1)),
        drop_when_limited=True,
        unique_key=f"unique {TEXT}",
        unique_until=5e9,
        batch_id="some batch",
        replay_of="an old one",
        registered_by=f"runner {TEXT}",
        arguments=(("x", Payload(b"\x00\xff\x80", size=3)), ("ü", Payload(blob=LARGE.key, size=14_000)), ("empty", Payload())),
    )
    call = made.call
    return attrs.evolve(made, call=CallDTO(call_id=call.call_id, task_id=call.task_id, arguments=call.arguments, serializer="other"))


FROM_RUNNING: dict[str, tuple[tuple[Status, ...], dict[str, Any]]] = {
    "pauses": ((Status.PAUSED,), {"awaits": ("a", "b"), "reason": TEXT}),
    "succeeds": ((Status.SUCCESS,), {"outcome": Payload(b"\x00result\xff", size=8), "outbox": ("told", TEXT)}),
    "succeeds with a blob": ((Status.SUCCESS,), {"outcome": Payload(blob=LARGE.key, size=14_000), "blobs": (LARGE,)}),
    "fails": ((Status.FAILED,), {"outcome": Payload(b"{}", size=2), "attempts": 1, "reason": TEXT}),
    "tries again": ((Status.RETRY,), {"attempts": 1, "reason": "TimeoutError"}),
    "tries again later": ((Status.RETRY, Status.SCHEDULED), {"attempts": 1, "due": 4e9}),
    "sleeps": ((Status.SCHEDULED,), {"due": 4e9 + 0.25}),
    "is handed back": ((Status.KILLED, Status.REROUTED), {"interruptions": 1}),
    "is recovered": ((Status.RUNNING_RECOVERY, Status.REROUTED), {"crashes": 1, "suspect": True, "by": "sweeper"}),
    "is quarantined": ((Status.RUNNING_RECOVERY, Status.QUARANTINED), {"crashes": 3, "suspect": False, "reason": "signal 9"}),
    "is cancelled": ((Status.CANCELLED,), {"reason": "asked by somebody"}),
    "is noted": ((), {"reason": TEXT}),
}


class RecordRules(StorageSubject):
    """What is stored is what was given, whoever reads it."""

    def test_every_field_of_a_new_record_comes_back(self, store: Store, other: Store) -> None:
        given = full()
        before = store.state.now()
        answer = store.state.add_batch(batch(given, blobs=(LARGE,)))
        assert answer.ids == ("inv-full",)
        assert not answer.reused
        for reader in (store, other):
            got = record(reader, "inv-full")
            expected, entry = registered(attrs.evolve(given, invocation=got.invocation), got.state.since)
            assert got == expected
            assert attrs.evolve(got.invocation, batch_id="some batch") == given.invocation
            assert got.call == given.call
            assert history(reader, "inv-full") == (entry,)
            assert before <= got.state.since <= reader.state.now()

    def test_a_record_that_is_due_later_begins_as_scheduled(self, store: Store) -> None:
        store.state.add_batch(batch(new("later", due=4e9 + 0.5), new("now")))
        assert (state(store, "later").status, state(store, "later").due) == (Status.SCHEDULED, 4e9 + 0.5)
        assert (state(store, "now").status, state(store, "now").due) == (Status.REGISTERED, None)

    @pytest.mark.parametrize("move", FROM_RUNNING)
    def test_every_field_of_a_change_is_written(self, store: Store, other: Store, move: str) -> None:
        through, fields = FROM_RUNNING[move]
        held = running(store)
        written(store, change(held, *through, **fields))
        for reader in (store, other):
            got = record(reader, held.invocation_id)
            expected, entries = applied(held.invocation_id, held.state, change(held, *through, **fields), got.state.since)
            assert got.state == expected
            kept = history(reader, held.invocation_id)[held.state.seq :]
            assert tuple(attrs.evolve(entry, at=0.0) for entry in kept) == tuple(attrs.evolve(entry, at=0.0) for entry in entries)

    def test_counters_add_up_and_the_outbox_grows(self, store: Store) -> None:
        held = running(store, queue="again")
        for _ in range(3):
            settled(store, change(held, Status.RETRY, attempts=1, crashes=2, interruptions=3, outbox=("x", f"of {held.state.claim}")))
            held = claim(store, queues=("again",), start=1).claimed[0]
        got = state(store, held.invocation_id)
        assert (got.attempts, got.crashes, got.interruptions, got.outbox) == (3, 6, 9, ("x", "of 1", "of 2", "of 3"))

    def test_a_claim_is_written_as_the_model_says(self, store: Store, other: Store) -> None:
        submit(store, new("a", due=store.state.now() - 1))
        before = state(store, "a")
        reply = claim(store, "r7", start=1)
        assert ids(reply) == ["a"]
        expected, entries = claimed("a", before, "r7", reply.claimed[0].state.since, start=True)
        assert reply.claimed[0].state == state(other, "a") == expected
        assert statuses(history(other, "a")) == [Status.SCHEDULED, *statuses(entries)]
        assert [entry.runner_context_id for entry in history(other, "a")][1:] == ["r7", "r7"]

    def test_what_is_not_there_is_left_out(self, store: Store) -> None:
        store.state.add_batch(batch(new("here")))
        assert set(store.state.get(["here", "nowhere"])) == {"here"}
        assert set(store.state.history(["here", "nowhere"])) == {"here"}
        assert store.state.get([]) == {}

    def test_a_batch_of_500_comes_back_in_order(self, store: Store) -> None:
        given = [new(f"inv-{number:04d}", rank=float(-number)) for number in range(500)]
        answer = store.state.add_batch(batch(*given))
        assert answer.ids == tuple(each.invocation.invocation_id for each in given)
        got = store.state.get(answer.ids)
        assert [got[invocation_id].invocation.rank for invocation_id in answer.ids] == [float(-number) for number in range(500)]

    def test_repeating_a_batch_changes_nothing(self, store: Store, other: Store) -> None:
        given = batch(new("a", unique_key="once"), new("b"), blobs=(LARGE,))
        first = store.state.add_batch(given)
        repeated = other.state.add_batch(given)
        assert first.ids == repeated.ids == ("a", "b")
        assert found(store) == ["a", "b"]
        assert statuses(history(store, "a")) == [Status.REGISTERED]

    def test_repeating_a_batch_leaves_what_has_moved_on(self, store: Store) -> None:
        given = batch(new("a"), new("b"))
        assert store.dispatcher.submit(given).ids == ("a", "b")
        held = claim(store, limit=2, start=1).claimed
        assert len(held) == 2
        finish(store, held[0])
        before = store.state.get(["a", "b"])
        assert store.state.add_batch(given).ids == ("a", "b")
        assert store.state.get(["a", "b"]) == before

    def test_a_unique_key_stands_for_the_one_that_is_not_final(self, store: Store, other: Store) -> None:
        first = running(store, "a", unique_key="k")
        again = other.state.add_batch(batch(new("b", unique_key="k"), new("c", unique_key="another")))
        assert (again.ids, again.reused) == (("a", "c"), frozenset({0}))
        assert found(store) == ["a", "c"]
        finish(store, first)
        after = other.state.add_batch(batch(new("d", unique_key="k")))
        assert (after.ids, after.reused) == (("d",), frozenset())
        assert found(store) == ["a", "c", "d"]

    def test_a_unique_key_counts_within_one_batch(self, store: Store) -> None:
        answer = store.state.add_batch(batch(new("a", unique_key="k"), new("b"), new("c", unique_key="k")))
        assert (answer.ids, answer.reused) == (("a", "b", "a"), frozenset({2}))
        assert found(store) == ["a", "b"]

    def test_a_unique_key_with_a_window_counts_until_its_end_and_no_longer(self, store: Store, other: Store) -> None:
        until = store.state.now() + 50
        first = running(store, "a", unique_key="k", unique_until=until)
        finish(store, first)
        store.lapse(1)
        assert store.state.sweep(store.state.now()).invocations == 0
        again = other.state.add_batch(batch(new("b", unique_key="k")))
        assert (again.ids, again.reused) == (("a",), frozenset({0}))
        store.lapse(50)
        assert other.state.add_batch(batch(new("c", unique_key="k", unique_until=store.state.now() + 5))).ids == ("c",)
        store.lapse(6)
        assert store.state.get(["c"])["c"].state.status is Status.REGISTERED
        assert other.state.add_batch(batch(new("d", unique_key="k"))).ids == ("d",)
        assert other.state.add_batch(batch(new("e", unique_key="k"))).ids == ("d",)
        assert store.state.sweep(store.state.now()).invocations == 1
        assert other.state.add_batch(batch(new("f", unique_key="k"))).ids == ("d",)
        assert found(store) == ["c", "d"]

    def test_blobs_of_a_batch_are_stored_with_it(self, store: Store, other: Store) -> None:
        store.state.add_batch(batch(new("a"), blobs=(LARGE, blob(b"another"))))
        assert other.state.get_blobs([LARGE.key, blob(b"another").key, "none"]) == {
            LARGE.key: b"large argument" * 1000,
            blob(b"another").key: b"another",
        }
