"""Cancelling: queued, running, paused, between two attempts, and what stands behind another one on a slot."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from functools import partial
from typing import Any

import pytest

from pynenc_core.errors.invocations import InvocationCancelledError, RetryError
from pynenc_core.errors.runners import TaskCancelled
from pynenc_core.invocation import Invocation
from unit.app.running import PATIENCE, Gate, app_of_its_own, eventually, runner_of, statuses, working_app


def is_cancelled(invocation: Invocation[Any]) -> bool:
    return invocation.status == "CANCELLED"


def test_what_is_queued_is_cancelled_at_once_and_never_runs() -> None:
    app, ran = app_of_its_own(), []

    @app.task
    def note() -> None:
        ran.append(1)

    invocation = note()
    assert invocation.cancel("not needed") == "cancelled"
    assert invocation.cancel() == "already final"
    with runner_of(app):
        note().get_result(5)
    assert ran == [1]
    with pytest.raises(InvocationCancelledError, match=r"was cancelled \(not needed\), so it has no result"):
        _ = invocation.result


@pytest.mark.timed
def test_a_running_one_is_told_within_a_second_and_its_slot_serves_others() -> None:
    gate, told = Gate(), []
    with working_app(threads=1) as app:

        @app.task
        def endless() -> None:
            try:
                gate.pass_through()
            except TaskCancelled as error:
                told.append(str(error))
                raise

        @app.task
        def other() -> int:
            return 1

        invocation = endless()
        gate.wait_for()
        began = time.monotonic()
        assert invocation.cancel("enough") == "requested"
        eventually(lambda: invocation.status == "CANCELLED", "the answer", 1.5)
        eventually(lambda: told, "the exception in the task", 1.5)
        assert time.monotonic() - began < 1.6
        assert told == [f"invocation {invocation.invocation_id} is cancelled"]
        assert other().get_result(5) == 1
        with pytest.raises(InvocationCancelledError, match="enough"):
            invocation.get_result(10)


def test_a_task_that_swallows_the_request_is_cancelled_all_the_same() -> None:
    gate = Gate()
    with working_app(threads=1) as app:

        @app.task
        def stubborn() -> str:
            try:
                gate.pass_through()
            except TaskCancelled:
                return "as if nothing had happened"
            return "not told"

        @app.task
        def other() -> int:
            return 1

        invocation = stubborn()
        gate.wait_for()
        invocation.cancel()
        assert other().get_result(5) == 1
        assert invocation.status == "CANCELLED"


def test_a_result_that_comes_before_the_request_counts() -> None:
    with working_app() as app:

        @app.task
        def quick() -> int:
            return 7

        invocation = quick()
        assert invocation.get_result(5) == 7
        assert invocation.cancel() == "already final"
        assert invocation.result == 7


@pytest.mark.timed
def test_a_coroutine_is_cancelled_where_it_awaits_and_its_loop_serves_others() -> None:
    started, told = threading.Event(), []
    with working_app(threads=1) as app:

        @app.task
        async def endless() -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                told.append(1)
                raise

        @app.task
        async def other() -> int:
            await asyncio.sleep(0)
            return len(asyncio.all_tasks())

        invocation = endless()
        assert started.wait(5)
        assert invocation.cancel() == "requested"
        eventually(lambda: invocation.status == "CANCELLED", "the answer", 1.5)
        assert other().get_result(5) == 1
        assert told == [1]


def test_what_a_coroutine_left_running_ends_with_it() -> None:
    left: list[asyncio.Task[bool]] = []
    with working_app(threads=1) as app:

        @app.task
        async def careless() -> None:
            left.append(asyncio.create_task(asyncio.Event().wait()))
            await asyncio.sleep(0)

        @app.task
        async def other() -> int:
            return len(asyncio.all_tasks())

        careless().get_result(5)
        assert other().get_result(5) == 1
        assert left[0].cancelled()


@pytest.mark.timed
def test_a_paused_one_is_told_and_what_it_waits_for_goes_on() -> None:
    gate = Gate()
    with working_app(threads=1) as app:

        @app.task
        def child() -> int:
            gate.pass_through()
            return 1

        @app.task
        def parent() -> int:
            return child().result

        invocation = parent()
        eventually(lambda: invocation.status == "PAUSED")
        gate.wait_for()
        assert invocation.cancel() == "requested"
        eventually(lambda: invocation.status == "CANCELLED", "the answer", 1.5)
        gate.open()
        assert child().get_result(5) == 1


@pytest.mark.timed
def test_a_coroutine_that_waits_for_several_is_told_without_burning_a_core() -> None:
    gate = Gate()
    with working_app(threads=3) as app:

        @app.task
        def child() -> int:
            gate.pass_through()
            return 1

        @app.task
        async def parent() -> int:
            return sum(await asyncio.gather(*(child().async_result() for _ in range(3))))

        invocation = parent()
        gate.wait_for(3)
        eventually(lambda: invocation.status == "PAUSED")
        invocation.cancel()
        eventually(lambda: invocation.status == "CANCELLED", "the answer", 1.5)
        used, pause = time.process_time(), threading.Event()
        pause.wait(1.0)
        assert time.process_time() - used < 0.4
        gate.open()
        assert child().get_result(5) == 1


@pytest.mark.timed
def test_a_cancelled_attempt_is_not_tried_again() -> None:
    gate, runs = Gate(), []
    with working_app(threads=1) as app:

        @app.task(max_retries=3)
        def failing() -> None:
            runs.append(1)
            try:
                gate.pass_through()
            finally:
                raise RetryError

        invocation = failing()
        gate.wait_for()
        invocation.cancel()
        eventually(lambda: invocation.is_final, "the end", 2)
        assert invocation.status == "CANCELLED"
        assert runs == [1]


def test_a_request_that_no_attempt_heard_of_ends_the_next_one_before_it_begins() -> None:
    runs: list[int] = []
    app = app_of_its_own()

    @app.task(max_retries=3)
    def asks_again() -> None:
        runs.append(1)
        task = asks_again.invocation
        assert task is not None
        task.cancel("while it ran")
        raise RetryError

    invocation = asks_again()
    with runner_of(app):
        eventually(lambda: invocation.is_final)
    assert invocation.status == "CANCELLED"
    assert len(runs) == 1
    assert statuses(invocation)[-1] == "CANCELLED"


def test_a_request_just_before_a_long_delay_is_answered_at_the_end_of_the_attempt() -> None:
    with working_app() as app:

        @app.task(max_retries=3, retry_delay_sec=3600)
        def asks_again() -> None:
            own = asks_again.invocation
            assert own is not None
            own.cancel("while it ran")
            raise RetryError

        with pytest.raises(InvocationCancelledError, match="while it ran"):
            asks_again().get_result(5)


def test_what_waits_for_its_next_attempt_is_cancelled_at_once() -> None:
    with working_app() as app:

        @app.task(max_retries=3, retry_delay_sec=3600)
        def failing() -> None:
            raise RetryError

        invocation = failing()
        eventually(lambda: invocation.status == "SCHEDULED")
        assert invocation.cancel() == "cancelled"


def test_a_whole_group() -> None:
    app = app_of_its_own()

    @app.task
    def one(n: int) -> int:
        return n

    group = one.parallelize([(1,), (2,)])
    assert [str(answer) for answer in group.cancel("all of them")] == ["cancelled", "cancelled"]


@pytest.mark.timed
def test_what_stands_behind_a_slow_one_on_its_slot_is_cancelled_and_never_begins() -> None:
    gate, ran = Gate(), []
    app = app_of_its_own(threads=1, runner={"settle_batch": 8})

    @app.task
    def quick(n: int) -> None:
        ran.append(n)

    @app.task
    def slow() -> None:
        gate.pass_through()

    with runner_of(app):
        list(quick.parallelize([(n,) for n in range(50)]).iter_results(10))
        first = slow()
        behind = quick.parallelize([(100,), (101,)])
        gate.wait_for()
        assert {str(answer) for answer in behind.cancel()} <= {"cancelled", "requested"}
        eventually(lambda: all(member.status != "RUNNING" for member in behind), "taking them off the slot", 1)
        gate.open()
        first.get_result(5)
        for member in behind:
            with pytest.raises(InvocationCancelledError):
                member.get_result(5)
    assert not {100, 101} & set(ran)


@pytest.mark.timed
def test_a_stop_does_not_wait_for_what_was_cancelled_and_does_not_end() -> None:
    reached, end = threading.Event(), threading.Event()
    app = app_of_its_own(threads=1, runner={"grace_period_sec": 10.0})

    @app.task
    def deaf() -> None:
        reached.set()
        end.wait(PATIENCE)  # in C code, where no exception reaches it

    with runner_of(app) as runner:
        invocation = deaf()
        assert reached.wait(PATIENCE)
        invocation.cancel()
        eventually(lambda: invocation.status == "CANCELLED", "the answer", 2)
        began = time.monotonic()
        runner.stop_runner_loop()
        assert runner.wait_until_stopped(5)
        assert time.monotonic() - began < 5
    end.set()
    app.close()


def test_a_task_that_starts_threads_when_it_is_cancelled_ends_and_its_slot_serves_others() -> None:
    started = Gate()
    with working_app(threads=1) as app:

        @app.task
        def busy() -> None:
            started.reached += 1
            ends = time.monotonic() + 10
            while time.monotonic() < ends:
                thread = threading.Thread(target=threading.Event().wait, args=(0.002,))
                thread.start()
                thread.join()

        @app.task
        def other() -> int:
            return 1

        for _ in range(3):
            before = started.reached
            invocation = busy()
            started.wait_for(before + 1)
            invocation.cancel()
            assert other().get_result(5) == 1
            assert invocation.status == "CANCELLED"


@pytest.mark.timed
def test_a_task_that_calls_us_all_the_time_leaves_no_lock_behind() -> None:
    started = Gate()
    with working_app(threads=2) as app:

        @app.task(queue="nobody")
        def never(n: int) -> int:
            return n

        @app.task
        def busy() -> None:
            started.reached += 1
            ends = time.monotonic() + 10
            while time.monotonic() < ends:
                never(1).cancel()

        @app.task
        def other() -> int:
            return 1

        for _ in range(5):
            before = started.reached
            invocation = busy()
            started.wait_for(before + 1)
            invocation.cancel()
            eventually(partial(is_cancelled, invocation), "the answer", 2)
            assert other().get_result(5) == 1
            assert never(1).cancel() == "cancelled"


@pytest.mark.timed
def test_a_request_meets_a_task_that_waits_again_and_again() -> None:
    started = Gate()
    with working_app(threads=2) as app:

        @app.task
        def child() -> int:
            return 1

        @app.task
        def parent() -> int:
            started.reached += 1
            ends = time.monotonic() + 10
            while time.monotonic() < ends:
                child().get_result(10)
            return 0

        for _ in range(8):
            before = started.reached
            invocation = parent()
            started.wait_for(before + 1)
            invocation.cancel()
            eventually(partial(is_cancelled, invocation), "the answer", 2)


def test_a_cancellation_leaves_the_interpreter_fit_to_be_profiled() -> None:
    """On CPython 3.11 an exception that is set in a thread and taken back hangs the first call that is profiled later."""
    gates = [Gate() for _ in range(20)]
    with working_app(threads=1) as app:

        @app.task
        def brief(number: int) -> int:
            gates[number].pass_through()
            return number

        for number, gate in enumerate(gates):  # some end just as they are told
            invocation = brief(number)
            gate.wait_for()
            invocation.cancel()
            gate.open()
            app.wait([invocation], timeout=5)
    calls: list[str] = []
    sys.setprofile(lambda _frame, event, _argument: calls.append(event))
    try:
        sorted([3, 1, 2], key=abs)
        eventually(lambda: True, "nothing")
    finally:
        sys.setprofile(None)
    assert "call" in calls


def test_a_cancelled_task_may_still_call_what_undoes_its_work() -> None:
    started = Gate()
    with working_app(threads=2) as app:
        undone: list[int] = []

        @app.task
        def undo(n: int) -> None:
            undone.append(n)

        @app.task(queue="nobody")
        def step(n: int) -> int:
            return n

        @app.task
        def work() -> None:
            started.reached += 1
            ends = time.monotonic() + 10
            try:
                while time.monotonic() < ends:
                    step(1)
            finally:
                undo(7)

        invocation = work()
        started.wait_for()
        invocation.cancel()
        eventually(lambda: undone == [7], "the call in `finally`")
        assert invocation.status == "CANCELLED"
