"""Looking things up: by index, in pages, counted, and in history."""

from __future__ import annotations

from typing import Any

import pytest

from pynenc_core.model import InvocationHistory, Limit, Query, WorkflowIdentity
from pynenc_core.status import Status
from pynenc_testkit.contracts.subject import StorageSubject
from pynenc_testkit.samples import batch, change, finish, found, history, ids, new, pending, running, state, statuses, written
from pynenc_testkit.stores import Store

QUERIES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "all": ({}, ["a", "b", "c", "d"]),
    "one status": ({"statuses": frozenset({Status.RUNNING})}, ["a"]),
    "two statuses": ({"statuses": frozenset({Status.RUNNING, Status.PENDING})}, ["a", "b"]),
    "runner": ({"runner_id": "r1"}, ["a", "b"]),
    "task": ({"task_id": "shop:other"}, ["c"]),
    "call": ({"call_id": "call-1"}, ["a", "d"]),
    "parent": ({"parent_id": "a"}, ["b", "c"]),
    "workflow": ({"workflow_id": "w1"}, ["a", "b"]),
    "workflow type": ({"workflow_type": "type-2"}, ["c", "d"]),
    "limit key": ({"limit_key": "second key"}, ["b"]),
    "unique key": ({"unique_key": "u"}, ["d"]),
    "queue": ({"queue": "slow"}, ["d"]),
    "several": ({"runner_id": "r1", "workflow_id": "w1", "statuses": frozenset({Status.PENDING}), "parent_id": "a"}, ["b"]),
    "contradiction": ({"task_id": "shop:other", "queue": "slow"}, []),
    "nothing of the kind": ({"parent_id": "nobody"}, []),
}


def population(store: Store) -> None:
    """Store four invocations that differ in everything a query can ask for."""
    first, second = WorkflowIdentity("w1", "type-1"), WorkflowIdentity("w2", "type-2", "w1")
    running(store, "a", workflow=first, call_id="call-1")
    pending(store, "b", workflow=first, parent_id="a", limits=(Limit("first key", 5), Limit("second key", 5)))
    store.state.add_batch(batch(new("c", workflow=second, parent_id="a", task_id="shop:other")))
    store.state.add_batch(batch(new("d", workflow=second, call_id="call-1", queue="slow", unique_key="u", due=4e9)))


class FindRules(StorageSubject):
    """A query finds what fits all its conditions, in pages that neither skip nor repeat."""

    @pytest.mark.parametrize("case", QUERIES)
    def test_a_query_finds_and_counts_what_fits(self, store: Store, other: Store, case: str) -> None:
        population(store)
        query, expected = QUERIES[case]
        assert found(store) == ["a", "b", "c", "d"]
        assert found(other, **query) == expected
        counts = other.state.count(Query(**query))
        assert sum(counts.values()) == len(expected)
        assert all(counts.values()), "a status without any is absent"

    def test_counts_are_by_status(self, store: Store) -> None:
        population(store)
        assert store.state.count(Query()) == {Status.RUNNING: 1, Status.PENDING: 1, Status.REGISTERED: 1, Status.SCHEDULED: 1}
        assert store.state.count(Query(workflow_id="w1")) == {Status.RUNNING: 1, Status.PENDING: 1}

    def test_indexes_follow_a_change(self, store: Store, other: Store) -> None:
        held = running(store, "a", unique_key="u", limits=(Limit("k", 1),))
        finish(store, held)
        assert found(other, statuses=frozenset({Status.SUCCESS})) == ["a"]
        assert found(other, statuses=frozenset({Status.RUNNING})) == found(other, runner_id="r1") == []
        assert found(other, unique_key="u") == found(other, limit_key="k") == ["a"]
        assert other.state.count(Query()) == {Status.SUCCESS: 1}

    def test_pages_are_by_id_within_bounds(self, store: Store) -> None:
        store.state.add_batch(batch(*(new(f"i{number}") for number in (3, 1, 5, 2, 4))))
        find = store.state.find
        assert ids(find(Query())) == ["i1", "i2", "i3", "i4", "i5"]
        assert ids(find(Query(), limit=2)) == ["i1", "i2"]
        assert ids(find(Query(), after="i2")) == ["i3", "i4", "i5"]
        assert ids(find(Query(), before="i4")) == ["i1", "i2", "i3"]
        assert ids(find(Query(), after="i1", before="i5", limit=2)) == ["i2", "i3"]
        assert ids(find(Query(), newest_first=True, limit=2)) == ["i5", "i4"]
        assert ids(find(Query(), newest_first=True, after="i1", before="i4")) == ["i3", "i2"]

    @pytest.mark.parametrize("newest_first", [False, True])
    def test_pages_neither_skip_nor_repeat_while_others_come_and_go(self, store: Store, *, newest_first: bool) -> None:
        # Those of the queue "q" stay what they are; around them others begin and end between the pages.
        stay = [f"i{number:03d}" for number in range(0, 60, 2)]
        store.state.add_batch(batch(*(new(invocation_id, task_id="shop:stay") for invocation_id in stay)))
        seen: list[str] = []
        for turn in range(len(stay)):
            edge = seen[-1] if seen else ""
            bound = {"before": edge} if newest_first else {"after": edge}
            page = ids(store.state.find(Query(task_id="shop:stay"), limit=7, newest_first=newest_first, **bound))
            if not page:
                break
            seen += page
            running(store, f"i{2 * turn + 1:03d}", task_id="shop:pass")
        assert seen == sorted(stay, reverse=newest_first)


class HistoryRules(StorageSubject):
    """Each transition leaves one entry; what is kept is bounded."""

    def test_each_transition_leaves_one_entry(self, store: Store, other: Store) -> None:
        before = store.state.now()
        held = running(store, "a", parent_id="p", registered_by="router")
        written(store, change(held, Status.KILLED, Status.REROUTED, by="stopper", reason="stopped", interruptions=1))
        entries = history(other, "a")
        assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
        assert statuses(entries) == [Status.REGISTERED, Status.PENDING, Status.RUNNING, Status.KILLED, Status.REROUTED]
        assert [entry.runner_context_id for entry in entries] == ["router", "r1", "r1", "stopper", "stopper"]
        assert [entry.registered_by for entry in entries] == ["p", "", "", "", ""]
        assert [entry.status_record.runner_id for entry in entries] == ["", "r1", "r1", "", ""]
        assert [entry.status_record.claim for entry in entries] == [0, 1, 1, 1, 1]
        assert [entry.status_record.reason for entry in entries] == ["", "", "", "", "stopped"]
        times = [entry.at for entry in entries]
        assert times == sorted(times)
        assert before <= times[0] <= times[-1] <= store.state.now()

    def test_histories_of_many_come_back_by_id(self, store: Store) -> None:
        done, held = running(store, "a"), running(store, "b")
        finish(store, done)
        got = store.state.history(["b", "a", "nobody"])
        assert {key: len(entries) for key, entries in got.items()} == {"a": 4, "b": 3}
        assert held.state.seq == 3

    def test_the_first_20_and_the_last_180_entries_are_kept(self, store: Store) -> None:
        held = running(store)
        noted = [change(held, reason=f"note {number}") for number in range(250)]
        for start in range(0, 250, 50):
            written(store, *noted[start : start + 50])
        kept = history(store, held.invocation_id)
        assert [entry.seq for entry in kept] == [*range(1, 21), *range(74, 254)]
        assert kept[-1].status_record.reason == "note 249"
        assert state(store, held.invocation_id).seq == 253

    def test_a_window_of_history_is_half_open(self, store: Store) -> None:
        running(store, "a")
        store.lapse(10)
        running(store, "b")
        entries = [*history(store, "a"), *history(store, "b")]
        edge = entries[3].at
        assert store.state.history_between(edge, edge + 1000) == tuple(entries[3:])
        assert store.state.history_between(0, edge) == tuple(entries[:3])
        assert store.state.history_between(edge + 1000, edge + 2000) == ()

    def test_a_window_of_history_comes_in_pages_by_time(self, store: Store) -> None:
        made = [running(store).invocation_id for _ in range(6)]
        for number, invocation_id in enumerate(made):
            held = store.state.get([invocation_id])[invocation_id]
            finish(store, held, Status.FAILED if number % 2 else Status.SUCCESS)
        every = [entry for entries in store.state.history(made).values() for entry in entries]
        expected = sorted(every, key=_order)
        assert len(expected) == 24
        seen: list[InvocationHistory] = []
        while page := store.state.history_between(0, 4e9, after=_order(seen[-1]) if seen else None, limit=5):
            assert len(page) <= 5
            seen += page
        assert seen == expected


def _order(entry: InvocationHistory) -> tuple[float, str, int]:
    return entry.at, entry.invocation_id, entry.seq
