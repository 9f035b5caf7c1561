"""Submitting and claiming: what comes in goes out once, in order, when it is due."""

from __future__ import annotations

import pytest

from pynenc_core.status import Status
from pynenc_testkit.contracts.subject import Opener, StorageSubject
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
    pending,
    record,
    running,
    settled,
    state,
    statuses,
    submit,
    written,
)
from pynenc_testkit.stores import PATIENCE, Store


class SubmitRules(StorageSubject):
    """A batch is stored with its queue entries: all of it once."""

    def test_what_is_submitted_can_be_claimed(self, store: Store, other: Store) -> None:
        submitted = submit(store, new("a"), new("b"), blobs=(blob(b"x"),))
        assert (submitted.ids, submitted.reused) == (("a", "b"), frozenset())
        assert found(other) == ["a", "b"]
        assert sorted(ids(claim(other, limit=9))) == ["a", "b"]
        assert list(other.state.get_blobs([blob(b"x").key])) == [blob(b"x").key]

    def test_submitting_again_queues_nothing_twice(self, store: Store, other: Store) -> None:
        given = batch(new("a"), new("b"))
        assert store.dispatcher.submit(given).ids == other.dispatcher.submit(given).ids == ("a", "b")
        assert sorted(ids(claim(store, limit=9))) == ["a", "b"]
        assert other.dispatcher.submit(given).ids == ("a", "b")
        assert ids(claim(other, limit=9)) == []

    def test_a_reused_invocation_is_not_queued_twice(self, store: Store, other: Store) -> None:
        submit(store, new("a", unique_key="k"))
        again = submit(other, new("b", unique_key="k"), new("c"))
        assert (again.ids, again.reused) == (("a", "c"), frozenset({0}))
        assert sorted(ids(claim(store, limit=9))) == ["a", "c"]

    def test_a_batch_of_500_is_claimed_by_several_each_once(self, store: Store, other: Store) -> None:
        names = [f"i{number:03d}" for number in range(500)]
        submit(store, *(new(name) for name in names))
        claimed: list[str] = []
        for turn in range(20):
            got = ids(claim((store, other)[turn % 2], f"r{turn % 3}", limit=40))
            claimed += got
            if not got:
                break
        assert sorted(claimed) == names

    def test_depth_counts_what_may_be_claimed_now_or_later(self, store: Store, other: Store) -> None:
        submit(store, new("a", queue="q"), new("b", queue="q"), new("later", queue="q", due=4e9), new("elsewhere", queue="r"))
        assert (other.dispatcher.depth("q"), other.dispatcher.depth("r"), other.dispatcher.depth("none")) == (3, 1, 0)
        claim(store, queues=("q",))
        assert other.dispatcher.depth("q") == 2

    def test_republishing_hands_out_nothing_twice(self, store: Store, other: Store) -> None:
        submit(store, new("a"), new("b"))
        held = claim(store).claimed[0]
        other.dispatcher.republish()
        rest = ids(claim(other, limit=9))
        assert sorted([held.invocation_id, *rest]) == ["a", "b"]
        assert ids(claim(store, limit=9)) == []

    def test_apps_claim_their_own_only(self, store: Store, opened: Opener) -> None:
        foreign = opened("another app")
        submit(store, new("mine"))
        submit(foreign, new("theirs"))
        assert (store.dispatcher.depth("default"), foreign.dispatcher.depth("default")) == (1, 1)
        assert (ids(claim(store, limit=9)), ids(claim(foreign, limit=9))) == (["mine"], ["theirs"])


class ClaimRules(StorageSubject):
    """A claim hands out what is claimable, in order, once, with a number higher than any before."""

    def test_a_claim_gives_ownership_and_shows_the_record(self, store: Store, other: Store) -> None:
        submit(store, new("a", rank=1.0), new("b", rank=2.0), new("c", rank=3.0))
        reply = claim(store, "r1", limit=3, start=1)
        assert ids(reply) == ["a", "b", "c"]
        assert [each.state.status for each in reply.claimed] == [Status.RUNNING, Status.PENDING, Status.PENDING]
        assert {(each.state.runner_id, each.state.claim) for each in reply.claimed} == {("r1", 1)}
        stored = other.state.get(["a", "b", "c"])
        assert [stored[name] for name in "abc"] == list(reply.claimed)
        assert statuses(history(other, "a")) == [Status.REGISTERED, Status.PENDING, Status.RUNNING]
        assert statuses(history(other, "b")) == [Status.REGISTERED, Status.PENDING]

    def test_no_more_are_claimed_than_asked_for(self, store: Store) -> None:
        submit(store, *(new(f"i{number}", rank=float(number)) for number in range(5)))
        assert ids(claim(store, limit=2)) == ["i0", "i1"]
        assert ids(claim(store, limit=0)) == []
        assert ids(claim(store, limit=9)) == ["i2", "i3", "i4"]

    def test_a_claim_begins_with_the_first_queue_and_its_lowest_rank(self, store: Store, other: Store) -> None:
        placed = (
            ("a", "slow", -9.0),
            ("b", "fast", 7.5),
            ("c", "fast", 7.25),
            ("d", "slow", -10.0),
            ("e", "fast", -1e9),
            ("f", "none", 0.0),
        )
        for name, queue, rank in placed:
            submit(store, new(name, queue=queue, rank=rank))
        assert ids(claim(other, limit=3, queues=("slow", "fast"))) == ["d", "a", "e"]
        submit(store, new("g", queue="slow", rank=-11.0))
        assert ids(claim(other, limit=9, queues=("fast", "slow"))) == ["c", "b", "g"]

    def test_a_pause_moves_what_it_awaits_forward_and_never_back(self, store: Store, other: Store) -> None:
        parents = [running(other), running(other)]
        submit(store, new("a", rank=1.0), new("b", rank=2.0), new("c", rank=3.0))
        for parent, (awaited, boost) in zip(parents, (("c", 0.5), ("b", 2.5)), strict=True):
            other.dispatcher.settle([change(parent, Status.PAUSED, awaits=(awaited,), boost=boost)])
        assert ids(claim(store, limit=3)) == ["c", "a", "b"]

    def test_each_claim_has_a_higher_number_whatever_its_reason(self, store: Store) -> None:
        submit(store, new("a"))
        seen: list[int] = []
        for through in ((Status.REROUTED,), (Status.KILLED, Status.REROUTED), (Status.PENDING_RECOVERY, Status.REROUTED)):
            held = claim(store).claimed[0]
            seen.append(held.state.claim)
            settled(store, change(held, *through))
        assert seen == [1, 2, 3]
        assert state(store, "a").claim == 3

    @pytest.mark.parametrize("to", [Status.RETRY, Status.SCHEDULED, Status.RUNNING_RECOVERY])
    def test_what_was_given_back_is_claimed_again(self, store: Store, other: Store, to: Status) -> None:
        held = running(store, "a", queue="q")
        through = (to, Status.REROUTED) if to is Status.RUNNING_RECOVERY else (to,)
        settled(store, change(held, *through, due=store.state.now() - 1 if to is Status.SCHEDULED else None))
        assert ids(claim(other, "r2", queues=("q",))) == ["a"]
        assert (state(store, "a").runner_id, state(store, "a").claim, state(store, "a").due) == ("r2", 2, None)

    def test_what_is_held_waits_or_is_over_is_not_claimed(self, store: Store) -> None:
        for name in ("pending", "running", "paused", "done", "killed", "parked", "free"):
            submit(store, new(name, queue=name))
            if name != "free":
                start = 0 if name in {"pending", "parked"} else 1
                held = claim(store, start=start, queues=(name,)).claimed[0]
                to = {"paused": Status.PAUSED, "done": Status.SUCCESS, "killed": Status.KILLED, "parked": Status.PARKED}.get(name)
                if to:
                    settled(store, change(held, to))
        assert ids(claim(store, limit=9, queues=("pending", "running", "paused", "done", "killed", "parked", "free"))) == ["free"]

    def test_nothing_is_claimed_before_it_is_due(self, store: Store, other: Store) -> None:
        now = store.state.now()
        submit(store, new("soon", due=now + 50), new("later", due=now + 500, rank=-1.0))
        reply = claim(other, limit=9)
        assert ids(reply) == []
        assert reply.next_due == pytest.approx(now + 50, abs=1e-3)
        store.lapse(51)
        reply = claim(other, limit=9)
        assert ids(reply) == ["soon"]
        assert reply.next_due == pytest.approx(now + 500, abs=1e-3)
        store.lapse(500)
        reply = claim(other, limit=9)
        assert (ids(reply), reply.next_due) == (["later"], None)

    def test_what_is_due_takes_its_place_by_rank(self, store: Store) -> None:
        submit(store, new("a", rank=1.0), new("late", rank=0.5, due=store.state.now() + 5), new("b", rank=3.0), new("c", rank=9.0))
        assert ids(claim(store)) == ["a"]
        store.lapse(6)
        assert ids(claim(store, limit=2)) == ["late", "b"]

    def test_an_expired_one_is_cancelled_on_the_way(self, store: Store, other: Store) -> None:
        now = store.state.now()
        submit(store, new("gone", rank=1.0, expires=now + 5), new("fresh", rank=2.0, expires=now + 5000), new("always", rank=3.0))
        watch = other.state.watch(["gone"])
        store.lapse(6)
        assert ids(claim(store, limit=2)) == ["fresh", "always"]
        assert state(store, "gone").status is Status.CANCELLED
        assert statuses(history(store, "gone")) == [Status.REGISTERED, Status.CANCELLED]
        assert watch.wait(PATIENCE) == frozenset({"gone"})
        watch.close()

    def test_what_was_claimed_in_time_does_not_expire(self, store: Store) -> None:
        held = pending(store, "a", expires=store.state.now() + 5)
        store.lapse(6)
        assert store.dispatcher.settle([change(held, Status.RUNNING)]).refused == (None,)
        finish(store, record(store, "a"))

    def test_a_suspect_is_handed_out_but_not_started(self, store: Store) -> None:
        held = running(store, "a", queue="q")
        settled(store, change(held, Status.RUNNING_RECOVERY, Status.REROUTED, suspect=True))
        reply = claim(store, start=1, queues=("q",))
        assert [(each.invocation_id, each.state.status, each.state.suspect) for each in reply.claimed] == [("a", Status.PENDING, True)]
        written(store, change(reply.claimed[0], Status.RUNNING))

    def test_only_known_tasks_are_started(self, store: Store) -> None:
        submit(store, new("known", task_id="shop:a", rank=1.0))
        assert [each.state.status for each in claim(store, start=1, known_tasks=frozenset({"shop:a"})).claimed] == [Status.RUNNING]
        submit(store, new("unknown", task_id="shop:b"))
        reply = claim(store, start=1, known_tasks=frozenset({"shop:a"}))
        assert [(each.invocation_id, each.state.status) for each in reply.claimed] == [("unknown", Status.PENDING)]

    def test_awaited_only_takes_what_somebody_waits_for(self, store: Store, other: Store) -> None:
        parent = running(store, "parent", rank=5.0)
        submit(store, new("a", rank=1.0), new("child", rank=9.0), new("later child", rank=8.0, due=store.state.now() + 50))
        assert ids(claim(store, limit=9, awaited_only=True)) == []
        settled(store, change(parent, Status.PAUSED, awaits=("child", "later child"), boost=5.0))
        assert ids(claim(other, limit=9, awaited_only=True)) == ["child"]
        store.lapse(51)
        assert ids(claim(other, limit=9, awaited_only=True)) == ["later child"]
        assert ids(claim(other, limit=9)) == ["a"]
