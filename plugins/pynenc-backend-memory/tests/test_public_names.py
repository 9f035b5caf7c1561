"""The public names of a state backend on a whole app: real tasks, the real serializer, the claim of who executes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from pynenc_core import Pynenc
from pynenc_core.errors.invocations import InvocationStatusOwnershipError
from pynenc_core.errors.serialization import ArgumentEncodingError, PayloadTooLargeError, ResultEncodingError
from pynenc_core.model import InvocationRecord, RunnerContext, WorkflowIdentity
from pynenc_core.ports.state_backend import BaseStateBackend
from pynenc_core.status import Status

app = Pynenc("memory://", app_id="public-names")
RUNNER = RunnerContext.of_this_process("TestRunner")


@app.task
def collect(items: set[str], *rest: bytes) -> frozenset[str]:
    return frozenset(items) | {each.decode() for each in rest}


@app.task
def settles_itself() -> str:
    running = settles_itself.invocation
    assert running is not None
    app.state_backend.set_result(running.invocation_id, "by itself")
    return "returned"


@app.task
def settles_another(invocation_id: str) -> str:
    try:
        app.state_backend.set_result(invocation_id, frozenset({"by another"}))
    except InvocationStatusOwnershipError as refused:
        return f"refused: it is {refused.status}"
    return "written"


class Grumble(Exception):  # noqa: N818 - an exception as a user may name it
    """Its message cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError


@app.task
def grumbles() -> None:
    raise Grumble


@app.task
def calls_others() -> list[str]:
    return [each.invocation_id for each in (collect({"a"}), collect({"b"}))]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    app.purge()
    yield
    app.close()


@pytest.fixture
def state() -> BaseStateBackend:
    return app.state_backend


def start() -> InvocationRecord:
    """Claim the one invocation that waits."""
    (record,) = app.orchestrator.get_invocations_to_run(1, RUNNER)
    return record


def work() -> InvocationRecord:
    """Claim the one invocation that waits, and run it here."""
    record = start()
    app.orchestrator.run_invocation(record, RUNNER)
    return record


def test_results_are_what_the_annotations_say(state: BaseStateBackend) -> None:
    small, large = collect({"a"}), collect({"x" * 5000})
    work()
    work()
    assert state.get_result(small.invocation_id) == frozenset({"a"})
    assert state._get_result(large.invocation_id).blob
    assert state.get_result(large.invocation_id) == frozenset({"x" * 5000})


def test_a_result_set_by_name_is_what_the_caller_gets(state: BaseStateBackend) -> None:
    called = collect({"a"})
    held = start()
    with pytest.raises(ResultEncodingError):
        state.set_result(called.invocation_id, 3, owner=held.state.owner)
    assert called.status is Status.RUNNING
    state.set_result(called.invocation_id, frozenset({"y" * 5000}), owner=held.state.owner)
    assert called.get_result(timeout=0) == frozenset({"y" * 5000})


def test_an_exception_set_by_name_is_what_the_caller_gets(state: BaseStateBackend) -> None:
    called = collect({"a"})
    held = start()
    state.set_exception(called.invocation_id, LookupError("z" * 5000), owner=held.state.owner)
    with pytest.raises(LookupError, match=r"z{5000}"):
        called.get_result(timeout=0)
    assert called.history[-1].status_record.reason == f"LookupError: {'z' * 487}"


def test_a_running_task_owns_itself_and_nothing_else(state: BaseStateBackend) -> None:
    other = collect({"a"})
    held = start()
    asking = settles_another(other.invocation_id)
    work()
    assert asking.get_result(timeout=0) == "refused: it is RUNNING"
    itself = settles_itself()
    with pytest.raises(InvocationStatusOwnershipError):
        work()  # what it returns comes too late: its result is there already
    assert itself.get_result(timeout=0) == "by itself"
    state.set_result(other.invocation_id, frozenset(), owner=held.state.owner)
    assert other.get_result(timeout=0) == frozenset()


def test_the_orchestrator_tells_a_stale_owner_so_wherever_the_work_went() -> None:
    called = collect({"a"})
    old = start().state.owner
    assert old is not None
    app.orchestrator.reroute_owned(RUNNER.runner_id)
    for again in (False, True):
        if again:
            start()
        with pytest.raises(InvocationStatusOwnershipError):
            app.orchestrator.set_invocation_result(called.invocation_id, frozenset(), old)
        with pytest.raises(InvocationStatusOwnershipError):
            app.orchestrator.set_invocation_exception(called.invocation_id, ValueError(), old)
        with pytest.raises(InvocationStatusOwnershipError):
            app.orchestrator.set_invocation_retry(called.invocation_id, ValueError(), old)
    assert called.status is Status.RUNNING


def test_an_exception_whose_message_cannot_be_made_ends_the_invocation(state: BaseStateBackend) -> None:
    called = grumbles()
    work()
    assert called.status is Status.FAILED
    assert called.history[-1].status_record.reason == "Grumble (its message could not be made: RuntimeError)"
    assert "Grumble" in repr(state.get_exception(called.invocation_id))


def test_arguments_come_back_by_parameter(state: BaseStateBackend) -> None:
    called = collect({"a", "b"}, b"\xff")
    assert dict(state.get_invocation(called.invocation_id).arguments) == {"items": {"a", "b"}, "rest": (b"\xff",)}


def test_workflow_data_say_what_they_refuse(state: BaseStateBackend) -> None:
    workflow = WorkflowIdentity("w", "shop.bill")
    with pytest.raises(ArgumentEncodingError, match="argument 'workflow data total', which has no annotation, cannot be sent"):
        state.set_workflow_data(workflow, "total", {1, 2})
    with pytest.raises(PayloadTooLargeError, match="'workflow data total' takes 1,048,578 bytes"):
        state.set_workflow_data(workflow, "total", "x" * (1 << 20))
    assert state.get_workflow_data(workflow, "total", "nothing") == "nothing"


def test_a_tree_of_calls_is_found_from_every_side(state: BaseStateBackend) -> None:
    before = datetime.now(UTC)
    root = calls_others()
    work()
    children = root.get_result(timeout=0)
    assert [child.invocation_id for child in state.get_child_invocations(root.invocation_id)] == children
    assert list(state.get_all_workflow_types()) == [f"{__name__}.calls_others"]
    assert list(state.get_all_workflow_runs()) == [root.workflow]
    assert list(state.get_workflow_sub_invocations(root.invocation_id)) == children
    assert list(state.get_invocation_ids_by_workflow(root.invocation_id)) == [root.invocation_id, *children]
    pages = state.iter_invocations_in_timerange(before, datetime.now(UTC) + timedelta(seconds=1), batch_size=2)
    assert [[each.invocation_id for each in page] for page in pages] == [[root.invocation_id, children[0]], children[1:]]


def test_history_can_name_who_did_it(state: BaseStateBackend) -> None:
    app.orchestrator.store_runner_context(RUNNER)
    called = collect({"a"})
    work()
    names = {entry.runner_context_id for entry in state.get_history(called.invocation_id)}
    known = state.get_runner_contexts(names)
    assert known[RUNNER.runner_id] == RUNNER
    assert {context.class_name for context in state.get_matching_runner_contexts(f"-{RUNNER.pid}")} >= {"TestRunner"}
