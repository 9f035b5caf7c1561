"""Groups: results as they come and in order, failing members, time limits; `app.wait`."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from pynenc_core.errors.invocations import InvocationCancelledError, InvocationTimeoutError
from unit.app.running import Gate, app_of_its_own, working_app


def test_results_stream_in_the_order_of_completion() -> None:
    gates = [Gate() for _ in range(3)]
    with working_app(threads=3) as app:

        @app.task
        def stand(n: int) -> int:
            gates[n].pass_through()
            return n

        group = stand.parallelize([(0,), (1,), (2,)])
        results = group.iter_results(10)
        for expected in (2, 0, 1):
            gates[expected].open()
            assert next(results) == expected
        assert list(results) == []
        assert group.ordered_results(1) == [0, 1, 2]


def test_inside_a_task_they_stream_too_on_one_slot() -> None:
    gates = [Gate() for _ in range(2)]
    seen: list[int] = []
    with working_app(threads=3) as app:

        @app.task
        def stand(n: int) -> int:
            gates[n].pass_through()
            return n

        @app.task
        def parent() -> list[int]:
            for result in stand.parallelize([(0,), (1,)]).results:
                seen.append(result)
                gates[0].open()
            return seen

        made = parent()
        gates[1].wait_for()
        gates[1].open()
        assert made.get_result(10) == [1, 0]


def test_a_failed_member_hides_no_other() -> None:
    with working_app() as app:

        @app.task
        def odd(n: int) -> int:
            if n % 2 == 0:
                raise LookupError(n)
            return n

        group = odd.parallelize([(n,) for n in range(4)])
        got: list[int] = []
        with pytest.raises(ExceptionGroup, match="2 of 4 invocations have no result") as raised:
            got.extend(group.iter_results(10))
        with pytest.raises(ExceptionGroup):
            group.ordered_results(1)
        assert {str(error) for error in raised.value.exceptions} == {"0", "2"}
        one = odd.parallelize([(1,), (2,)])
        with pytest.raises(LookupError, match="2"):
            one.ordered_results(10)
        results = one.iter_results(1)
        assert next(results) == 1
        with pytest.raises(LookupError):
            next(results)


def test_a_time_limit_is_for_all_together_and_names_the_oldest() -> None:
    app = app_of_its_own()

    @app.task
    def one(n: int) -> int:
        return n

    group = one.parallelize([(1,), (2,)])
    with pytest.raises(InvocationTimeoutError, match=group.invocations[0].invocation_id):
        list(group.iter_results(0.02))


def test_a_cancelled_member_has_no_result() -> None:
    with working_app(threads=1) as app:

        @app.task(delay=3600)
        def later(n: int) -> int:
            return n

        group = later.parallelize([(1,)])
        group.cancel()
        with pytest.raises(InvocationCancelledError):
            group.ordered_results(5)


def test_asynchronously() -> None:
    with working_app(threads=2) as app:

        @app.task
        def square(n: int) -> int:
            return n * n

        async def here() -> list[int]:
            return sorted([result async for result in square.parallelize([(n,) for n in range(5)]).async_results(10)])

        assert asyncio.run(here()) == [0, 1, 4, 9, 16]

        @app.task
        async def inside() -> list[int]:
            return await here()

        assert inside().get_result(10) == [0, 1, 4, 9, 16]


def test_an_empty_one() -> None:
    app = app_of_its_own()

    @app.task
    def one(n: int) -> int:
        return n

    group = one.parallelize([])
    assert len(group) == 0
    assert list(group.results) == []
    assert group.ordered_results() == []
    assert app.wait(group) == ([], [])


def test_calls_by_position_and_by_name() -> None:
    with working_app() as app:

        @app.task
        def sub(x: int, y: int = 1) -> int:
            return x - y

        assert sub.parallelize([(5,), (5, 2), {"y": 3, "x": 5}, [5, 4]]).ordered_results(5) == [4, 3, 2, 1]  # type: ignore[list-item] # any sequence works


def test_two_threads_share_a_group() -> None:
    gates = [Gate(), Gate()]
    with working_app(threads=2) as app:

        @app.task
        def stand(n: int) -> int:
            gates[n].pass_through()
            return n

        group = stand.parallelize([(0,), (1,)])
        found: list[Any] = []
        threads = [threading.Thread(target=lambda: found.append(list(group.iter_results(10)))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for gate in gates:
            gate.open()
        for thread in threads:
            thread.join()
        assert [sorted(each) for each in found] == [[0, 1], [0, 1]]


def test_two_threads_of_one_task_share_a_group_and_neither_waits_for_a_safety_look() -> None:
    gates = [Gate(), Gate()]
    with working_app(threads=3) as app:

        @app.task
        def stand(n: int) -> int:
            gates[n].pass_through()
            return n

        @app.task
        async def parent() -> list[int]:
            group = stand.parallelize([(0,), (1,)])

            async def stream() -> list[int]:
                return [result async for result in group.async_results(10)]

            first, streamed = await asyncio.gather(group.invocations[0].async_result(10), stream())
            return [first, *sorted(streamed)]

        made = parent()
        gates[0].wait_for()
        gates[1].wait_for()
        gates[0].open()
        gates[1].open()
        assert made.get_result(3) == [0, 0, 1]


class TestWait:
    def test_for_all_and_for_the_first(self) -> None:
        gate = Gate()
        with working_app(threads=2) as app:

            @app.task
            def quick() -> int:
                return 1

            @app.task
            def slow() -> int:
                gate.pass_through()
                return 2

            made = [slow(), quick()]
            done, left = app.wait(made, return_when="first", timeout=10)
            assert (done, left) == ([made[1]], [made[0]])
            done, left = app.wait(made, timeout=0.02)
            assert (done, left) == ([made[1]], [made[0]])
            gate.open()
            done, left = app.wait(made, timeout=10)
            assert (set(done), left) == (set(made), [])

    def test_a_failure_is_an_end_like_any_other(self) -> None:
        with working_app() as app:

            @app.task
            def fail() -> None:
                raise LookupError

            made = fail()
            assert app.wait([made], timeout=10) == ([made], [])

    def test_inside_a_task_it_holds_no_slot(self) -> None:
        with working_app(threads=1) as app:

            @app.task
            def child(n: int) -> int:
                return n

            @app.task
            def parent() -> int:
                done, _ = app.wait([child(n) for n in range(3)])
                return sum(each.result for each in done)

            assert parent().get_result(10) == 3
