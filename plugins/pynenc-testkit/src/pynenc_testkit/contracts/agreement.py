"""What processes agree through: heartbeats, roles held for a time, and who holds limits."""

from __future__ import annotations

import pytest

from pynenc_core.model import Mark, Signal, SignalKind
from pynenc_core.status import Status
from pynenc_testkit.contracts.subject import StorageSubject
from pynenc_testkit.samples import batch, change, claim, finish, holders, ids, limits, new, pending, running, settled, written
from pynenc_testkit.stores import Store


class BeatRules(StorageSubject):
    """Heartbeats say who lives, and bring requests to what the living own."""

    def test_a_heartbeat_shows_from_when_to_when_a_runner_lives(self, store: Store, other: Store) -> None:
        before = store.state.now()
        store.state.beat(["r2", "r1"], 30.0, may_serve=True)
        after = store.state.now()
        first, second = other.state.beats()
        assert (first.runner_id, second.runner_id) == ("r1", "r2")
        assert before <= first.first_at == first.last_at <= after + 1.0  # an estimate of a server's clock may be behind it
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


class RequestRules(StorageSubject):
    """A request reaches the owner that it is for, and no later one."""

    def test_a_request_for_one_claim_reaches_no_other(self, store: Store, other: Store) -> None:
        held = running(store, "a", queue="q")
        deadlock = Signal(invocation_id="a", kind=SignalKind.DEADLOCK, claim=1)
        other.state.mark([Mark(invocation_id="a", signal=deadlock)])
        assert store.state.beat(["r1"], 30.0) == (deadlock,)
        settled(store, change(held, Status.RETRY))
        assert store.state.beat(["r1"], 30.0) == ()
        assert ids(claim(store, "r1", queues=("q",))) == ["a"]
        assert store.state.beat(["r1"], 30.0) == ()
        cancel = Signal(invocation_id="a", kind=SignalKind.CANCEL)
        other.state.mark([Mark(invocation_id="a", signal=cancel)])
        other.state.mark([Mark(invocation_id="a", signal=deadlock)])
        assert store.state.beat(["r1"], 30.0) == (cancel,)


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


class HolderRules(StorageSubject):
    """A limit is held exactly by the owned invocations that have it."""

    def test_each_key_counts_its_own(self, store: Store, other: Store) -> None:
        for key in ("one", "one", "two"):
            running(store, limits=limits(key, 9))
        running(store)
        held = other.state.holders(["one", "two", "three"])
        assert [held.get(key, 0) for key in ("one", "two", "three")] == [2, 1, 0]

    def test_one_with_several_limits_holds_each(self, store: Store) -> None:
        held = running(store, limits=(*limits("one"), *limits("two")))
        assert (holders(store, "one"), holders(store, "two")) == (1, 1)
        finish(store, held)
        assert (holders(store, "one"), holders(store, "two")) == (0, 0)

    def test_it_is_held_however_long_it_takes(self, store: Store) -> None:
        running(store, limits=limits("key"))
        store.lapse(1e6)
        assert holders(store, "key") == 1

    @pytest.mark.parametrize("status", [Status.PENDING, Status.RUNNING, Status.PAUSED])
    def test_an_owned_invocation_holds_the_slots_of_its_limits(self, store: Store, status: Status) -> None:
        held = pending(store, limits=limits("key"))
        through = {Status.PENDING: (), Status.RUNNING: (Status.RUNNING,), Status.PAUSED: (Status.RUNNING, Status.PAUSED)}[status]
        if through:
            written(store, change(held, *through))
        assert holders(store, "key") == 1

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
