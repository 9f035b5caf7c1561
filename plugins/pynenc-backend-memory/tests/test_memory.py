"""What is special about keeping everything in memory: who shares it, and what stays cheap however much there is."""

from __future__ import annotations

import sys

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynenc_backend_memory.broker import MemoryBroker
from pynenc_backend_memory.dispatcher import MemoryDispatcher
from pynenc_backend_memory.ranking import RankedIds
from pynenc_backend_memory.state_backend import MemoryStateBackend
from pynenc_core.model import Change, Expect, Query
from pynenc_core.status import Status
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.samples import batch, change, claim, found, history, new, record, running, submit, swap
from pynenc_testkit.stores import KitApp, Store


def opened(url: str, app_id: str = "kit") -> Store:
    app = KitApp(app_id, url, ManualClock(ticking=True))
    state = MemoryStateBackend(app)
    return Store(app, MemoryBroker(app), state, MemoryDispatcher(state))


class TestSharing:
    def test_each_app_object_has_its_own_store(self) -> None:
        first, second = opened("memory://"), opened("memory://")
        submit(first, new("a"))
        assert (found(first), found(second)) == (["a"], [])

    def test_a_name_is_shared_by_who_gives_it_for_one_app(self) -> None:
        first, second, foreign = opened("memory://shared"), opened("memory://shared"), opened("memory://shared", "another")
        submit(first, new("a"))
        assert (found(second), found(foreign)) == (["a"], [])

    def test_a_named_store_goes_with_the_last_who_has_it(self) -> None:
        submit(opened("memory://short"), new("a"))
        assert found(opened("memory://short")) == []


class TestCost:
    """Counted in calls of Python functions, which no other process disturbs."""

    def test_claim_and_settle_cost_the_same_with_a_hundred_times_as_many(self) -> None:
        few, many = opened("memory://"), opened("memory://")
        for store, batches in ((few, 1), (many, 100)):
            for _ in range(batches):
                submit(store, *(new() for _ in range(100)))
            assert calls(store, 1) > 0
        assert calls(many, 50) <= calls(few, 50) * 1.15

    def test_a_repeated_boost_leaves_nothing_behind(self) -> None:
        ranked = RankedIds()
        for number in range(10_000):
            ranked.put("a", -number, awaited=True)
        assert len(ranked) == 1
        assert len(ranked._ready) + len(ranked._awaited) < 200

    def test_a_long_life_keeps_bounded_history(self) -> None:
        store = opened("memory://")
        held = running(store)
        for _ in range(1000):
            swap(store, change(record(store, held.invocation_id), reason="a note"))
        assert isinstance(store.state, MemoryStateBackend)
        assert len(history(store, held.invocation_id)) == len(store.state.table.timeline) == 200


def calls(store: Store, cycles: int) -> int:
    """Return how many Python functions are called by so many cycles of claim and settle."""
    count = 0

    def counted(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        for _ in range(cycles):
            (held,) = claim(store, start=1).claimed
            done = Change(invocation_id=held.invocation_id, expect=Expect(Status.RUNNING, "r1", 1), through=(Status.SUCCESS,), by="r1")
            store.dispatcher.settle([done])
    finally:
        sys.setprofile(before)
    return count


@attrs.frozen
class Put:
    name: str
    rank: float
    due: float | None
    awaited: bool


MOVES = st.lists(
    st.one_of(
        st.builds(Put, st.sampled_from("abcdef"), st.integers(-3, 3).map(float), st.sampled_from([None, None, 5.0, 9.0]), st.booleans()),
        st.sampled_from("abcdef"),
        st.sampled_from([1.0, 6.0, 20.0]),
    ),
    max_size=60,
)


@given(moves=MOVES)
def test_ids_come_out_by_rank_however_they_were_moved(moves: list[Put | str | float]) -> None:
    """Against the plainest model: a dict that is sorted each time."""
    ranked, model, now = RankedIds(), dict[str, Put](), 0.0
    for move in moves:
        if isinstance(move, Put):
            ranked.put(move.name, move.rank, move.due, awaited=move.awaited)
            model[move.name] = move
        elif isinstance(move, str):
            ranked.discard(move)
            model.pop(move, None)
        else:
            now = max(now, move)
        assert ranked.advance(now) == min((each.due for each in model.values() if each.due is not None and each.due > now), default=None)
        ready = sorted((each.rank, each.name, each.awaited) for each in model.values() if each.due is None or each.due <= now)
        assert ranked.first() == (ready[0][1] if ready else None)
        assert ranked.first(awaited_only=True) == next((name for _, name, awaited in ready if awaited), None)
        assert len(ranked) == len(model)


def test_a_batch_that_found_something_is_answered_alike_for_an_hour_only() -> None:
    store = opened("memory://")
    submit(store, new("first", unique_key="one"))
    second = batch(new("second", unique_key="one"))
    assert store.dispatcher.submit(second).ids == ("first",)
    swap(store, change(record(store, "first"), Status.CANCELLED))
    assert store.dispatcher.submit(second).ids == ("first",)
    store.app.clock.advance(3601)
    assert store.state.sweep(0.0).values == 1
    assert store.state.count(Query()) == {Status.CANCELLED: 1}


@pytest.mark.parametrize("url", ["memory://", "memory://name"])
def test_closing_twice_is_harmless(url: str) -> None:
    store = opened(url)
    store.close()
    store.close()
    submit(store, new("a"))
    assert found(store) == ["a"]
