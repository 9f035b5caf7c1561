"""Settling: outcomes, starts and the next claim in one call."""

from __future__ import annotations

from pynenc_core.model import Ask, Expect, Mark, Payload, Refusal, Signal, SignalKind
from pynenc_core.status import Status
from pynenc_testkit.contracts.subject import StorageSubject
from pynenc_testkit.samples import (
    blob,
    change,
    claim,
    history,
    holders,
    ids,
    limits,
    new,
    pending,
    record,
    running,
    state,
    statuses,
    submit,
)
from pynenc_testkit.stores import PATIENCE, Raw, Store


class SettleRules(StorageSubject):
    """Each change is written whole or refused, whatever becomes of the others, and the claim is carried out all the same."""

    def test_an_outcome_is_written_whole(self, store: Store, other: Store) -> None:
        held = running(store, "a")
        result = blob(b"result" * 300)
        done = change(held, Status.SUCCESS, outcome=Payload(blob=result.key, size=1800), blobs=(result,), outbox=("x",))
        assert store.dispatcher.settle([done]).refused == (None,)
        got = state(other, "a")
        assert (got.status, got.outcome, got.outbox, got.runner_id) == (Status.SUCCESS, Payload(blob=result.key, size=1800), ("x",), "")
        assert other.state.get_blobs([result.key])[result.key] == b"result" * 300
        assert statuses(history(other, "a"))[-1] is Status.SUCCESS

    def test_a_refused_change_changes_nothing_anywhere(self, store: Store, other: Store, raw: Raw) -> None:
        held = running(store, "a", queue="q", limits=limits("k"))
        submit(store, new("b", queue="q", limits=limits("k")))
        assert ids(claim(store, queues=("q",))) == []
        dumped = raw.dump()
        stale = change(held, Status.SUCCESS, expect=Expect(Status.RUNNING, "r1", 9), blobs=(blob(b"x"),))
        assert other.dispatcher.settle([stale]).refused == (Refusal("a", Status.RUNNING, "r1", 1),)
        assert raw.dump() == dumped

    def test_a_refused_change_stops_neither_the_others_nor_the_claim(self, store: Store) -> None:
        held = [running(store) for _ in range(6)]
        pend = pending(store, "pend")
        submit(store, new("next"))
        changes = [
            change(each, Status.SUCCESS, expect=Expect(Status.RUNNING, "r1", 1 + number % 2), outcome=Payload(b"1"))
            for number, each in enumerate(held)
        ]
        reply = store.dispatcher.settle([*changes, change(pend, Status.RUNNING)], ask=Ask(runner_id="r1", limit=1))
        assert [refusal is None for refusal in reply.refused] == [*[True, False] * 3, True]
        assert [state(store, each.invocation_id).status for each in held] == [Status.SUCCESS, Status.RUNNING] * 3
        assert ids(reply.claim) == ["next"]
        assert state(store, "pend").status is Status.RUNNING

    def test_a_group_of_50_is_settled_at_once(self, store: Store, other: Store) -> None:
        submit(store, *(new(f"i{number:02d}") for number in range(50)))
        held = claim(store, limit=50, start=50).claimed
        assert len(held) == 50
        changes = [change(each, Status.SUCCESS, outcome=Payload(each.invocation_id.encode())) for each in held]
        assert store.dispatcher.settle(changes).refused == (None,) * 50
        got = other.state.get([each.invocation_id for each in held])
        assert all(got[name].state.outcome == Payload(name.encode()) for name in got)

    def test_what_is_pending_here_is_started(self, store: Store, other: Store) -> None:
        mine, theirs = pending(store, "mine"), pending(store, "theirs", runner_id="r2")
        lost = pending(store, "lost")
        other.dispatcher.settle([change(lost, Status.PENDING_RECOVERY, Status.REROUTED, by="sweeper")])
        foreign = change(theirs, Status.RUNNING, expect=Expect(Status.PENDING, "r1", 1))
        reply = store.dispatcher.settle([change(mine, Status.RUNNING), foreign, change(lost, Status.RUNNING)])
        assert [refusal is None for refusal in reply.refused] == [True, False, False]
        assert state(other, "mine").status is Status.RUNNING
        assert (state(other, "mine").runner_id, state(other, "mine").claim) == ("r1", mine.state.claim)
        assert statuses(history(other, "mine")) == [Status.REGISTERED, Status.PENDING, Status.RUNNING]
        assert record(other, "theirs") == theirs

    def test_what_a_settle_gives_back_may_be_claimed_by_the_same_call(self, store: Store) -> None:
        held = running(store, "a", queue="q")
        reply = store.dispatcher.settle([change(held, Status.RETRY, attempts=1)], ask=Ask(runner_id="r1", limit=1, start=1, queues=("q",)))
        assert [(each.invocation_id, each.state.status, each.state.claim) for each in reply.claim.claimed] == [("a", Status.RUNNING, 2)]

    def test_a_pause_moves_what_it_waits_for_to_the_front(self, store: Store) -> None:
        parent = running(store, "parent", rank=1.0)
        submit(store, new("others", rank=5.0), new("child", rank=9.0))
        reply = store.dispatcher.settle(
            [change(parent, Status.PAUSED, awaits=("child",), boost=1.0)],
            ask=Ask(runner_id="r1", limit=1, start=1),
        )
        assert ids(reply.claim) == ["child"]
        paused = record(store, "parent").state
        assert (paused.status, paused.awaits, paused.runner_id) == (Status.PAUSED, ("child",), "r1")

    def test_replies_bring_requests_to_what_the_asker_owns(self, store: Store, other: Store) -> None:
        held, theirs = running(store, "held"), running(store, "theirs", runner_id="r2")
        signals = [Signal(invocation_id=each, kind=SignalKind.CANCEL, by="user") for each in ("held", "theirs")]
        other.state.mark([Mark(invocation_id=each.invocation_id, signal=each) for each in signals])
        assert claim(store, "r1").signals == (signals[0],)
        assert store.dispatcher.settle((), ask=Ask(runner_id="r2", limit=1)).claim.signals == (signals[1],)
        store.dispatcher.settle([change(held, Status.CANCELLED), change(theirs, Status.CANCELLED)])
        assert claim(store, "r1").signals == claim(store, "r2").signals == ()

    def test_a_request_for_another_claim_reaches_nobody(self, store: Store, other: Store) -> None:
        first = running(store, "a", queue="q")
        deadlock = Signal(invocation_id="a", kind=SignalKind.DEADLOCK, claim=1, circle=("a", "b"))
        other.state.mark([Mark(invocation_id="a", signal=deadlock)])
        assert claim(store, "r1", queues=("none",)).signals == (deadlock,)
        store.dispatcher.settle([change(first, Status.RETRY)])
        assert claim(store, "r1", start=1, queues=("q",)).claimed[0].state.claim == 2
        assert claim(store, "r1", queues=("none",)).signals == ()
        cancel = Signal(invocation_id="a", kind=SignalKind.CANCEL)
        other.state.mark([Mark(invocation_id="a", signal=cancel)])
        other.state.mark([Mark(invocation_id="a", signal=deadlock)])
        assert claim(store, "r1", queues=("none",)).signals == (cancel,)

    def test_watchers_learn_of_a_settle(self, store: Store, other: Store) -> None:
        held = running(store, "a")
        watch = other.state.watch(["a"])
        store.dispatcher.settle([change(held, Status.SUCCESS)])
        assert watch.wait(PATIENCE) == frozenset({"a"})
        watch.close()


class LimitRules(StorageSubject):
    """Limits are kept by the claim itself; who finds one full waits beside its key, and is woken when it is his turn."""

    def test_what_finds_its_limit_full_waits_beside_its_key(self, store: Store, other: Store) -> None:
        submit(store, *(new(f"i{number}", rank=float(number), limits=limits("k", 2)) for number in range(4)), new("free", rank=9.0))
        assert ids(claim(store, limit=9)) == ["i0", "i1", "free"]
        assert [state(other, f"i{number}").status for number in (2, 3)] == [Status.CONCURRENCY_CONTROLLED] * 2
        assert statuses(history(other, "i2")) == [Status.REGISTERED, Status.CONCURRENCY_CONTROLLED]
        assert (holders(other, "k"), ids(claim(other, "r2", limit=9))) == (2, [])

    def test_a_release_wakes_the_first_beside_the_key_and_no_other(self, store: Store, other: Store) -> None:
        submit(store, *(new(f"i{number}", rank=float(number), limits=limits("k")) for number in range(4)))
        held = claim(store, limit=9, start=9).claimed
        assert ids(held) == ["i0"]
        store.dispatcher.settle([change(held[0], Status.SUCCESS)])
        assert [state(other, f"i{number}").status for number in (1, 2, 3)] == [
            Status.REROUTED,
            Status.CONCURRENCY_CONTROLLED,
            Status.CONCURRENCY_CONTROLLED,
        ]
        assert ids(claim(other, limit=9)) == ["i1"]

    def test_a_release_and_the_next_claim_may_travel_together(self, store: Store) -> None:
        submit(store, *(new(f"i{number}", rank=float(number), limits=limits("k")) for number in range(3)))
        held = claim(store, limit=1, start=1).claimed[0]
        seen = [held.invocation_id]
        for _ in range(2):
            reply = store.dispatcher.settle([change(held, Status.SUCCESS)], ask=Ask(runner_id="r1", limit=1, start=1))
            assert len(reply.claim.claimed) == 1
            held = reply.claim.claimed[0]
            seen.append(held.invocation_id)
        assert seen == ["i0", "i1", "i2"]

    def test_all_of_a_crowd_get_their_turn_with_a_bounded_history(self, store: Store) -> None:
        names = [f"i{number:02d}" for number in range(20)]
        submit(store, *(new(name, rank=float(number), limits=limits("k", 3)) for number, name in enumerate(names)))
        done: list[str] = []
        for _ in range(20):
            held = claim(store, limit=9, start=9).claimed
            assert len(held) <= 3
            if not held:
                break
            store.dispatcher.settle([change(each, Status.SUCCESS) for each in held])
            done += ids(held)
        assert sorted(done) == names
        assert max(len(history(store, name)) for name in names) <= 6

    def test_a_paused_holder_holds_and_a_recovered_one_does_not(self, store: Store) -> None:
        submit(store, new("a", rank=1.0, limits=limits("k")), new("b", rank=2.0, limits=limits("k")))
        held = claim(store, start=1).claimed[0]
        store.dispatcher.settle([change(held, Status.PAUSED)])
        assert ids(claim(store, limit=9)) == []
        paused = record(store, held.invocation_id)
        store.dispatcher.settle([change(paused, Status.RUNNING_RECOVERY, Status.REROUTED, by="sweeper")])
        assert len(claim(store, limit=9).claimed) == 1
        assert holders(store, "k") == 1

    def test_who_may_not_wait_is_dropped_for_good(self, store: Store, other: Store) -> None:
        running(store, "holder", limits=limits("k"))
        submit(store, new("dropped", limits=limits("k"), drop_when_limited=True))
        watch = other.state.watch(["dropped"])
        assert ids(claim(store, limit=9)) == []
        assert state(other, "dropped").status is Status.CONCURRENCY_CONTROLLED_FINAL
        assert watch.wait(PATIENCE) == frozenset({"dropped"})
        watch.close()

    def test_each_of_several_limits_counts(self, store: Store) -> None:
        running(store, "x", limits=limits("x"))
        held = running(store, "y", limits=limits("y"))
        submit(store, new("both", limits=(*limits("x", 2), *limits("y"))))
        assert ids(claim(store)) == []
        assert state(store, "both").status is Status.CONCURRENCY_CONTROLLED
        store.dispatcher.settle([change(held, Status.SUCCESS)])
        assert ids(claim(store)) == ["both"]
        assert (holders(store, "x"), holders(store, "y")) == (2, 1)

    def test_a_release_wakes_the_first_all_of_whose_limits_have_room(self, store: Store) -> None:
        held = running(store, limits=limits("a"))
        running(store, limits=limits("b"))
        submit(store, new("x", rank=1.0, limits=(*limits("a"), *limits("b"))), new("y", rank=2.0, limits=limits("a")))
        assert ids(claim(store, limit=9)) == []
        store.dispatcher.settle([change(held, Status.SUCCESS)])
        assert [state(store, each).status for each in "xy"] == [Status.CONCURRENCY_CONTROLLED, Status.REROUTED]
        assert ids(claim(store, limit=9)) == ["y"]

    def test_one_that_waits_for_two_keys_gets_its_turn_whichever_is_free_last(self, store: Store) -> None:
        for first, second in (("a", "b"), ("b", "a")):
            held = {key: running(store, limits=limits(key)) for key in "ab"}
            submit(store, new(f"x{first}", limits=(*limits("a"), *limits("b"))))
            assert ids(claim(store, limit=9)) == []
            store.dispatcher.settle([change(held[first], Status.SUCCESS)])
            assert ids(claim(store, limit=9)) == []
            store.dispatcher.settle([change(held[second], Status.SUCCESS)])
            got = claim(store, limit=9).claimed
            assert ids(got) == [f"x{first}"]
            store.dispatcher.settle([change(got[0], Status.CANCELLED)])

    def test_a_woken_one_that_is_cancelled_passes_its_turn_on(self, store: Store) -> None:
        submit(store, *(new(name, rank=rank, limits=limits("k")) for name, rank in (("a", 1.0), ("b", 2.0), ("c", 3.0))))
        held = claim(store, limit=9, start=9).claimed[0]
        store.dispatcher.settle([change(held, Status.SUCCESS)])
        assert state(store, "b").status is Status.REROUTED
        store.dispatcher.settle([change(record(store, "b"), Status.CANCELLED, by="user")])
        assert ids(claim(store, limit=9)) == ["c"]

    def test_a_woken_one_that_expires_passes_its_turn_on(self, store: Store) -> None:
        expires = store.state.now() + 5
        submit(store, new("a", rank=1.0, limits=limits("k")), new("b", rank=2.0, limits=limits("k"), expires=expires))
        submit(store, new("c", rank=3.0, limits=limits("k")))
        held = claim(store, limit=9, start=9).claimed[0]
        store.dispatcher.settle([change(held, Status.SUCCESS)])
        store.lapse(6)
        got = ids(claim(store, limit=9)) or ids(claim(store, limit=9))
        assert (got, state(store, "b").status) == (["c"], Status.CANCELLED)

    def test_one_beside_its_key_can_be_cancelled(self, store: Store) -> None:
        submit(store, *(new(name, rank=rank, limits=limits("k")) for name, rank in (("a", 1.0), ("b", 2.0), ("c", 3.0))))
        held = claim(store, limit=9, start=9).claimed[0]
        store.dispatcher.settle([change(record(store, "b"), Status.CANCELLED, by="user")])
        store.dispatcher.settle([change(held, Status.SUCCESS)])
        assert ids(claim(store, limit=9)) == ["c"]
