"""What processes agree through: heartbeats, roles held for a time, and the slots of limits."""

from __future__ import annotations

import pytest

from pynenc_core.model import Limit, Mark, Signal, SignalKind
from pynenc_core.status import Status
from pynenc_testkit.contracts.subject import StorageSubject
from pynenc_testkit.samples import batch, change, claim, finish, holders, ids, limits, new, pending, record, running, settled, written
from pynenc_testkit.stores import Store

SLOT_GRACE = 30.0


class BeatRules(StorageSubject):
    """Heartbeats say who lives, and bring requests to what the living own."""

    def test_a_heartbeat_shows_from_when_to_when_a_runner_lives(self, store: Store, other: Store) -> None:
        before = store.state.now()
        store.state.beat(["r2", "r1"], 30.0, may_serve=True)
        after = store.state.now()
        first, second = other.state.beats()
        assert (first.runner_id, second.runner_id) == ("r1", "r2")
        assert before <= first.first_at == first.last_at <= after
        assert first.alive_until == pytest.approx(first.last_at + 30.0, abs=1e-3)
        assert first.may_serve
        store.lapse(5)
        store.state.beat(["r1"], 10.0)
        again, silent = other.state.beats()
        assert again.first_at == first.first_at
        assert again.last_at >= first.last_at + 5
        assert again.alive_until == pytest.approx(again.last_at + 10.0, abs=1e-3)
        assert not again.may_serve
        assert silent == second

    def test_the_dead_stay_known_until_they_are_forgotten(self, store: Store, other: Store) -> None:
        store.state.beat(["r1", "r2"], 1.0)
        store.lapse(2)
        assert [beat.alive_until < store.state.now() for beat in other.state.beats()] == [True, True]
        other.state.forget_runners(["r1", "nobody"])
        assert [beat.runner_id for beat in store.state.beats()] == ["r2"]

    def test_a_heartbeat_brings_requests_to_what_the_runner_owns(self, store: Store, other: Store) -> None:
        held, foreign = running(store, runner_id="r1"), running(store, runner_id="r2")
        store.state.add_batch(batch(new("free")))
        asked = [
            Signal(invocation_id=each, kind=SignalKind.CANCEL, by="me") for each in (held.invocation_id, foreign.invocation_id, "free")
        ]
        other.state.mark([Mark(invocation_id=each.invocation_id, signal=each) for each in asked])
        assert store.state.beat(["r1"], 30.0) == (asked[0],)
        assert set(store.state.beat(["r1", "r2"], 30.0)) == set(asked[:2])
        assert store.state.beat(["r3"], 30.0) == ()

    def test_a_request_is_repeated_until_it_is_answered(self, store: Store) -> None:
        held = running(store)
        signal = Signal(invocation_id=held.invocation_id, kind=SignalKind.CANCEL)
        store.state.mark([Mark(invocation_id=held.invocation_id, signal=signal)])
        assert store.state.beat(["r1"], 30.0) == store.state.beat(["r1"], 30.0) == (signal,)
        finish(store, held, Status.CANCELLED)
        assert store.state.beat(["r1"], 30.0) == ()


class LeaseRules(StorageSubject):
    """One holder of a role at a time, and a fence that rises with each new one."""

    def test_a_role_has_one_holder_who_may_renew(self, store: Store, other: Store) -> None:
        taken = store.state.take_lease("role", "r1", 30.0)
        assert taken is not None
        assert (taken.name, taken.holder) == ("role", "r1")
        assert taken.until == pytest.approx(store.state.now() + 30.0, abs=1.0)
        assert other.state.take_lease("role", "r2", 30.0) is None
        store.lapse(10)
        renewed = other.state.take_lease("role", "r1", 30.0)
        assert renewed is not None
        assert renewed.fence == taken.fence
        assert renewed.until >= taken.until + 9
        assert other.state.take_lease("another role", "r2", 30.0) is not None

    def test_a_role_passes_on_when_its_time_is_over_with_a_higher_fence(self, store: Store, other: Store) -> None:
        fences: list[int] = []
        for number in range(4):
            lease = (store, other)[number % 2].state.take_lease("role", f"r{number}", 1.0)
            assert lease is not None
            fences.append(lease.fence)
            store.lapse(2)
        assert fences == sorted(set(fences))

    def test_a_role_that_is_given_back_is_free_at_once_with_a_higher_fence(self, store: Store, other: Store) -> None:
        first = store.state.take_lease("role", "r1", 30.0)
        assert first is not None
        other.state.drop_lease("role", "r2")
        other.state.drop_lease("role that nobody has", "r1")
        assert other.state.take_lease("role", "r2", 30.0) is None
        store.state.drop_lease("role", "r1")
        second = other.state.take_lease("role", "r2", 30.0)
        assert second is not None
        assert second.fence > first.fence

    def test_who_lost_a_role_and_takes_it_again_has_a_higher_fence(self, store: Store, other: Store) -> None:
        first = store.state.take_lease("role", "r1", 1.0)
        store.lapse(2)
        between = other.state.take_lease("role", "r2", 1.0)
        store.lapse(2)
        again = store.state.take_lease("role", "r1", 1.0)
        assert first is not None
        assert between is not None
        assert again is not None
        assert first.fence < between.fence < again.fence


class SlotRules(StorageSubject):
    """Never more live holders than a limit allows, and a dead one holds nothing."""

    def test_there_are_as_many_slots_as_the_limit_says(self, store: Store, other: Store) -> None:
        limit = Limit("key", 2)
        assert [other.state.take_slot(limit, name, 1) for name in ("a", "b", "c")] == [True, True, False]
        assert store.state.holders(["key", "nothing held"]).get("key") == 2
        assert holders(store, "nothing held") == 0
        assert store.state.take_slot(Limit("another", 1), "c", 1)

    def test_who_holds_a_slot_takes_no_second_one(self, store: Store, other: Store) -> None:
        limit = Limit("key", 2)
        assert [store.state.take_slot(limit, "a", 1) for _ in range(3)] == [True, True, True]
        assert holders(store, "key") == 1
        assert other.state.take_slot(limit, "b", 1)

    def test_a_freed_slot_can_be_taken(self, store: Store, other: Store) -> None:
        one, two = Limit("one", 1), Limit("two", 1)
        assert store.state.take_slot(one, "a", 3)
        assert store.state.take_slot(two, "a", 3)
        other.state.free_slots("a", 2)
        assert not other.state.take_slot(one, "b", 1)
        other.state.free_slots("a", 3)
        assert other.state.take_slot(one, "b", 1)
        assert other.state.take_slot(two, "b", 1)

    def test_a_slot_for_a_claim_that_is_never_written_is_free_after_the_grace(self, store: Store) -> None:
        assert store.state.take_slot(Limit("key", 1), "a", 1)
        store.lapse(SLOT_GRACE - 5)
        assert not store.state.take_slot(Limit("key", 1), "b", 1)
        store.lapse(6)
        assert holders(store, "key") == 0
        assert store.state.take_slot(Limit("key", 1), "b", 1)

    def test_a_slot_is_held_as_long_as_the_claim_it_was_taken_for(self, store: Store) -> None:
        store.dispatcher.submit(batch(new("a", queue="q")))
        assert store.state.take_slot(Limit("key", 1), "a", 1)
        held = claim(store, queues=("q",), start=1).claimed[0]
        store.lapse(SLOT_GRACE + 1)
        assert not store.state.take_slot(Limit("key", 1), "b", 1)
        written(store, change(held, Status.PAUSED))
        assert holders(store, "key") == 1
        finish(store, record(store, "a"))
        assert holders(store, "key") == 0
        assert store.state.take_slot(Limit("key", 1), "b", 1)

    def test_a_slot_ends_with_its_claim_although_the_invocation_is_claimed_anew(self, store: Store) -> None:
        store.dispatcher.submit(batch(new("a", queue="q")))
        assert store.state.take_slot(Limit("key", 1), "a", 1)
        held = claim(store, queues=("q",), start=1).claimed[0]
        settled(store, change(held, Status.RUNNING_RECOVERY, Status.REROUTED, by="sweeper"))
        assert ids(claim(store, queues=("q",))) == ["a"]
        assert holders(store, "key") == 0
        assert store.state.take_slot(Limit("key", 1), "b", 1)

    @pytest.mark.parametrize("status", [Status.PENDING, Status.RUNNING, Status.PAUSED])
    def test_an_owned_invocation_holds_the_slots_of_its_limits(self, store: Store, status: Status) -> None:
        held = pending(store, limits=limits("key"))
        through = {Status.PENDING: (), Status.RUNNING: (Status.RUNNING,), Status.PAUSED: (Status.RUNNING, Status.PAUSED)}[status]
        if through:
            written(store, change(held, *through))
        assert holders(store, "key") == 1
        assert not store.state.take_slot(Limit("key", 1), "b", 1)

    @pytest.mark.parametrize(
        "through",
        [
            (Status.SUCCESS,),
            (Status.RETRY,),
            (Status.KILLED, Status.REROUTED),
            (Status.RUNNING_RECOVERY, Status.REROUTED),
            (Status.CANCELLED,),
        ],
        ids=lambda through: through[-1].lower() if len(through) == 1 else "-".join(through).lower(),
    )
    def test_whatever_ends_the_ownership_frees_the_slots(self, store: Store, through: tuple[Status, ...]) -> None:
        held = running(store, limits=limits("key"))
        assert holders(store, "key") == 1
        written(store, change(held, *through))
        assert holders(store, "key") == 0
        assert store.state.take_slot(Limit("key", 1), "b", 1)
