"""Never more than N live holders, whatever dies, looked at after every call of the driver, past the backend."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest

from pynenc_backend_mongo import layout
from pynenc_backend_mongo.database import Database
from pynenc_backend_mongo.state_backend import MongoStateBackend
from pynenc_core.model import Ask, Limit, Payload
from pynenc_core.status import Status
from pynenc_testkit.contracts.interruptions import CutError
from pynenc_testkit.interleaver import Schedule, choked
from pynenc_testkit.samples import batch, change, claim, ids, limits, new, record, statuses
from pynenc_testkit.stores import Store

ORDERS = int(os.environ.get("PYNENC_TEST_ORDERS", "2"))
"""Seeded orders tried in each case."""
_READS = {"find", "find_one", "aggregate", "count_documents"}
CALL = "pynenc_backend_mongo.database:Database.call"
NAMES = ("a", "b", "c", "d")
QUEUES = ("q",)
Opener = Callable[[], Store]


def database_of(store: Store) -> Database:
    assert isinstance(store.state, MongoStateBackend)
    return store.state.database


@attrs.define
class Lookout:
    """Looks into the collection after every call that may have changed it: how many own each key."""

    collection: Callable[[str], Any]
    most: dict[str, int]
    broken: list[str] = attrs.field(factory=list[str])
    worst: int = 0
    keys: dict[str, set[str]] = attrs.field(factory=dict[str, set[str]])

    def look(self) -> None:
        owned = {each["_id"] for each in self.collection("invocations").find({"phase": "owned"}, {"_id": 1})}
        for key, most in self.most.items():
            holders = sorted(owned & self.keys[key])
            self.worst = max(self.worst, len(holders))
            if len(holders) > most:
                self.broken.append(f"{key!r} of {most} is held by {holders}")

    @contextmanager
    def on_duty(self) -> Generator[None]:
        original = Database.call

        def watched(database: Database, collection: str, verb: str, *arguments: Any, **named: Any) -> Any:
            found = original(database, collection, verb, *arguments, **named)
            if collection == layout.INVOCATIONS and verb not in _READS:
                self.look()
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Database, "call", watched)
            yield


def work(store: Store, runner: str, die_at: int = 0) -> list[str]:
    """Claim and settle until there is nothing, or die before the n-th call of the driver."""
    done: list[str] = []
    calls = [0]
    original = database_of(store).call

    def mortal(*arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == die_at:
            raise CutError
        return original(*arguments, **named)

    if die_at:
        vars(database_of(store))["call"] = mortal
    try:
        for _ in range(12):
            held = claim(store, runner, start=1, queues=QUEUES).claimed
            if not held:
                break
            for _ in range(4):
                store.state.get(NAMES)  # as long as this takes, it is held
            store.dispatcher.settle([change(held[0], Status.SUCCESS, outcome=Payload(b"1"))])
            done += ids(held)
    except CutError:
        pass
    return done


def recovered(store: Store, runner: str) -> None:
    """Take back what a dead runner owned, as the sweep of the core does; then let the store finish what it left half done."""
    for held in store.state.get(NAMES).values():
        if held.state.runner_id == runner:
            by = Status.PENDING_RECOVERY if held.state.status is Status.PENDING else Status.RUNNING_RECOVERY
            store.dispatcher.settle([change(held, by, Status.REROUTED, by="sweeper")])
    store.dispatcher.republish()


def drained(store: Store) -> None:
    """Work off what is left; everything must be done, once, with a history without a gap."""
    work(store, "last")
    found = store.state.get(NAMES)
    assert {name: held.state.status for name, held in found.items()} == dict.fromkeys(NAMES, Status.SUCCESS)
    for entries in store.state.history(NAMES).values():
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        assert statuses(entries).count(Status.SUCCESS) == 1


CASES: dict[str, tuple[tuple[Limit, ...], ...]] = {
    "one of a key": (limits("k"),) * 4,
    "two of a key": (limits("k", 2),) * 4,
    "two keys crosswise": ((*limits("k"), *limits("l")), (*limits("l"), *limits("k")), limits("k"), limits("l")),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("die_at", [0, 3, 5, 6, 7, 8, 13, 15])
def test_a_limit_holds_under_every_order_of_calls_whoever_dies(
    opened: Opener, collection: Callable[[str], Any], case: str, die_at: int
) -> None:
    stores = [opened() for _ in range(3)]
    for store in stores:
        store.state.prepare()
    most = {limit.key: limit.most for each in CASES[case] for limit in each}
    keys = {key: {name for name, each in zip(NAMES, CASES[case], strict=True) if key in {limit.key for limit in each}} for key in most}
    lookout = Lookout(collection, most, keys=keys)

    def prepare() -> list[Callable[[], object]]:
        stores[0].state.purge()
        made = [new(name, queue="q", rank=float(rank), limits=CASES[case][rank]) for rank, name in enumerate(NAMES)]
        stores[0].state.add_batch(batch(*made))
        doomed = stores[2]
        vars(database_of(doomed)).pop("call", None)
        return [lambda: work(stores[0], "r0"), lambda: work(stores[1], "r1"), lambda: work(doomed, "doomed", die_at)]

    chance = random.Random(f"{case} {die_at}")  # noqa: S311 - repeatable on purpose
    with lookout.on_duty():
        for number in range(ORDERS):
            turns = [chance.randrange(3) for _ in range(200)]
            schedule = Schedule(turns, silence=0.3)
            operations = prepare()
            with choked((CALL,), schedule.step):
                results = schedule.run(*operations)
            assert not [each for each in results if isinstance(each, BaseException)], f"{results} under {turns}"
            assert not lookout.broken, f"{lookout.broken} under {turns}"
            vars(database_of(stores[2])).pop("call", None)
            if die_at:
                recovered(stores[0], "doomed")
            drained(stores[number % 2])
            assert not lookout.broken, f"{lookout.broken} after {turns}"
    assert 0 < lookout.worst <= max(most.values())


def test_who_loses_its_slot_to_a_thief_loses_its_claim_too(opened: Opener, collection: Callable[[str], Any]) -> None:
    """A claimer that is stopped between taking its slot and its write, however long, must not write after the slot went."""
    slow, thief = opened(), opened()
    slow.state.add_batch(batch(new("a", queue="q", rank=1.0, limits=limits("k")), new("b", queue="q", rank=2.0, limits=limits("k"))))
    database = database_of(slow)
    original = database.call

    def stopped(name: str, verb: str, *arguments: Any, **named: Any) -> Any:
        if verb == "find_one_and_update" and not stolen:
            stolen.append(ids(thief.state.acquire(["b"], Ask(runner_id="thief", limit=1, start=1))))
        return original(name, verb, *arguments, **named)

    stolen: list[list[str]] = []
    vars(database)["call"] = stopped
    got = ids(slow.state.acquire(["a"], Ask(runner_id="slow", limit=1, start=1)))
    assert (stolen, got) == ([["b"]], [])
    assert record(thief, "a").state.status is Status.CONCURRENCY_CONTROLLED
    assert [(each["holder"], each["claim"]) for each in collection("slots").find()] == [("b", 1)]
    assert thief.state.holders(["k"]) == {"k": 1}
