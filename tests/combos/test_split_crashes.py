"""A queue in one store and the records in another: who dies between two calls to them leaves nothing that the sweep does not repair."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pkgutil import resolve_name
from typing import Any

import attrs
import pytest

from pynenc_core.model import Ask, InvocationRecord, Query
from pynenc_core.orchestration import split
from pynenc_core.ports.broker import BaseBroker
from pynenc_core.ports.state_backend import BaseStateBackend
from pynenc_core.status import CLAIMABLE, FINAL, OWNED, Status
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.contracts.subject import fresh_place
from pynenc_testkit.samples import change, claim, ids, limits, new, record, running, settled, submit
from pynenc_testkit.stores import KitApp, Store

CLASSES = {
    "redis": ("pynenc_backend_redis.broker:RedisBroker", "pynenc_backend_redis.state_backend:RedisStateBackend"),
    "mongo": ("pynenc_backend_mongo.broker:MongoBroker", "pynenc_backend_mongo.state_backend:MongoStateBackend"),
    "sqlite": ("pynenc_backend_sqlite.broker:SQLiteBroker", "pynenc_backend_sqlite.state_backend:SQLiteStateBackend"),
}
URLS = {"redis": "{redis}", "mongo": "{mongo}/{name}", "sqlite": "sqlite:///{folder}/jobs.db"}
PAIRS = (("redis", "mongo"), ("mongo", "redis"), ("redis", "sqlite"), ("sqlite", "redis"), ("mongo", "sqlite"), ("sqlite", "mongo"))
MOST = 25
"""Calls to the stores of any operation tried here."""
SWEEPS = 4


class DeadError(BaseException):
    """What the process is at that point would have been killed."""


@attrs.define
class Death:
    """Ends what a store does, as if its process were killed: before its n-th call, or after it, and at every later call."""

    at: int
    after: bool
    calls: int = 0
    dead: bool = False

    def over(self, store: Store) -> None:
        """Stand before every call to the queue and to the records."""
        for part, port in ((store.broker, BaseBroker), (store.state, BaseStateBackend)):
            for verb in sorted(port.__abstractmethods__ - {"now", "close", "prepare", "wake"}):
                setattr(part, verb, self._around(getattr(part, verb)))

    def _around(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        def mortal(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            self.dead = self.dead or (self.calls >= self.at and not self.after)
            if self.dead:
                raise DeadError
            found = verb(*arguments, **named)
            self.dead = self.calls >= self.at
            if self.dead:
                raise DeadError
            return found

        return mortal


@attrs.frozen
class Pair:
    """A queue and records in stores of their own, opened as often as there are processes."""

    open: Callable[[], Store]


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setattr(split, "_LOST_AFTER", -1.0)  # else a sweep lets what was queued a moment ago come by itself
    names: tuple[str, str] = request.param
    opened: list[Store] = []
    clock = ManualClock(ticking=True)
    clock.advance(1e9)  # about now: servers go by their own
    with fresh_place("\n".join(URLS[name] for name in names) + "\n{name}") as place:
        *urls, app_id = place.split("\n")

        def open_one() -> Store:
            broker_app, app = (KitApp(app_id, url, clock) for url in urls)
            broker: BaseBroker = resolve_name(CLASSES[names[0]][0])(broker_app)
            state: BaseStateBackend = resolve_name(CLASSES[names[1]][1])(app)
            state.prepare()
            opened.append(Store(app, broker, state, split.SplitDispatcher(broker, state)))
            return opened[-1]

        yield Pair(open_one)
        for store in opened:
            store.broker.close()
            store.state.close()


def situation(store: Store, key: str) -> None:
    """Let one run that holds a limit, one wait beside the limit, two wait in the queue, and one be tried again later."""
    running(store, f"{key}-held", runner_id="dying", limits=limits(key))
    submit(store, new(f"{key}-beside", queue=key, rank=0.0, limits=limits(key)))
    assert ids(claim(store, queues=(key,))) == []
    submit(store, new(f"{key}-1", queue=key, rank=1.0), new(f"{key}-2", queue=key, rank=2.0))


def settle(store: Store, key: str, *through: Status, ask: Ask | None = None, **fields: Any) -> object:
    return store.dispatcher.settle([change(record(store, f"{key}-held"), *through, **fields)], ask=ask)


def asks(key: str) -> Ask:
    return Ask(runner_id="dying", limit=2, start=1, queues=(key,))


OPERATIONS: dict[str, Callable[[Store, str], object]] = {
    "submit": lambda store, key: submit(store, new(f"{key}-a", queue=key), new(f"{key}-b", queue=key, unique_key=key)),
    "claim": lambda store, key: store.dispatcher.claim(asks(key)),
    "settle and claim": lambda store, key: settle(store, key, Status.SUCCESS, ask=asks(key)),
    "try again": lambda store, key: settle(store, key, Status.RETRY, attempts=1),
    "pause": lambda store, key: settle(store, key, Status.PAUSED, awaits=(f"{key}-2",), boost=0.5),
    "cancel": lambda store, key: store.dispatcher.settle([change(record(store, f"{key}-1"), Status.CANCELLED)]),
    "sweep": lambda store, _key: store.dispatcher.republish(),
}


def recover(store: Store) -> None:
    """Take back what the dead process owned, as the core's sweep does."""
    for held in store.state.find(Query(runner_id="dying", statuses=OWNED)):
        into = Status.PENDING_RECOVERY if held.state.status is Status.PENDING else Status.RUNNING_RECOVERY
        settled(store, change(held, into, Status.REROUTED, by="sweeper"))


def work_off(store: Store, key: str) -> None:
    """Sweep and run what there is, again and again: what is behind others in its queue is missed only when these are gone."""
    ask = Ask(runner_id="last", limit=9, start=9, queues=(key, f"only-{key}-held"))
    for _ in range(SWEEPS):
        moved = store.dispatcher.republish()
        while got := store.dispatcher.claim(ask).claimed:
            settled(store, *(change(each, Status.SUCCESS) for each in got))
            moved += len(got)
        if not moved:
            return
    pytest.fail(f"after {SWEEPS} sweeps there is still something to repair")


def assert_repaired(store: Store, key: str) -> None:
    """Assert that everything has ended, once, and that no queue entry is left."""
    found: dict[str, InvocationRecord] = store.state.get([f"{key}-{name}" for name in ("held", "beside", "1", "2", "a", "b")])
    assert {f"{key}-{name}" for name in ("held", "beside", "1", "2")} <= found.keys()
    assert len(found.keys() & {f"{key}-a", f"{key}-b"}) in {0, 2}, "half a batch"
    assert {name: each.state.status for name, each in found.items() if each.state.status not in FINAL} == {}
    for name, entries in store.state.history(list(found)).items():
        assert sum(entry.status_record.status in FINAL for entry in entries) == 1, name
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1)), name
    assert store.state.count(Query(statuses=CLAIMABLE | OWNED)) == {}
    assert (store.broker.size(key), store.broker.size(f"only-{key}-held")) == (0, 0)


@pytest.mark.parametrize("name", OPERATIONS)
def test_who_is_killed_between_two_calls_leaves_nothing_that_a_sweep_does_not_repair(pair: Pair, name: str) -> None:
    survivor, points = pair.open(), count(1)
    for at in range(1, MOST):
        for after in (False, True):
            key, death, dying = f"k{next(points)}", Death(at, after), pair.open()
            situation(survivor, key)
            death.over(dying)
            try:
                OPERATIONS[name](dying, key)
            except DeadError:
                pass
            else:
                assert at > 1, f"{name} makes no call"
                return
            recover(survivor)
            work_off(survivor, key)
            assert_repaired(survivor, key)
    pytest.fail(f"{name} does not end after {MOST} calls")
