"""A queue beside the records, as any broker and any state backend are joined: store, then queue; take, then swap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pynenc_backend_memory.broker import MemoryBroker
from pynenc_core import Pynenc
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.model import Queued
from pynenc_core.orchestration.split import SplitDispatcher
from pynenc_testkit.flaky import FlakyBroker, Outage
from unit.app.running import Gate, app_of_its_own, eventually, runner_of, statuses
from unit.orchestration.stage import Stage, owner, stage


def split(app: Pynenc) -> FlakyBroker:
    """Put a queue of its own beside the app's records; return the queue."""
    broker = FlakyBroker(MemoryBroker(app), Outage())
    object.__setattr__(app.orchestrator.engine, "dispatcher", SplitDispatcher(broker, app.orchestrator.engine.state))
    return broker


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name where the records are."""
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"


@contextmanager
def split_stage(**settings: Any) -> Iterator[tuple[Stage, FlakyBroker]]:
    """Open a stage whose queue is apart."""
    with stage(**settings) as scene:
        yield scene, split(scene.app)


def job(n: int) -> int:
    """Return its argument."""
    return n


def test_work_goes_through_it_and_waits_in_it(url: str) -> None:
    app = app_of_its_own(url, threads=1)
    split(app)

    @app.task
    def leaf(n: int) -> int:
        return n

    @app.task
    def tree(depth: int) -> int:
        return 1 if depth == 0 else 1 + sum(tree.parallelize([(depth - 1,)] * 2).results)

    with runner_of(app):
        assert leaf.parallelize([(n,) for n in range(20)]).ordered_results(10) == list(range(20))
        assert tree(3).get_result(20) == 15
    app.close()


def test_a_limit_holds_and_its_crowd_is_woken(url: str) -> None:
    gate = Gate()
    app = app_of_its_own(url, threads=3)
    split(app)

    @app.task(running_concurrency="task")
    def alone(n: int) -> int:
        gate.pass_through()
        return n

    with runner_of(app):
        group = alone.parallelize([(n,) for n in range(6)])
        gate.wait_for()
        eventually(lambda: sum(member.status == "RUNNING" for member in group) == 1)
        gate.open()
        assert sorted(group.iter_results(10)) == list(range(6))
    app.close()


def test_an_entry_without_a_record_is_dropped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    app = app_of_its_own()
    broker = split(app)
    task = app.task(job)
    broker.publish([Queued("nobody", "default", 0.0, None)])
    made = task(1)
    with runner_of(app):
        assert made.get_result(5) == 1
    assert any("queue entries without a record were dropped: nobody" in record.getMessage() for record in caplog.records)
    app.close()


def test_an_entry_that_is_there_twice_runs_once() -> None:
    with split_stage() as (scene, broker):
        (made,) = scene.queue()
        broker.publish([Queued(made.invocation_id, "default", 0.0, None)] * 3)
        worker = scene.worker()
        (record,) = scene.claim(worker, 5)
        assert scene.claim(worker, 5) == []
        scene.app.orchestrator.set_invocation_result(made.invocation_id, 1, owner(record))
        assert scene.claim(worker, 5) == []
        assert statuses(made) == ["REGISTERED", "PENDING", "RUNNING", "SUCCESS"]


def test_an_entry_that_was_lost_is_queued_again_when_the_queue_is_empty() -> None:
    with split_stage() as (scene, broker):
        (made,) = scene.queue()
        broker.purge()
        assert scene.claim(scene.worker(), 1) == []
        assert scene.sweep() == 1
        assert scene.claim(scene.worker(), 1)[0].invocation_id == made.invocation_id


def test_what_is_still_queued_is_not_queued_again() -> None:
    with split_stage() as (scene, broker):
        scene.queue(3)
        assert scene.sweep() == 0
        assert broker.size("default") == 3


def test_what_is_not_due_is_not_handed_out() -> None:
    with split_stage() as (scene, _):
        later = scene.app.task(delay=100.0)(job)
        made = later(1)
        worker = scene.worker()
        assert scene.claim(worker, 1) == []
        assert scene.sweep() == 0
        scene.clock.advance(101)
        (record,) = scene.claim(worker, 1)
        assert record.invocation_id == made.invocation_id


def test_a_call_whose_queue_is_away_is_stored_and_found_by_the_sweep() -> None:
    with split_stage() as (scene, broker):
        with broker.outage.begin(), pytest.raises(BackendUnavailableError):
            scene.task(1)
        assert scene.app.orchestrator.count_invocations() == 1
        assert scene.claim(scene.worker(), 1) == []
        assert scene.sweep() == 1
        assert len(scene.claim(scene.worker(), 1)) == 1


def test_what_was_taken_by_a_process_that_died_before_the_swap_is_found_by_the_sweep() -> None:
    with split_stage() as (scene, broker):
        (made,) = scene.queue()
        assert broker.take(("default",), 1, 0) == (made.invocation_id,)
        assert scene.sweep() == 1
        assert scene.claim(scene.worker(), 1)[0].invocation_id == made.invocation_id


def test_retries_and_handed_back_work_are_queued_again() -> None:
    with split_stage() as (scene, _):
        (made,) = scene.queue()
        worker = scene.worker()
        for _ in range(3):
            scene.claim(worker, 1)
            assert scene.app.orchestrator.reroute_invocations([made.invocation_id], worker) == 1
        (record,) = scene.claim(worker, 1)
        assert record.state.interruptions == 3
        scene.app.orchestrator.set_invocation_retry(made.invocation_id, ValueError("again"), owner(record))
        assert scene.claim(worker, 1)[0].state.attempts == 1


def test_a_registration_key_holds() -> None:
    with split_stage() as (scene, broker):
        once = scene.app.task(registration_concurrency="task")(job)
        first, second = once(1), once(2)
        assert second == first
        assert second.reused
        assert broker.size("default") == 1


def test_an_awaited_one_moves_forward_in_its_queue(url: str) -> None:
    order: list[str] = []
    app = app_of_its_own(url, threads=1)
    split(app)

    def note(name: str) -> None:
        order.append(name)

    child = app.task(note)

    @app.task(priority=50)
    def parent() -> None:
        child("awaited").get_result(10)

    others: Sequence[Any] = [child(f"other {n}") for n in range(3)]
    made = parent()
    with runner_of(app):
        made.get_result(10)
        for other in others:
            other.get_result(10)
    assert order[0] == "awaited"
    app.close()
