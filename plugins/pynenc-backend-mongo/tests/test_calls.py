"""How many calls things take, and what a call that carries several writes must keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pynenc_backend_mongo import database
from pynenc_backend_mongo.database import Database
from pynenc_backend_mongo.settings import MongoSettings
from pynenc_backend_mongo.state_backend import MongoStateBackend
from pynenc_core.model import Ask, InvocationRecord, Payload, SettleReply, Swapped
from pynenc_core.status import Status
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.interleaver import Interleaver, choked
from pynenc_testkit.samples import change, claim, ids, new, record, state, submit
from pynenc_testkit.stores import PATIENCE, Background, KitApp, Store, open_installed

CALL = "pynenc_backend_mongo.database:Database.call"
Opener = Callable[..., Store]


@pytest.fixture
def store(opened: Opener) -> Store:
    return opened()


@pytest.fixture
def other(store: Store, opened: Opener) -> Store:
    assert store.app.app_id == "kit"
    return opened()


def calls_of(operation: Callable[[], object]) -> int:
    """Return how many calls of the driver an operation makes."""
    calls: list[None] = []
    with choked((CALL,), lambda: calls.append(None)):
        operation()
    return len(calls)


def busy(store: Store, name: str, runner: str) -> InvocationRecord:
    """Return what a runner holds that has just settled one and claimed this, with more to come: its next settle and claim are one call."""
    submit(store, new(f"{name}-0", queue=name), new(name, queue=name))
    held = claim(store, runner, start=1, queues=(name,)).claimed[0]
    ask = Ask(runner_id=runner, limit=1, start=1, queues=(name,))
    return store.dispatcher.settle([change(held, Status.SUCCESS)], ask=ask).claim.claimed[0]


def test_any_number_of_ids_is_asked_for_in_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One message with all of them would be too large for the server, from some number on."""
    submit(store, *(new(name) for name in "abcde"))
    monkeypatch.setattr(database, "PAGE", 2)
    assert sorted(store.state.get("abcde")) == list("abcde")
    assert sorted(store.state.history("abcde")) == list("abcde")
    watch = store.state.watch("abcdef")
    assert watch.wait(0) == {"f"}
    watch.close()
    reads = (lambda: store.state.get("abcde"), lambda: store.state.history("abcde"), lambda: store.state.watch("abcde").close())
    assert [calls_of(each) for each in reads] == [3, 3, 3]


class TestTogether:
    """A settle and the claim that comes with it are one call to the server, and yet two fenced writes."""

    def test_of_two_that_settle_and_claim_each_settles_its_own_and_gets_another(self, store: Store, other: Store) -> None:
        def prepare() -> list[Callable[[], object]]:
            store.state.purge()
            held = [busy(store, "a", "r1"), busy(other, "b", "r2")]
            submit(store, *(new(name, queue="q", rank=float(rank)) for rank, name in enumerate("cde")))
            asks = [Ask(runner_id=runner, limit=1, start=1, queues=("q",)) for runner in ("r1", "r2")]
            return [
                lambda: store.dispatcher.settle([change(held[0], Status.SUCCESS)], ask=asks[0]),
                lambda: other.dispatcher.settle([change(held[1], Status.SUCCESS)], ask=asks[1]),
            ]

        tried = 0
        for outcome in Interleaver((CALL,), limit=30, silence=0.15).outcomes(prepare):
            replies = [each for each in outcome.results if isinstance(each, SettleReply)]
            assert [each.refused for each in replies] == [(None,), (None,)], outcome
            got = [ids(each.claim) for each in replies]
            assert sorted([*got[0], *got[1]]) == ["c", "d"], outcome
            owners = {each.state.runner_id for each in store.state.get("cd").values()}
            assert (owners, state(store, "a").status, state(store, "b").status) == ({"r1", "r2"}, Status.SUCCESS, Status.SUCCESS)
            tried += 1
        assert tried >= 6

    def test_of_settle_and_recovery_one_wins_whatever_is_claimed_with_it(self, store: Store, other: Store) -> None:
        def prepare() -> list[Callable[[], object]]:
            store.state.purge()
            held = busy(store, "a", "r1")
            submit(store, new("c", queue="q"))
            recover = change(held, Status.RUNNING_RECOVERY, Status.REROUTED, by="sweeper")
            ask = Ask(runner_id="r1", limit=1, start=1, queues=("q",))
            return [lambda: other.state.swap([recover]), lambda: store.dispatcher.settle([change(held, Status.SUCCESS)], ask=ask)]

        won: set[Status] = set()
        for outcome in Interleaver((CALL,), limit=30, silence=0.15).outcomes(prepare):
            swapped, settled = outcome.results
            assert isinstance(settled, SettleReply), outcome
            assert isinstance(swapped, Swapped), outcome
            assert (settled.refused[0] is None) != (swapped.refused[0] is None), outcome
            assert ids(settled.claim) == ["c"], outcome
            assert state(store, "a").status is (Status.REROUTED if settled.refused[0] else Status.SUCCESS)
            won.add(state(store, "a").status)
        assert won == {Status.REROUTED, Status.SUCCESS}

    def test_a_group_gets_what_others_left_of_what_it_saw(self, store: Store, other: Store) -> None:
        names = [f"i{number}" for number in range(12)]
        submit(store, *(new(name, queue="q", rank=float(rank)) for rank, name in enumerate(names)))
        ask = Ask(runner_id="r1", limit=3, start=2, queues=("q",))
        held = store.dispatcher.settle([], ask=ask).claim.claimed
        database, taken = database_of(store), list[str]()
        original = database.call

        def late(collection: str, verb: str, *arguments: Any, **named: Any) -> Any:
            if verb == "bulk_write" and not taken:
                taken.extend(ids(claim(other, "r2", limit=2, queues=("q",))))
            return original(collection, verb, *arguments, **named)

        vars(database)["call"] = late
        started = [change(each, *([Status.RUNNING] if each.state.status is Status.PENDING else []), Status.SUCCESS) for each in held]
        reply = store.dispatcher.settle(started, ask=ask)
        assert reply.refused == (None, None, None)
        assert (ids(reply.claim), taken) == (["i5", "i6", "i7"], ["i3", "i4"])
        assert [each.state.status for each in reply.claim.claimed].count(Status.RUNNING) == 2
        assert {record(other, name).state.runner_id for name in ids(reply.claim)} == {"r1"}
        assert {state(other, name).status for name in ids_of(held)} == {Status.SUCCESS}


def ids_of(records: Sequence[InvocationRecord]) -> list[str]:
    return [each.invocation_id for each in records]


def database_of(store: Store) -> Database:
    assert isinstance(store.state, MongoStateBackend)
    return store.state.database


def test_calls_per_task(store: Store) -> None:
    """One to submit, one to look for the next one, and one that settles and claims: without an update pipeline a claim must look."""
    submit(store, new())
    held = [claim(store, start=1).claimed[0]]

    def work() -> None:
        for _ in range(20):
            submit(store, new())
            done = change(held[-1], Status.SUCCESS, outcome=Payload(b"1"))
            held.extend(store.dispatcher.settle([done], ask=Ask(runner_id="r1", limit=1, start=1)).claim.claimed)

    assert 60 <= calls_of(work) <= 70  # and now and then a look for what has become due


def test_calls_of_an_idle_runner(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks twice within a pause, a claim's look included; a renewal is one call, and so is a sweep that finds nothing."""
    monkeypatch.setattr("pynenc_backend_mongo.bell.SHARE", 100.0)  # the pause is at its longest at once
    settings: dict[type, object] = {MongoSettings: MongoSettings(server_time=False, longest_poll_sec=0.5)}
    store = open_installed(KitApp("kit", url, ManualClock(ticking=True), settings))
    store.state.take_lease("services", "r1", 30.0)
    claim(store)
    assert not store.dispatcher.await_work(("default",), 0.1)

    assert calls_of(lambda: claim(store)) <= 2
    assert calls_of(lambda: store.dispatcher.await_work(("default",), 1.4)) <= 2
    assert calls_of(lambda: store.state.beat(["r1"], 30.0)) == 1
    assert calls_of(lambda: store.state.beat(["r1", "a child of its own"], 30.0)) == 2
    assert calls_of(lambda: store.state.take_lease("services", "r1", 30.0)) == 1
    assert calls_of(store.dispatcher.republish) == 1
    store.close()


def test_a_delayed_one_of_another_process_is_found_by_who_waits_already(store: Store, other: Store) -> None:
    claim(store)
    waiting = Background(lambda: store.dispatcher.await_work(("default",), PATIENCE))
    submit(other, new("a", due=other.state.now() + 0.2))
    assert waiting.result() is True
    assert ids(claim(store)) == ["a"]


def test_who_lost_a_role_does_not_renew_what_another_has_taken(store: Store, other: Store) -> None:
    taken = [store.state.take_lease("services", "r1", 30.0) for _ in range(2)]
    store.app.clock.advance(31)
    taken.append(other.state.take_lease("services", "r2", 30.0))
    assert store.state.take_lease("services", "r1", 30.0) is None
    other.state.drop_lease("services", "r2")
    taken.append(store.state.take_lease("services", "r1", 30.0))
    assert [(each.holder, each.fence) for each in taken if each] == [("r1", 1), ("r1", 1), ("r2", 2), ("r1", 3)]
