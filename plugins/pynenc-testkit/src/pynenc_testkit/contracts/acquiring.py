"""Claims through the state backend: of given ids, for whoever keeps the queue elsewhere."""

from __future__ import annotations

from pynenc_core.model import Ask, ClaimReply, Mark, Queued, Signal, SignalKind
from pynenc_core.status import Status
from pynenc_testkit.contracts.subject import StorageSubject
from pynenc_testkit.samples import batch, change, history, holders, ids, limits, new, record, running, state, statuses
from pynenc_testkit.stores import Store


def acquire(store: Store, *invocation_ids: str, limit: int = 9, start: int = 9, **fields: object) -> ClaimReply:
    """Acquire through the state backend, as r1; `fields` are those of `Ask`."""
    ask = Ask(runner_id="r1", limit=limit, start=start, **fields)  # type: ignore[arg-type]  # test values
    return store.state.acquire(invocation_ids, ask)


class AcquireRules(StorageSubject):
    """What is claimable of the ids is claimed, in their order, by the rules of every claim."""

    def test_ids_are_claimed_in_their_order_up_to_the_limit(self, store: Store, other: Store) -> None:
        store.state.add_batch(batch(*(new(name) for name in "abcd")))
        reply = acquire(other, "c", "nobody", "a", "d", "b", limit=3, start=2)
        assert [(each.invocation_id, each.state.status) for each in reply.claimed] == [
            ("c", Status.RUNNING),
            ("a", Status.RUNNING),
            ("d", Status.PENDING),
        ]
        assert store.state.get([*"cad"]) == {each.invocation_id: each for each in reply.claimed}
        assert {(each.state.runner_id, each.state.claim) for each in reply.claimed} == {("r1", 1)}
        assert statuses(history(store, "c")) == [Status.REGISTERED, Status.PENDING, Status.RUNNING]
        assert ids(acquire(store, "b", limit=0)) == []
        assert ids(acquire(store, *"cadb", "b")) == ["b"]

    def test_only_what_is_claimable_is_claimed(self, store: Store) -> None:
        names = {to: running(store, queue=f"q{to}") for to in (Status.SUCCESS, Status.PAUSED, Status.KILLED, Status.RETRY)}
        store.state.swap([change(held, to) for to, held in names.items()])
        assert ids(acquire(store, *(held.invocation_id for held in names.values()))) == [names[Status.RETRY].invocation_id]
        assert state(store, names[Status.RETRY].invocation_id).claim == 2

    def test_what_is_not_due_is_left_alone(self, store: Store) -> None:
        store.state.add_batch(batch(new("a", due=store.state.now() + 50)))
        before = record(store, "a")
        assert ids(acquire(store, "a")) == []
        assert record(store, "a") == before
        store.lapse(51)
        assert ids(acquire(store, "a")) == ["a"]

    def test_an_expired_one_is_cancelled_on_the_way(self, store: Store) -> None:
        store.state.add_batch(batch(new("gone", expires=store.state.now() + 5), new("b")))
        store.lapse(6)
        assert ids(acquire(store, "gone", "b")) == ["b"]
        assert state(store, "gone").status is Status.CANCELLED

    def test_limits_are_kept(self, store: Store, other: Store) -> None:
        waits, drops = new("b", limits=limits("k")), new("c", limits=limits("k"), drop_when_limited=True)
        store.state.add_batch(batch(new("a", limits=limits("k")), waits, drops))
        assert ids(acquire(other, "a", "b", "c")) == ["a"]
        assert state(store, "b").status is Status.CONCURRENCY_CONTROLLED
        assert state(store, "c").status is Status.CONCURRENCY_CONTROLLED_FINAL
        assert holders(store, "k") == 1

    def test_suspects_and_unknown_tasks_are_not_started(self, store: Store) -> None:
        suspect = running(store)
        store.state.swap([change(suspect, Status.RUNNING_RECOVERY, Status.REROUTED, suspect=True)])
        store.state.add_batch(batch(new("known"), new("unknown", task_id="shop:else")))
        reply = acquire(store, suspect.invocation_id, "unknown", "known", known_tasks=frozenset({"shop:bill"}))
        assert [each.state.status for each in reply.claimed] == [Status.PENDING, Status.PENDING, Status.RUNNING]

    def test_awaited_only_takes_what_somebody_waits_for(self, store: Store) -> None:
        store.state.add_batch(batch(new("a"), new("b")))
        store.state.mark([Mark(invocation_id="b", boost=0.0)])
        assert ids(acquire(store, "a", "b", awaited_only=True)) == ["b"]

    def test_it_brings_requests_and_says_what_is_due_next(self, store: Store) -> None:
        held, due = running(store), store.state.now() + 50
        cancel = Signal(invocation_id=held.invocation_id, kind=SignalKind.CANCEL)
        store.state.mark([Mark(invocation_id=held.invocation_id, signal=cancel)])
        store.state.add_batch(batch(new("later", due=due)))
        reply = acquire(store)
        assert (reply.claimed, reply.signals, reply.next_due) == ((), (cancel,), due)

    def test_a_swap_says_what_it_made_claimable(self, store: Store) -> None:
        store.state.add_batch(batch(new("a", limits=limits("k"), queue="q", rank=3.0), new("parent")))
        held, parent = acquire(store, "a", "parent").claimed
        children = [new("low", queue="w", rank=9.0), new("high", queue="w", rank=1.0)]
        store.state.add_batch(batch(new("next", limits=limits("k"), queue="r", rank=4.0), *children))
        acquire(store, "next")
        pause = change(parent, Status.PAUSED, awaits=("low", "high", "nobody"), boost=2.0)
        retry = change(held, Status.RETRY, Status.SCHEDULED, due=4e9)
        swapped = store.state.swap([retry, retry, pause])
        assert [refusal is None for refusal in swapped.refused] == [True, False, True]
        said = {each.invocation_id: each for each in swapped.claimable}
        expected = {Queued("a", "q", 3.0, 4e9), Queued("next", "r", 4.0), Queued("low", "w", 2.0)}
        assert expected <= set(said.values())
        assert said.keys() <= {"a", "next", "low", "high"}
        assert len(said) == len(swapped.claimable)
        assert record(store, "next").queued == said["next"]

    def test_what_a_swap_does_not_leave_claimable_it_does_not_name(self, store: Store) -> None:
        held = running(store, "a")
        again = change(held, Status.RETRY)
        assert [each.invocation_id for each in store.state.swap([again]).claimable] == ["a"]
        over = change(record(store, "a"), Status.CANCELLED)
        assert store.state.swap([over]).claimable == ()
        assert store.state.swap([change(running(store), Status.SUCCESS)]).claimable == ()

    def test_a_release_wakes_the_first_all_of_whose_limits_have_room(self, store: Store) -> None:
        store.state.add_batch(batch(new("holds a", limits=limits("a")), new("holds b", limits=limits("b"))))
        held = acquire(store, "holds a", "holds b").claimed[0]
        store.state.add_batch(batch(new("x", rank=1.0, limits=(*limits("a"), *limits("b"))), new("y", rank=2.0, limits=limits("a"))))
        store.state.add_batch(batch(new("z", rank=3.0, limits=limits("a"))))
        assert ids(acquire(store, "z", "x", "y")) == []
        swapped = store.state.swap([change(held, Status.SUCCESS)])
        assert [each.invocation_id for each in swapped.claimable] == ["y"]
        assert [state(store, each).status for each in "xyz"] == [
            Status.CONCURRENCY_CONTROLLED,
            Status.REROUTED,
            Status.CONCURRENCY_CONTROLLED,
        ]

    def test_a_woken_one_that_ends_without_a_claim_passes_its_turn_on(self, store: Store) -> None:
        store.state.add_batch(batch(new("a", limits=limits("k"))))
        held, expires = acquire(store, "a").claimed[0], store.state.now() + 5
        names = [new(name, rank=rank, limits=limits("k")) for name, rank in (("b", 1.0), ("d", 3.0))]
        store.state.add_batch(batch(*names, new("c", rank=2.0, limits=limits("k"), expires=expires)))
        acquire(store, "b", "c", "d")
        store.state.swap([change(held, Status.SUCCESS)])
        swapped = store.state.swap([change(record(store, "b"), Status.CANCELLED)])
        assert [each.invocation_id for each in swapped.claimable] == ["c"]
        store.lapse(6)
        reply = acquire(store, "c")
        assert (ids(reply), [each.invocation_id for each in reply.claimable]) == ([], ["d"])
        assert ids(acquire(store, "d")) == ["d"]
