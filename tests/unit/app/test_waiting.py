"""Waiting inside tasks: all slots held by waiting parents, the awaited first, circles found and named."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from pathlib import Path

import pytest

from pynenc_core.errors.invocations import ConcurrencyDeadlockError, InvocationTimeoutError
from unit.app.running import Gate, app_of_its_own, eventually, runner_of, statuses, working_app


def test_all_slots_held_by_waiting_parents_is_an_ordinary_situation() -> None:
    with working_app(threads=2) as app:

        @app.task
        def leaf(n: int) -> int:
            return n

        @app.task
        def middle(n: int) -> int:
            return sum(leaf.parallelize([(n,), (n,)]).results)

        @app.task
        def top(n: int) -> int:
            return sum(middle.parallelize([(n,), (n,)]).results)

        assert sorted(top.parallelize([(n,) for n in range(20)]).iter_results(30)) == [4 * n for n in range(20)]


def test_a_parent_pauses_and_goes_on_under_the_same_claim() -> None:
    with working_app(threads=1) as app:

        @app.task
        def child() -> int:
            return 1

        @app.task
        def parent() -> int:
            return child().result

        made = parent()
        assert made.get_result(5) == 1
        assert statuses(made) == ["REGISTERED", "PENDING", "RUNNING", "PAUSED", "RUNNING", "SUCCESS"]
        assert made.record.state.claim == 1


def test_what_is_awaited_comes_before_what_is_not() -> None:
    order: list[str] = []
    app = app_of_its_own(threads=1)

    @app.task
    def child() -> None:
        order.append("child")

    @app.task
    def other() -> None:
        order.append("other")

    @app.task
    def parent() -> None:
        made = child()
        order.append("parent waits")
        made.get_result(10)
        order.append("parent")

    first, others = parent(), other.parallelize([()] * 3)
    with runner_of(app):
        first.get_result(5)
        list(others.iter_results(5))
    assert order == ["parent waits", "child", "parent", "other", "other", "other"]


def test_those_most_waited_for_are_named_first() -> None:
    app = app_of_its_own(threads=4)
    gate = Gate()

    @app.task(queue="nobody")
    def awaited(n: int) -> int:
        return n

    wanted = [awaited(n) for n in range(3)]

    @app.task
    def waits(index: int) -> None:
        app.wait([wanted[index]], timeout=10)

    @app.task
    def idle() -> None:
        gate.pass_through()

    with runner_of(app):
        for index in (1, 1, 2):
            waits(index)
        eventually(lambda: app.orchestrator.count_invocations(statuses=["PAUSED"]) == 3)  # type: ignore[list-item] # text compares equal
        assert app.orchestrator.get_blocking_invocations(5) == (wanted[1].invocation_id, wanted[2].invocation_id)
        for each in wanted:
            each.cancel()


def test_waiting_for_oneself_is_named_at_once() -> None:
    with working_app() as app:

        @app.task
        def ouroboros() -> None:
            own = ouroboros.invocation
            assert own is not None
            own.get_result(10)

        made = ouroboros()
        with pytest.raises(ConcurrencyDeadlockError, match=f"waits in a circle: {made.invocation_id}"):
            made.get_result(5)
        assert made.status == "FAILED"


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
def test_a_circle_of_two_ends_the_younger_by_name(backend: str, tmp_path: Path) -> None:
    ids: dict[str, str] = {}
    told = threading.Event()
    with working_app("memory://" if backend == "memory" else f"sqlite:///{tmp_path}/jobs.db", threads=2) as app:

        @app.task
        def elder() -> str:
            assert told.wait(10)
            try:
                app.get_invocation(ids["younger"]).get_result(15)
            except ConcurrencyDeadlockError:
                return "the younger one's end"
            return "nothing"

        @app.task
        def younger() -> None:
            assert told.wait(10)
            app.get_invocation(ids["elder"]).get_result(15)

        first = elder()
        second = younger()
        ids.update(elder=first.invocation_id, younger=second.invocation_id)
        told.set()
        assert first.get_result(10) == "the younger one's end"
        with pytest.raises(ConcurrencyDeadlockError) as raised:
            second.get_result(5)
        assert set(raised.value.circle) == {first.invocation_id, second.invocation_id}
        assert second.status == "FAILED"


def test_a_child_that_waits_for_its_parent_is_named() -> None:
    with working_app(threads=1) as app:

        @app.task
        def child(parent_id: str) -> None:
            app.get_invocation(parent_id).get_result(15)

        @app.task
        def parent() -> str:
            own = parent.invocation
            assert own is not None
            with pytest.raises(ConcurrencyDeadlockError):
                child(own.invocation_id).get_result(15)
            return "goes on"

        assert parent().get_result(10) == "goes on"


def test_a_circle_through_the_second_of_two_that_are_awaited_together() -> None:
    with working_app(threads=2) as app:

        @app.task
        def child() -> int:
            return 1

        @app.task
        def back(parent_id: str) -> None:
            app.get_invocation(parent_id).get_result(15)

        @app.task
        async def parent() -> list[str]:
            own = parent.invocation
            assert own is not None
            both = asyncio.gather(child().async_result(15), back(own.invocation_id).async_result(15), return_exceptions=True)
            return [type(each).__name__ for each in await both]

        assert parent().get_result(10) == ["int", "ConcurrencyDeadlockError"]


def test_a_circle_of_two_through_two_keys_is_named() -> None:
    entered = threading.Barrier(2)
    with working_app(threads=4) as app:

        @app.task(running_concurrency="keys", key_arguments=("key",))
        def locked(key: str, then: str) -> str:
            if then:
                entered.wait(10)
                return locked(then, "").get_result(15)
            return key

        made = [locked("a", "b"), locked("b", "a")]
        ended = []
        for each in made:
            try:
                ended.append(each.get_result(12))
            except ConcurrencyDeadlockError:
                ended.append("deadlock")
        assert "deadlock" in ended


@pytest.mark.timed
def test_a_bounded_wait_inside_a_task_ends_and_the_task_goes_on() -> None:
    with working_app(threads=1) as app:

        @app.task(queue="nobody")
        def never() -> int:
            return 1

        @app.task
        def parent() -> str:
            try:
                never().get_result(0.3)
            except InvocationTimeoutError:
                return "in time"
            return "too late"

        began = time.monotonic()
        assert parent().get_result(5) == "in time"
        assert time.monotonic() - began < 2


@pytest.mark.timed
def test_a_waiting_task_burns_nothing() -> None:
    gate = Gate()
    with working_app(threads=2) as app:

        @app.task(queue="nobody")
        def never() -> int:
            return 1

        @app.task
        def parent() -> int:
            gate.reached += 1
            return never().result

        made = parent()
        gate.wait_for()
        eventually(lambda: made.status == "PAUSED")
        pause = threading.Event()
        pause.wait(0.6)  # the look for circles is over
        used = time.process_time()
        pause.wait(3.0)
        assert time.process_time() - used < 0.03 * 3
        made.cancel()


def test_a_thread_that_outlives_its_task_waits_without_any_slot() -> None:
    gate, found = Gate(), list[int]()
    with working_app(threads=1) as app:

        @app.task
        def child() -> int:
            gate.pass_through()
            return 1

        threads: list[threading.Thread] = []

        @app.task
        def careless() -> str:
            made = child()
            threads.append(threading.Thread(target=contextvars.copy_context().run, args=(lambda: found.append(made.get_result(15)),)))
            threads[0].start()
            return "gone"

        assert careless().get_result(5) == "gone"
        gate.open()
        threads[0].join(10)
        assert found == [1]
        together = threading.Barrier(2)

        @app.task
        def meet() -> int:
            return together.wait(0.3)

        group = meet.parallelize([()] * 2)
        done, _ = app.wait(group, timeout=10)
        assert {member.status for member in done} == {"FAILED"}, "one slot stays one slot"
