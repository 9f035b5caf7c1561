"""The public names of a state backend, which the core writes once over the verbs: they work over these verbs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from pynenc_core.identifiers import SortableIds
from pynenc_core.model import CallDTO, InvocationDTO, Payload, Query, RunnerContext, WorkflowIdentity
from pynenc_core.ports.app_records import AppInfo
from pynenc_core.status import Status
from pynenc_testkit.contracts.public_results import CONTEXT, PARENT, NoteRules, ResultRules
from pynenc_testkit.contracts.subject import Opener, StorageSubject
from pynenc_testkit.samples import batch, found, history, new, record, running
from pynenc_testkit.stores import Store

BILLING, SHIPPING = "shop.bill", "shop.ship"


def pair(invocation_id: str, **fields: Any) -> tuple[InvocationDTO, CallDTO]:
    """Return an invocation with its call, as `upsert_invocations` takes them."""
    made = new(invocation_id, **fields)
    return made.invocation, made.call


def member(invocation_id: str, workflow: WorkflowIdentity, task_id: str) -> tuple[InvocationDTO, CallDTO]:
    """Return an invocation of a workflow."""
    return pair(invocation_id, workflow=workflow, task_id=task_id)


class InvocationNameRules(StorageSubject):
    """Invocations are looked up and walked over."""

    def test_pairs_are_stored_once(self, store: Store, other: Store) -> None:
        pairs = [pair("a", queue="q"), pair("b", parent_id="a")]
        assert store.state.upsert_invocations(pairs) == ("a", "b")
        moved = running(store, "c")
        assert other.state.upsert_invocations([*pairs, (moved.invocation, moved.call)]) == ("a", "b", "c")
        assert other.state._upsert_invocations(pairs) == ("a", "b")
        assert found(store) == ["a", "b", "c"]
        assert record(store, "c").state == moved.state
        assert [len(history(store, each)) for each in ("a", "b", "c")] == [1, 1, 3]
        stored = other.state._get_invocation("a")
        assert stored is not None
        assert (stored[0].queue, stored[0].call_id, stored[1]) == ("q", pairs[0][0].call_id, pairs[0][1])
        assert other.state._get_invocation("nobody") is None

    def test_more_pairs_than_a_batch_holds_are_stored(self, store: Store) -> None:
        names = [f"{number:04}" for number in range(501)]
        assert store.state.upsert_invocations(pair(name) for name in names) == tuple(names)
        assert sum(store.state.count(Query()).values()) == 501

    def test_a_pair_whose_unique_key_is_under_way_stands_for_that_one(self, store: Store) -> None:
        running(store, "a", unique_key="k")
        assert store.state.upsert_invocations([pair("b", unique_key="k"), pair("c")]) == ("a", "c")

    def test_arguments_are_decoded_when_looked_at(self, store: Store, other: Store) -> None:
        good, bad = (("x", Payload(b"[1]")), ("y", Payload(b'"z"'))), (("x", Payload(b"{")),)
        store.state.add_batch(batch(new("a", arguments=good), new("b", arguments=bad)))
        assert other.state.get_invocation("a").arguments == {"x": [1], "y": "z"}
        broken = other.state.get_invocation("b")
        assert (broken.invocation_id, broken.status, broken.call.arguments) == ("b", Status.REGISTERED, bad)
        with pytest.raises(msgspec.DecodeError):
            _ = broken.arguments

    def test_children_are_those_of_the_one_parent(self, store: Store) -> None:
        names = [f"c{number:03}" for number in range(250)]
        store.state.upsert_invocations(pair(name, parent_id="a") for name in names)
        store.state.upsert_invocations([pair("a"), pair("z", parent_id="b"), pair("grandchild", parent_id="c000")])
        assert [child.invocation_id for child in store.state.get_child_invocations("a")] == names
        assert list(store.state.get_child_invocations("z")) == []

    def test_a_range_of_creation_times_comes_in_batches(self, store: Store, other: Store) -> None:
        moment = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
        times = [moment + timedelta(milliseconds=number) for number in (0, 0, 1, 2, 2, 3)]
        ticks = iter([time.timestamp() for time in times])
        made = SortableIds(lambda: next(ticks))
        names = [made.new() for _ in times]
        store.state.upsert_invocations(pair(name) for name in names)
        walk = other.state.iter_invocations_in_timerange
        pages = list(walk(moment, times[-1], batch_size=2))
        assert [[one.invocation_id for one in page] for page in pages] == [names[:2], names[2:4], names[4:5]]
        for start, end in pairwise(sorted(set(times))):
            expected = [name for name, time in zip(names, times, strict=True) if start <= time < end]
            for form in (start, start.replace(tzinfo=None), start.astimezone(timezone(timedelta(hours=9))), start.timestamp()):
                assert [one.invocation_id for page in walk(form, end) for one in page] == expected
        assert list(walk(times[-1] + timedelta(milliseconds=1), moment + timedelta(days=9))) == []
        assert len(next(walk(0, 9e9))) == len(names)


class WorkflowNameRules(StorageSubject):
    """Workflows: their data, and which there are."""

    ONE, TWO = WorkflowIdentity("w1", BILLING), WorkflowIdentity("w2", BILLING)
    CHILD = WorkflowIdentity("w3", SHIPPING, "w1")

    def stored(self, store: Store) -> None:
        """Store three workflows: two roots with a member each, and a child workflow of the first that calls its own kind."""
        members = [member("w1", self.ONE, BILLING), member("w1-a", self.ONE, SHIPPING), member("w1-b", self.ONE, BILLING)]
        members += [member("w2", self.TWO, BILLING), member("w2-a", self.TWO, SHIPPING), member("w3", self.CHILD, SHIPPING)]
        assert len(store.state.upsert_invocations(members)) == 6
        for workflow_type in (SHIPPING, BILLING):
            store.state.store_workflow_type(workflow_type)

    def test_data_are_kept_by_workflow_and_key(self, store: Store, other: Store) -> None:
        for identity, key, value in ((self.ONE, "k", 1), (self.ONE, "k", [2]), (self.ONE, "l", "3"), (self.TWO, "k", {"4": 4.5})):
            store.state.set_workflow_data(identity, key, value)
        asked = [(self.ONE, "k"), (self.ONE, "l"), (self.TWO, "k"), (self.TWO, "l"), (self.CHILD, "k")]
        assert [other.state.get_workflow_data(*each) for each in asked] == [[2], "3", {"4": 4.5}, None, None]
        assert other.state.get_workflow_data(self.TWO, "l", "default") == "default"

    def test_a_stored_none_is_a_value(self, store: Store, other: Store) -> None:
        assert other.state.get_workflow_data(self.ONE, "k", "default") == "default"
        store.state.set_workflow_data(self.ONE, "k", None)
        assert other.state.get_workflow_data(self.ONE, "k", "default") is None

    def test_workflows_are_listed_from_their_invocations(self, store: Store, other: Store) -> None:
        self.stored(store)
        assert list(other.state.get_all_workflow_types()) == [BILLING, SHIPPING]
        assert list(other.state.get_workflow_runs(BILLING)) == [self.ONE, self.TWO]
        assert list(other.state.get_all_workflow_runs()) == [self.ONE, self.TWO, self.CHILD]
        assert list(other.state.get_workflow_sub_invocations("w1")) == ["w1-a", "w1-b"]
        assert list(other.state.get_workflow_sub_invocations("w3")) == []

    def test_what_was_stored_explicitly_is_listed_once(self, store: Store, other: Store) -> None:
        self.stored(store)
        gone = WorkflowIdentity("w0", "shop.old")
        for identity in (self.ONE, gone, gone):
            store.state.store_workflow_run(identity)
        for name in ("w1-a", "w1-aa", "w1-aa"):
            store.state.store_workflow_sub_invocation("w1", name)
        assert list(other.state.get_all_workflow_types()) == [BILLING, "shop.old", SHIPPING]
        assert list(other.state.get_all_workflow_runs()) == [self.ONE, self.TWO, gone, self.CHILD]
        assert list(other.state.get_workflow_sub_invocations("w1")) == ["w1-a", "w1-aa", "w1-b"]

    def test_ids_come_by_workflow_and_type(self, store: Store) -> None:
        self.stored(store)
        by = store.state.get_invocation_ids_by_workflow
        assert list(by("w1")) == list(by(workflow_id="w1", workflow_type_key=BILLING)) == ["w1", "w1-a", "w1-b"]
        assert list(by(workflow_type_key=BILLING)) == ["w1", "w1-a", "w1-b", "w2", "w2-a"]
        assert list(by(workflow_id="w1", workflow_type_key=SHIPPING)) == []
        assert list(by()) == ["w1", "w1-a", "w1-b", "w2", "w2-a", "w3"]


class NamingRules(StorageSubject):
    """Apps and runner contexts."""

    def test_an_app_is_named_in_its_store(self, store: Store, other: Store, opened: Opener) -> None:
        assert other.state.get_app_info() is None
        store.state.store_app_info(AppInfo(app_id="kit", locator="old:app"))
        store.state.store_app_info(AppInfo(app_id="kit", locator="shop:app"))
        assert other.state.get_app_info() == AppInfo(app_id="kit", locator="shop:app")
        assert opened("another app").state.get_app_info() is None
        assert all(isinstance(info, AppInfo) for info in type(other.state).discover_app_infos().values())

    def test_a_context_is_stored_with_its_parents(self, store: Store, other: Store) -> None:
        store.state.store_runner_context(CONTEXT)
        assert other.state.get_runner_contexts([CONTEXT.runner_id, PARENT.runner_id, "nobody"]) == {
            CONTEXT.runner_id: CONTEXT,
            PARENT.runner_id: PARENT,
        }
        assert other.state.get_runner_context("nobody") is None

    def test_contexts_match_by_any_part_of_their_id(self, store: Store, other: Store) -> None:
        names = [f"Worker@a%_-{number:03}-n" for number in range(205)]
        for name in names:
            store.state.store_runner_context(RunnerContext(class_name="Worker", runner_id=name, host="a%_", pid=1))
        store.state.store_runner_context(CONTEXT)
        matching = other.state.get_matching_runner_contexts
        assert [one.runner_id for one in matching("a%_")] == names
        assert [one.runner_id for one in matching("-204-n")] == names[-1:]
        assert [one.runner_id for one in matching("host-")] == [PARENT.runner_id, CONTEXT.runner_id]
        assert len(list(matching(""))) == 207

    def test_a_context_that_was_purged_is_stored_again_after_a_minute(self, store: Store, other: Store) -> None:
        store.state.store_runner_context(CONTEXT)
        other.state.purge()
        store.state.store_runner_context(CONTEXT)
        assert other.state.get_runner_context(CONTEXT.runner_id) is None
        store.app.clock.advance(61)
        store.state.store_runner_context(CONTEXT)
        assert other.state.get_runner_context(CONTEXT.runner_id) == CONTEXT


class PublicRecordsContract(ResultRules, NoteRules, InvocationNameRules, WorkflowNameRules, NamingRules):
    """What the public names of a state backend do over its verbs; give `url` and a fixture `raw`."""
