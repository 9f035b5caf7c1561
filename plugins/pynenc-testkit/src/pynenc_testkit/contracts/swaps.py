"""The one fenced write: it is carried out whole, or refused and then changes nothing anywhere."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from pynenc_core.model import Expect, Mark, Payload, Refusal, Signal, SignalKind
from pynenc_core.status import Owner, Status
from pynenc_testkit.contracts.subject import StorageSubject
from pynenc_testkit.samples import (
    batch,
    blob,
    change,
    claim,
    finish,
    found,
    history,
    holders,
    ids,
    limits,
    new,
    pending,
    record,
    running,
    settled,
    state,
    statuses,
    swap,
    written,
)
from pynenc_testkit.stores import Raw, Store

RESULT = blob(b"a large result" * 200)
WRONG: dict[str, dict[str, Any]] = {
    "another status": {"status": Status.PENDING},
    "a final status": {"status": Status.SUCCESS},
    "another runner": {"runner_id": "r2"},
    "no runner": {"runner_id": ""},
    "an older claim": {"claim": 0},
    "a later claim": {"claim": 2},
}


class SwapRules(StorageSubject):
    """A change's expectation is checked and the change is written in one step."""

    def test_a_change_is_written_whole(self, store: Store, other: Store) -> None:
        held = running(store, limits=limits("key"))
        done = change(held, Status.SUCCESS, outcome=Payload(blob=RESULT.key, size=2800), blobs=(RESULT,), reason="well")
        assert swap(other, done) == (None,)
        got = state(store, held.invocation_id)
        assert (got.status, got.outcome, got.runner_id, got.claim) == (Status.SUCCESS, Payload(blob=RESULT.key, size=2800), "", 1)
        assert store.state.get_blobs([RESULT.key]) == {RESULT.key: b"a large result" * 200}
        assert history(store, held.invocation_id)[-1].status_record.reason == "well"
        assert found(store, statuses=frozenset({Status.SUCCESS})) == [held.invocation_id]
        assert found(store, runner_id="r1") == []
        assert holders(store, "key") == 0

    @pytest.mark.parametrize("wrong", WRONG)
    def test_a_refused_change_changes_nothing_anywhere(self, store: Store, other: Store, raw: Raw, wrong: str) -> None:
        held = running(store, limits=limits("key"), unique_key="one")
        store.state.add_batch(batch(new("awaited", rank=5.0)))
        before, dumped = record(store, held.invocation_id), raw.dump()
        expect = attrs.evolve(Expect(Status.RUNNING, "r1", 1), **WRONG[wrong])
        tries: tuple[tuple[tuple[Status, ...], dict[str, Any]], ...] = (
            ((Status.SUCCESS,), {"outcome": Payload(blob=RESULT.key), "blobs": (RESULT,), "outbox": ("x",)}),
            ((Status.PAUSED,), {"awaits": ("awaited",), "boost": 1.0}),
            ((Status.RUNNING_RECOVERY, Status.REROUTED), {"crashes": 1, "suspect": True}),
            ((), {"reason": "a note"}),
        )
        for through, fields in tries:
            refused = swap(other, change(held, *through, expect=expect, **fields))
            assert refused == (Refusal(held.invocation_id, Status.RUNNING, "r1", 1),)
        assert raw.dump() == dumped
        assert record(store, held.invocation_id) == before
        finish(store, held)
        assert raw.dump() != dumped

    def test_a_refused_change_leaves_no_blob(self, store: Store) -> None:
        held = running(store)
        stale = change(held, Status.SUCCESS, expect=Expect(Status.RUNNING, "r1", 7), blobs=(RESULT,), outcome=Payload(blob=RESULT.key))
        assert swap(store, stale)[0] is not None
        assert store.state.get_blobs([RESULT.key]) == {}
        finish(store, held, blobs=(RESULT,))
        assert list(store.state.get_blobs([RESULT.key])) == [RESULT.key]

    def test_a_refused_change_leaves_no_history(self, store: Store) -> None:
        held = running(store)
        before = history(store, held.invocation_id)
        assert swap(store, change(held, Status.FAILED, expect=Expect(Status.PENDING, "r1", 1)))[0] is not None
        assert history(store, held.invocation_id) == before
        assert state(store, held.invocation_id).seq == len(before) == 3

    def test_a_refused_pause_boosts_nobody(self, store: Store) -> None:
        held = running(store)
        store.state.add_batch(batch(new("child", rank=9.0)))
        stale = change(held, Status.PAUSED, expect=Expect(Status.RUNNING, "r2", 1), awaits=("child",), boost=1.0)
        assert swap(store, stale)[0] is not None
        assert record(store, "child").side.boost is None
        written(store, change(held, Status.PAUSED, awaits=("child",), boost=1.0))
        assert record(store, "child").side.boost == 1.0

    def test_a_stale_owner_is_refused_also_when_the_same_runner_claimed_again(self, store: Store) -> None:
        old = running(store, queue="q")
        settled(store, change(old, Status.RUNNING_RECOVERY, Status.REROUTED, by="sweeper"))
        new_hold = claim(store, "r1", start=1, queues=("q",)).claimed[0]
        assert (new_hold.state.runner_id, new_hold.state.claim) == ("r1", 2)
        assert swap(store, change(old, Status.SUCCESS, outcome=Payload(b"old"))) == (Refusal(old.invocation_id, Status.RUNNING, "r1", 2),)
        finish(store, new_hold, outcome=Payload(b"new"))
        assert swap(store, change(old, Status.SUCCESS, outcome=Payload(b"old"))) == (Refusal(old.invocation_id, Status.SUCCESS, "", 2),)
        assert state(store, old.invocation_id).outcome == Payload(b"new")

    def test_an_unknown_invocation_is_refused(self, store: Store) -> None:
        held = running(store)
        unknown = attrs.evolve(change(held, Status.SUCCESS), invocation_id="nobody")
        assert swap(store, unknown) == (Refusal("nobody", None),)

    def test_changes_of_one_call_are_judged_one_by_one_in_order(self, store: Store) -> None:
        first, second, third = (running(store) for _ in range(3))
        stale = change(second, Status.SUCCESS, expect=Expect(Status.RUNNING, "r9", 1))
        again = change(first, Status.FAILED)
        answers = swap(store, change(first, Status.SUCCESS), stale, again, change(third, Status.FAILED))
        assert answers == (
            None,
            Refusal(second.invocation_id, Status.RUNNING, "r1", 1),
            Refusal(first.invocation_id, Status.SUCCESS, "", 1),
            None,
        )
        assert [state(store, each.invocation_id).status for each in (first, second, third)] == [
            Status.SUCCESS,
            Status.RUNNING,
            Status.FAILED,
        ]

    def test_one_call_may_carry_one_invocation_on_twice(self, store: Store) -> None:
        held = pending(store)
        start = change(held, Status.RUNNING)
        end = change(held, Status.SUCCESS, expect=Expect(Status.RUNNING, "r1", 1), outcome=Payload(b"1"))
        assert swap(store, start, end) == (None, None)
        assert statuses(history(store, held.invocation_id)) == [Status.REGISTERED, Status.PENDING, Status.RUNNING, Status.SUCCESS]

    def test_the_owner_stays_in_owned_statuses_and_goes_in_others(self, store: Store) -> None:
        held = running(store)
        written(store, change(held, Status.PAUSED, awaits=("x",)))
        paused = record(store, held.invocation_id)
        assert (paused.state.runner_id, paused.state.claim, paused.state.awaits) == ("r1", 1, ("x",))
        written(store, change(paused, Status.RUNNING))
        resumed = record(store, held.invocation_id)
        assert (resumed.state.runner_id, resumed.state.claim, resumed.state.awaits) == ("r1", 1, ())
        written(store, change(resumed, Status.RETRY))
        assert (state(store, held.invocation_id).runner_id, state(store, held.invocation_id).claim) == ("", 1)

    def test_with_a_number_a_repeated_pause_is_written_once(self, store: Store, other: Store) -> None:
        held = running(store)
        expect = Expect(Status.RUNNING, "r1", 1, seq=held.state.seq)
        pause = change(held, Status.PAUSED, expect=expect, awaits=("x",))
        written(store, pause)
        written(store, change(record(store, held.invocation_id), Status.RUNNING))
        before = record(store, held.invocation_id)
        assert swap(other, pause) == (Refusal(held.invocation_id, Status.RUNNING, "r1", 1),)
        assert record(store, held.invocation_id) == before
        written(other, attrs.evolve(pause, expect=attrs.evolve(expect, seq=before.state.seq)))

    def test_a_pause_boosts_what_it_waits_for(self, store: Store) -> None:
        parent, done = running(store, rank=2.0), running(store)
        finish(store, done)
        store.state.add_batch(batch(new("low", rank=9.0), new("high", rank=1.0)))
        store.state.mark([Mark(invocation_id="high", boost=0.5)])
        written(store, change(parent, Status.PAUSED, awaits=("low", "high", done.invocation_id, "unknown"), boost=2.0))
        assert record(store, "low").side.boost == record(store, "low").rank == 2.0
        assert record(store, "high").side.boost == 0.5


class MarkRules(StorageSubject):
    """Side values stand beside the fenced part: they are small, the last write wins, and they refuse nobody."""

    def test_each_side_value_is_written_by_itself(self, store: Store, other: Store) -> None:
        signal = Signal(invocation_id="a", kind=SignalKind.DEADLOCK, claim=0, by="r2", reason="ring", circle=("a", "b", "a"))
        store.state.add_batch(batch(new("a"), new("b")))
        store.state.mark([Mark(invocation_id="a", boost=3.5)])
        store.state.mark([Mark(invocation_id="a", published_at=1e9 + 0.5), Mark(invocation_id="b", boost=1.0)])
        store.state.mark([Mark(invocation_id="a", signal=signal)])
        store.state.mark([Mark(invocation_id="a", progress=b"\x00half\xff")])
        side = record(other, "a").side
        assert (side.boost, side.published_at, side.signal, side.progress) == (3.5, 1e9 + 0.5, signal, b"\x00half\xff")
        store.state.mark([Mark(invocation_id="a", progress=b"more"), Mark(invocation_id="a", published_at=2e9)])
        side = record(other, "a").side
        assert (side.boost, side.published_at, side.signal, side.progress) == (3.5, 2e9, signal, b"more")
        assert record(other, "b").side.progress == b""

    def test_a_boost_is_only_ever_lowered(self, store: Store) -> None:
        store.state.add_batch(batch(new("a", rank=9.0)))
        seen: list[float | None] = []
        for boost in (5.0, 7.0, 2.0, 2.5):
            store.state.mark([Mark(invocation_id="a", boost=boost)])
            seen.append(record(store, "a").side.boost)
        assert seen == [5.0, 5.0, 2.0, 2.0]

    def test_marks_of_unknown_invocations_are_passed_over(self, store: Store) -> None:
        store.state.add_batch(batch(new("a")))
        store.state.mark([Mark(invocation_id="unknown", boost=1.0), Mark(invocation_id="a", boost=2.0)])
        assert record(store, "a").side.boost == 2.0
        assert found(store) == ["a"]

    def test_a_mark_by_an_owner_is_refused_unless_it_owns(self, store: Store, other: Store) -> None:
        held = running(store, queue="q")
        name = held.invocation_id
        mine = Mark(invocation_id=name, owner=held.state.owner, progress=b"mine", boost=1.0)
        assert store.state.mark([mine, Mark(invocation_id="unknown", owner=Owner("r1", 1), boost=1.0)]) == ("unknown",)
        settled(store, change(held, Status.RETRY))
        late = attrs.evolve(mine, progress=b"late", boost=0.0)
        assert other.state.mark([late, Mark(invocation_id=name, published_at=5.0)]) == (name,)
        assert ids(claim(store, "r1", queues=("q",))) == [name]
        assert other.state.mark([late]) == (name,)
        side = record(store, name).side
        assert (side.progress, side.boost, side.published_at) == (b"mine", 1.0, 5.0)

    def test_entries_leave_the_outbox_when_they_are_carried_out(self, store: Store, other: Store) -> None:
        held, none = running(store, "a"), running(store, "b")
        store.state.swap([change(held, Status.SUCCESS, outbox=("x", "y", "z")), change(none, Status.SUCCESS)])
        assert found(other, has_outbox=True) == ["a"]
        assert found(other, has_outbox=True, statuses=frozenset({Status.FAILED})) == []
        before = state(store, "a")
        assert other.state.mark([Mark(invocation_id="a", drop_outbox=("y", "unknown"))]) == ()
        assert state(store, "a") == attrs.evolve(before, outbox=("x", "z"))
        store.state.mark([Mark(invocation_id="a", drop_outbox=("z", "x"))])
        assert state(other, "a") == attrs.evolve(before, outbox=())
        assert found(store, has_outbox=True) == []
        assert len(history(store, "a")) == 4

    def test_a_mark_refuses_nobody_and_leaves_the_fenced_part(self, store: Store, other: Store) -> None:
        held = running(store)
        cancel = Signal(invocation_id=held.invocation_id, kind=SignalKind.CANCEL, by="user")
        other.state.mark([Mark(invocation_id=held.invocation_id, signal=cancel, progress=b"1", boost=0.0, published_at=1.0)])
        assert state(store, held.invocation_id) == held.state
        finish(store, held)
        assert record(store, held.invocation_id).side.progress == b"1"

    def test_side_values_outlive_changes(self, store: Store) -> None:
        held = running(store, queue="q")
        store.state.mark([Mark(invocation_id=held.invocation_id, progress=b"half", boost=1.0)])
        settled(store, change(held, Status.RETRY))
        assert ids(claim(store, queues=("q",))) == [held.invocation_id]
        side = record(store, held.invocation_id).side
        assert (side.progress, side.boost) == (b"half", 1.0)
