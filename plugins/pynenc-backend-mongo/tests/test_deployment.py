"""What is asked of a deployment: its indexes, made once; its write concern; and what only a mongod can show of both."""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

import pymongo
import pytest

from pynenc_backend_mongo import layout
from pynenc_backend_mongo.database import Database
from pynenc_backend_mongo.settings import MongoSettings
from pynenc_backend_mongo.state_backend import MongoStateBackend
from pynenc_core.model import Ask, Query
from pynenc_core.status import OWNED, Status
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.samples import change, claim, limits, new, running, submit
from pynenc_testkit.stores import KitApp, Store, open_installed

Opener = Callable[..., Store]


def database_of(store: Store) -> Database:
    assert isinstance(store.state, MongoStateBackend)
    return store.state.database


class TestIndexes:
    """The first process of a version makes what is missing, and nobody after it."""

    @pytest.fixture
    def made(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The collections for which indexes were asked for."""
        names: list[str] = []
        driver: Any = resolve_name("pymongo.collection:Collection")
        original = driver.create_indexes

        def noted(collection: Any, *arguments: Any, **named: Any) -> Any:
            names.append(collection.name.rpartition("_")[2])
            return original(collection, *arguments, **named)

        monkeypatch.setattr(driver, "create_indexes", noted)
        return names

    def test_they_are_made_once(self, opened: Opener, made: list[str]) -> None:
        for _ in range(3):
            opened().state.prepare()
        assert sorted(made) == sorted(layout.OF)

    def test_a_newer_version_makes_them_again_and_an_older_one_leaves_them(
        self, opened: Opener, made: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened().state.prepare()
        made.clear()
        monkeypatch.setattr(layout, "INDEXES", layout.INDEXES + 1)
        opened().state.prepare()
        assert sorted(made) == sorted(layout.OF)
        made.clear()
        monkeypatch.setattr(layout, "INDEXES", layout.INDEXES - 1)
        opened().state.prepare()
        assert made == []


@pytest.mark.parametrize(
    ("options", "setting", "concern"),
    [("", "majority", "majority"), ("", "1", 1), ("?w=1", "majority", 1), ("?w=majority", "1", "majority")],
)
def test_writes_wait_for_a_majority_unless_somebody_says_otherwise(url: str, options: str, setting: str, concern: object) -> None:
    settings: dict[type, object] = {MongoSettings: MongoSettings(write_concern=setting)}
    store = open_installed(KitApp("kit", url + options, ManualClock(), settings))
    assert database_of(store).open()[layout.INVOCATIONS].write_concern.document == {"w": concern}
    store.close()


@pytest.mark.needs_mongod
def test_no_question_of_a_worker_or_a_sweep_reads_a_whole_collection(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened()
    submit(store, new("a", limits=limits("k")), new("b", due=4e9), new("c", queue="q"))
    plans: dict[str, str] = {}
    find = Database.find

    def explained(database: Database, collection: str, wanted: dict[str, Any], *arguments: Any, **named: Any) -> Any:
        asked = database.open()[f"{database.place.prefix}_{collection}"].find(wanted, sort=named.get("sort"))
        plans[f"{collection} {wanted}"] = str(asked.explain()["queryPlanner"]["winningPlan"])
        return find(database, collection, wanted, *arguments, **named)

    monkeypatch.setattr(Database, "find", explained)
    held = claim(store, start=1).claimed[0]
    store.dispatcher.settle([change(held, Status.SUCCESS)], ask=Ask(runner_id="r1", limit=2))
    store.dispatcher.await_work(("default", "q"), 0.1)
    store.dispatcher.republish()
    running(store, "d", limits=limits("k"))
    store.state.beat(["r1", "r2"], 30.0)
    for query in (Query(statuses=OWNED), Query(runner_id="r1"), Query(task_id="t"), Query(limit_key="k"), Query(has_outbox=True)):
        store.state.find(query)
    store.state.holders(["k"])
    store.state.history(["a"])
    store.state.watch(["d"]).close()
    store.state.sweep(0.0)
    assert len(plans) > 10
    assert {asked: plan for asked, plan in plans.items() if "COLLSCAN" in plan} == {}


@pytest.mark.needs_mongod
def test_a_settle_whose_reply_is_lost_on_the_way_is_repeated_by_the_driver_and_written_once(opened: Opener) -> None:
    """The server remembers the number of a retryable write: its second coming is answered as the first was."""
    store = opened("?retryWrites=true")
    held = running(store, "a")
    client: pymongo.MongoClient[dict[str, Any]] = database_of(store).open().client
    fails = {"failCommands": ["findAndModify", "update"], "closeConnection": True}
    client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": fails})
    assert store.dispatcher.settle([change(held, Status.SUCCESS)]).refused == (None,)
    assert [entry.status_record.status for entry in store.state.history(["a"])["a"]].count(Status.SUCCESS) == 1
