"""The public names of a state backend, as the specification writes them: concrete, in the core, with these parameters."""

from __future__ import annotations

import inspect

import pytest

from pynenc_core.model import RunnerContext
from pynenc_core.ports.app_records import AppInfo
from pynenc_core.ports.state_backend import BaseStateBackend
from pynenc_core.ports.storage import CoordinationStorage, RecordStorage

NAMES = {
    "set_result": "invocation_id, result, *, owner=None",
    "_set_result": "invocation_id, outcome, blobs=(), *, owner=None",
    "get_result": "invocation_id",
    "_get_result": "invocation_id",
    "set_exception": "invocation_id, exception, *, owner=None",
    "_set_exception": "invocation_id, outcome, blobs=(), *, reason='', owner=None",
    "get_exception": "invocation_id",
    "_get_exception": "invocation_id",
    "serialize_exception": "exception",
    "deserialize_exception": "data",
    "upsert_invocations": "invocations",
    "_upsert_invocations": "pairs",
    "get_invocation": "invocation_id",
    "_get_invocation": "invocation_id",
    "get_child_invocations": "invocation_id",
    "add_history": "invocation_id, status_record, runner_context",
    "add_histories": "invocations, status_record, runner_context",
    "get_history": "invocation_id",
    "iter_invocations_in_timerange": "start, end, batch_size=100",
    "iter_history_in_timerange": "start, end, batch_size=100",
    "set_workflow_data": "identity, key, value",
    "get_workflow_data": "identity, key, default=None",
    "store_workflow_type": "workflow_type",
    "store_workflow_run": "identity",
    "get_all_workflow_types": "",
    "get_all_workflow_runs": "",
    "get_workflow_runs": "workflow_type",
    "store_workflow_sub_invocation": "workflow_id, invocation_id",
    "get_workflow_sub_invocations": "workflow_id",
    "get_invocation_ids_by_workflow": "workflow_id=None, workflow_type_key=None",
    "store_app_info": "info",
    "get_app_info": "",
    "discover_app_infos": "",
    "store_runner_context": "context",
    "get_runner_context": "runner_id",
    "get_runner_contexts": "runner_ids",
    "get_matching_runner_contexts": "partial_id",
    "wait_for_all_async_operations": "",
    "wait_for_invocation_async_operations": "invocation_id",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_its_parameters_and_is_concrete(name: str) -> None:
    parameters = [each for each in inspect.signature(getattr(BaseStateBackend, name)).parameters.values() if each.name != "self"]
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in parameters]
    assert str(inspect.Signature(plain)) == f"({NAMES[name]})"
    assert name not in BaseStateBackend.__abstractmethods__


def test_there_is_no_other_public_name() -> None:
    verbs = {name for port in (RecordStorage, CoordinationStorage) for name in vars(port) if not name.startswith("_")}
    public = {name for name in dir(BaseStateBackend) if not name.startswith("_") and callable(getattr(BaseStateBackend, name))}
    assert public - verbs == {name for name in NAMES if not name.startswith("_")}


def test_a_backend_implements_exactly_the_verbs() -> None:
    verbs = {name for port in (RecordStorage, CoordinationStorage) for name in vars(port) if not name.startswith("_")}
    assert verbs == BaseStateBackend.__abstractmethods__
    assert "purge" in verbs


def test_a_backend_without_a_place_of_its_own_discovers_nothing() -> None:
    assert BaseStateBackend.discover_app_infos() == {}


def test_what_a_store_says_of_an_app_survives_json() -> None:
    info = AppInfo(app_id="shop", locator="shop.main:app")
    assert AppInfo.from_json(info.to_json()) == info
    assert AppInfo.from_json('{"app_id": "shop", "mood": "good"}') == AppInfo(app_id="shop")


def test_contexts_are_told_apart_by_all_they_hold() -> None:
    """What `store_runner_context` remembers as stored is the whole context, not its id."""
    one = RunnerContext(class_name="Worker", runner_id="w", host="h", pid=1)
    other = RunnerContext(class_name="Worker", runner_id="w", host="h", pid=1, thread="second")
    assert one != other
    assert len({one, other}) == 2
