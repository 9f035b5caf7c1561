"""What runs beside what: slots, waiting inside tasks, and results settled together."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time

import pytest

from pynenc_core.errors.invocations import WaitDepthError
from unit.app.running import Gate, app_of_its_own, runner_of, working_app


def test_as_many_run_at_once_as_there_are_slots_and_no_more() -> None:
    gate = Gate()
    with working_app(threads=3) as app:

        @app.task
        def stand() -> None:
            gate.pass_through()

        group = stand.parallelize([()] * 6)
        gate.wait_for(3)
        assert sum(member.status == "RUNNING" for member in group) == 3
        gate.open()
        list(group.iter_results(20))


def test_with_settle_batch_every_slot_is_used() -> None:
    together = threading.Barrier(4)
    app = app_of_its_own(threads=4, runner={"settle_batch": 8})

    @app.task
    def meet() -> int:
        return together.wait(5)

    group = meet.parallelize([()] * 8)
    with runner_of(app):
        assert sorted(group.iter_results(20)) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_with_settle_batch_results_arrive_and_nothing_waits_behind_a_slow_one() -> None:
    gate = Gate()
    app = app_of_its_own(threads=2, runner={"settle_batch": 8})

    @app.task
    def quick(n: int) -> int:
        return n

    @app.task
    def slow() -> None:
        gate.pass_through()

    with runner_of(app):
        assert sorted(quick.parallelize([(n,) for n in range(100)]).iter_results(20)) == list(range(100))
        slow()
        group = quick.parallelize([(n,) for n in range(50)])
        gate.wait_for()
        assert sorted(group.iter_results(5)) == list(range(50))
        assert sorted(quick.parallelize([(n,) for n in range(50)]).iter_results(5)) == list(range(50))
        gate.open()


@pytest.mark.timed
def test_with_settle_batch_what_stands_behind_a_slow_one_runs_elsewhere_at_once() -> None:
    gate = Gate()
    app = app_of_its_own(threads=2, runner={"settle_batch": 8})

    @app.task
    def mixed(n: int) -> float:
        if n == 0:
            gate.pass_through()
        return time.monotonic()

    with runner_of(app):
        list(mixed.parallelize([(1,)] * 100).iter_results(20))
        delays = []
        for _ in range(5):
            gate.reached = 0
            group = mixed.parallelize([(0,), *[(n,) for n in range(1, 12)]])
            gate.wait_for()
            began = time.monotonic()
            for member in group.invocations[1:]:
                member.get_result(5)
            delays.append(time.monotonic() - began)
            gate.open()
            list(group.as_completed(5))
            gate.close()
        assert min(delays) < 0.05, delays
        assert sorted(delays)[2] < 0.25, delays


def test_with_settle_batch_a_slot_that_waited_lets_nothing_wait_behind_a_slow_one() -> None:
    gate, beside, waited = Gate(), Gate(), Gate()
    app = app_of_its_own(threads=2, runner={"settle_batch": 8})

    @app.task
    def quick(n: int) -> int:
        return n

    @app.task
    def parent() -> int:
        found = quick(1).result
        waited.pass_through()
        return found

    @app.task
    def blocker() -> None:
        beside.pass_through()

    @app.task
    def slow() -> None:
        gate.pass_through()

    with runner_of(app):
        list(quick.parallelize([(n,) for n in range(100)]).iter_results(20))
        blocker()
        beside.wait_for()
        waiting = parent()
        waited.wait_for()
        slow()
        behind = quick.parallelize([(n,) for n in range(5)])
        waited.open()
        assert waiting.get_result(5) == 1
        gate.wait_for()
        beside.open()
        assert sorted(behind.iter_results(5)) == list(range(5))
        gate.open()


def test_one_task_awaiting_several_by_gather_on_one_slot_with_few_paused_allowed() -> None:
    with working_app(threads=1, runner={"max_paused_per_worker": 4}) as app:

        @app.task
        def square(n: int) -> int:
            return n * n

        @app.task
        async def total(n: int) -> int:
            return sum(await asyncio.gather(*(square(i).async_result() for i in range(n))))

        assert total(12).get_result(10) == sum(i * i for i in range(12))


def test_own_threads_of_a_task_wait_without_its_slot() -> None:
    with working_app(threads=1) as app:

        @app.task
        def square(n: int) -> int:
            return n * n

        @app.task
        def total() -> int:
            found: list[int] = []

            def look(n: int) -> None:
                found.append(square(n).get_result(10))

            threads = [threading.Thread(target=contextvars.copy_context().run, args=(look, n)) for n in range(5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return sum(found)

        assert total().get_result(10) == 30


def test_a_chain_deeper_than_a_worker_may_hold_ends_by_name() -> None:
    with working_app(threads=1, runner={"max_paused_per_worker": 3}) as app:

        @app.task
        def down(n: int) -> int:
            return 0 if n == 0 else 1 + down(n - 1).get_result(20)

        assert down(3).get_result(10) == 3
        with pytest.raises(WaitDepthError):
            down(6).get_result(10)


def test_a_tree_of_depth_10_finishes_on_one_slot() -> None:
    with working_app(threads=1) as app:

        @app.task
        def tree(depth: int) -> int:
            return 1 if depth == 0 else 1 + sum(tree.parallelize([(depth - 1,)] * 2).results)

        assert tree(10).get_result(60) == 2**11 - 1


def test_a_parent_of_2000_finishes_on_one_slot() -> None:
    with working_app(threads=1) as app:

        @app.task
        def one(n: int) -> int:
            return n

        @app.task
        def parent() -> int:
            return sum(one.parallelize([(n,) for n in range(2000)]).results)

        assert parent().get_result(60) == sum(range(2000))
