"""Coroutines of many invocations on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from pynenc_core import Pynenc, PynencBuilder
from pynenc_core.errors.invocations import ConcurrencyDeadlockError, InvocationTimeoutError, WaitDepthError
from pynenc_core.errors.runners import LoopBlockedError
from pynenc_core.identifiers import new_id
from pynenc_core.orchestration.executing.shared_loop import Run
from pynenc_core.plugins import PluginManager, hookimpl
from pynenc_core.ports.runner import BaseRunner
from pynenc_core.status import Status
from pynenc_testkit.stores import PATIENCE, Background, eventually

URLS = ["memory://", "sqlite:///{folder}/jobs.db"]


def app_of_its_own(url: str = "memory://", *, tasks: int = 100, **settings: Any) -> Pynenc:
    """Return an app under an id that no other test has, with so many slots; further settings of the runner may be given."""
    options = {"grace_period_sec": 5.0, "max_tasks": tasks, **settings.pop("runner", {})}
    return Pynenc(url, app_id=f"test-{new_id()}", runner_cls="asyncio", runner=options, **settings)


@contextmanager
def runner_of(app: Pynenc) -> Generator[BaseRunner]:
    """Run a runner while the block lasts; fails when it does not stop in time."""
    runner = app.make_runner()
    runs = Background(runner.run)
    try:
        yield runner
    finally:
        runner.stop_runner_loop()
        runs.result(PATIENCE)


@contextmanager
def working_app(url: str = "memory://", *, tasks: int = 100, **settings: Any) -> Generator[Pynenc]:
    """Give an app with a running runner; tasks may be defined on it inside the block."""
    app = app_of_its_own(url, tasks=tasks, **settings)
    try:
        with runner_of(app):
            yield app
    finally:
        app.close()


class Beside:
    """Counts who is inside: how many at the moment, and the most there ever were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = self.total = 0

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.total += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


def loop_of(runner: BaseRunner) -> asyncio.AbstractEventLoop:
    """Return the event loop of a running runner, to look at from outside."""
    found: asyncio.AbstractEventLoop = vars(runner)["executor"]._loop._loop
    return found


def test_a_thousand_take_turns_a_hundred_at_a_time() -> None:
    beside = Beside()
    with working_app(tasks=100) as app:

        @app.task
        async def rest(number: int) -> int:
            with beside:
                await asyncio.sleep(0.1)
            return number

        began = time.monotonic()
        group = rest.parallelize([(number,) for number in range(1000)])
        assert sorted(group.iter_results(PATIENCE)) == list(range(1000))
        assert (beside.most, beside.total) == (100, 1000)
        assert time.monotonic() - began < 5.0, "ten turns of 0.1 s"


def test_they_share_one_thread_and_no_context_and_plain_functions_run_beside_them() -> None:
    mine: ContextVar[int] = ContextVar("mine", default=-1)
    with working_app() as app:
        together = asyncio.Barrier(3)

        @app.task
        async def on_loop(number: int) -> tuple[int, str, int]:
            before = mine.get()
            mine.set(number)
            async with together:
                return before, threading.current_thread().name, mine.get()

        @app.task
        def in_thread(number: int) -> tuple[int, str]:
            return number, threading.current_thread().name

        results = list(on_loop.parallelize([(number,) for number in range(3)]).iter_results(PATIENCE))
        assert sorted(results) == [(-1, "pynenc-loop", number) for number in range(3)]
        assert in_thread(1).get_result(PATIENCE) == (1, "pynenc-slot")


def test_a_plain_function_takes_a_slot_as_a_coroutine_does() -> None:
    beside = Beside()
    with working_app(tasks=3) as app:

        @app.task
        async def on_loop() -> None:
            with beside:
                await asyncio.sleep(0.02)

        @app.task
        def in_thread() -> None:
            with beside:
                threading.Event().wait(0.02)

        made = [task() for _ in range(20) for task in (on_loop, in_thread)]
        _, left = app.wait(made, timeout=PATIENCE)
        assert (left, beside.total, beside.most) == ([], 40, 3)


def test_who_blocks_the_loop_is_named_and_the_runner_stays_alive(caplog: pytest.LogCaptureFixture) -> None:
    told = threading.Event()
    app = app_of_its_own(runner={"heartbeat_interval_sec": 0.1, "runner_considered_dead_after_minutes": 1 / 60})
    with caplog.at_level(logging.INFO), runner_of(app):

        @app.task
        async def blocking() -> int:
            told.wait(PATIENCE)
            return 1

        invocation = blocking()
        warning = eventually(lambda: [line for line in caplog.messages if "has not answered" in line], "a warning")[0]
        assert f"invocation {invocation.invocation_id} of {blocking.task_id}" in warning
        assert Path(threading.__file__).name in warning, "where it blocks"
        now = app.state_backend.now()
        assert all(beat.alive_until > now for beat in app.state_backend.beats()), "heartbeats come from another thread"
        told.set()
        assert invocation.get_result(PATIENCE) == 1
        eventually(lambda: "the event loop answers again" in caplog.text, "the end of it being told")
    app.close()


def test_a_blocking_wait_for_another_is_refused_on_the_loop() -> None:
    with working_app() as app:

        @app.task
        async def child() -> int:
            return 1

        @app.task
        async def parent() -> int:
            return child().get_result(PATIENCE) + sum(child.parallelize([(), ()]).results)

        @app.task
        async def in_a_thread() -> int:
            return await asyncio.to_thread(lambda: child().get_result(PATIENCE))

        with pytest.raises(LoopBlockedError, match=r"await invocation\.async_result"):
            parent().get_result(PATIENCE)
        assert in_a_thread().get_result(PATIENCE) == 1


@pytest.mark.parametrize("left_as", ["task", "group of tasks"])
def test_what_a_coroutine_leaves_running_ends_with_it_and_nothing_else_does(left_as: str) -> None:
    ended: list[str] = []
    both = threading.Barrier(2)
    with working_app() as app:

        async def endless(name: str) -> None:
            try:
                if left_as == "task":
                    await asyncio.Event().wait()
                else:
                    await asyncio.gather(asyncio.Event().wait(), asyncio.Event().wait())
            finally:
                ended.append(name)

        @app.task
        async def leaves(name: str, reached: int) -> str:
            running = asyncio.create_task(endless(name))
            await asyncio.to_thread(both.wait, PATIENCE)
            if reached:
                await asyncio.sleep(0.2)
                assert not running.done()
            return name

        first, second = leaves("first", 0), leaves("second", 1)
        assert first.get_result(PATIENCE) == "first"
        assert ended == ["first"]
        assert second.get_result(PATIENCE) == "second"
        assert ended == ["first", "second"]


def test_an_exit_in_a_task_of_a_coroutine_ends_that_one_alone() -> None:
    with working_app() as app:

        @app.task
        async def leaves() -> None:
            async def out() -> None:
                raise SystemExit(3)

            await asyncio.create_task(out())

        @app.task
        async def stays() -> int:
            await asyncio.sleep(0.1)
            return 1

        staying, leaving = stays(), leaves()
        assert staying.get_result(PATIENCE) == 1
        eventually(lambda: leaving.is_final, "an outcome")
        assert leaving.status is Status.FAILED
        assert stays().get_result(PATIENCE) == 1


@pytest.mark.timed
def test_fifty_running_ones_are_cancelled_within_a_second() -> None:
    undone: list[int] = []
    with working_app(runner={"heartbeat_interval_sec": 0.5}) as app:

        @app.task
        async def endless(number: int) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                undone.append(number)

        group = endless.parallelize([(number,) for number in range(50)])
        eventually(lambda: all(member.status is Status.RUNNING for member in group), "all of them running")
        began = time.monotonic()
        group.cancel()
        eventually(lambda: len(undone) == 50, "all of them ending")
        eventually(lambda: all(member.status is Status.CANCELLED for member in group), "all of them being cancelled")
        assert time.monotonic() - began < 1.5, "a second until the owner hears of it"
        assert sorted(undone) == list(range(50))


@pytest.mark.parametrize("url", URLS)
def test_nothing_grows_with_what_has_run(url: str, tmp_path: Path) -> None:
    others = threading.active_count()  # tests before this one may have left some
    app = app_of_its_own(url.format(folder=tmp_path), tasks=20)
    with runner_of(app) as runner:

        @app.task
        async def child(number: int) -> int:
            return number

        @app.task
        async def parent(number: int) -> int:
            asyncio.create_task(asyncio.Event().wait())  # noqa: RUF006 - left behind on purpose
            return await child(number).async_result()

        def run(count: int) -> tuple[int, int, int]:
            assert sum(parent.parallelize([(number,) for number in range(count)]).iter_results(PATIENCE)) == count * (count - 1) // 2
            gc.collect()
            kept = sum(isinstance(each, Run) for each in gc.get_objects())
            return len(asyncio.all_tasks(loop_of(runner))), threading.active_count(), kept

        run(50)
        tasks, threads, runs = run(250)
        assert tasks == 0
        assert runs <= 2
        assert threads < others + 50
        eventually(lambda: threading.active_count() < others + 30, "idle threads going")
    app.close()


def test_a_stop_cancels_what_was_handed_back(caplog: pytest.LogCaptureFixture) -> None:
    ways_out: list[str] = []
    app = app_of_its_own(runner={"grace_period_sec": 0.2})
    with caplog.at_level(logging.INFO), runner_of(app):

        @app.task
        async def endless() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)
                ways_out.append("taken")

        @app.task
        async def waits() -> None:
            await endless().async_result()

        running, waiting = endless(), waits()
        eventually(lambda: (running.status, waiting.status) == (Status.RUNNING, Status.PAUSED), "both having begun")
    for each in (running, waiting):
        assert (each.status, each.record.state.interruptions) == (Status.REROUTED, 1)
    assert ways_out == ["taken"] * 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pynenc-loop")]
    app.close()


def test_a_stop_does_not_wait_for_a_loop_that_is_blocked(caplog: pytest.LogCaptureFixture) -> None:
    blocked, goes_on = threading.Event(), threading.Event()
    app = app_of_its_own(runner={"grace_period_sec": 0.2})
    with runner_of(app):

        @app.task
        async def blocking() -> None:
            blocked.set()
            goes_on.wait(PATIENCE)

        invocation = blocking()
        assert blocked.wait(PATIENCE)
        began = time.monotonic()
    assert time.monotonic() - began < 5.0
    assert (invocation.status, invocation.record.state.interruptions) == (Status.REROUTED, 1)
    assert "the event loop does not answer, and is left behind" in caplog.text
    goes_on.set()
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name == "pynenc-loop"], "its end")
    app.close()


def test_two_that_wait_for_each_other_are_told() -> None:
    ids: dict[str, str] = {}
    with working_app() as app:

        @app.task
        async def waits(other: str) -> None:
            while other not in ids:  # noqa: ASYNC110 - set by the test's thread
                await asyncio.sleep(0.005)
            await app.get_invocation(ids[other]).async_result()

        first, second = waits("second"), waits("first")
        ids.update(first=first.invocation_id, second=second.invocation_id)
        for each in (first, second):
            with pytest.raises(ConcurrencyDeadlockError):
                each.get_result(PATIENCE)


def test_one_that_swallows_its_cancellation_is_left_behind() -> None:
    goes_on = asyncio.Event()
    with working_app(tasks=1, runner={"heartbeat_interval_sec": 0.2}) as app:

        @app.task(timeout=0.2)
        async def stubborn() -> None:
            while not goes_on.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)

        @app.task
        async def other() -> int:
            return 1

        first = stubborn()
        with pytest.raises(TimeoutError, match=r"stubborn ran longer than 0\.2 s"):
            first.get_result(PATIENCE)
        assert other().get_result(PATIENCE) == 1, "its slot serves others"
        goes_on.set()
        assert other().get_result(PATIENCE) == 1
        assert first.status is Status.FAILED


def test_time_limits_reach_each_coroutine_by_itself() -> None:
    heard: list[str] = []
    with working_app() as app:

        @app.task(timeout=0.3)
        async def hard() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                heard.append("cancelled")
                raise

        @app.task(soft_timeout=0.2)
        async def soft() -> str:
            try:
                await asyncio.Event().wait()
            except TimeoutError:
                return "in time"
            return "never"

        @app.task
        async def unlimited() -> int:
            await asyncio.sleep(0.5)
            return 1

        ended, told, free = hard(), soft(), unlimited()
        with pytest.raises(TimeoutError, match=r"hard ran longer than 0\.3 s"):
            ended.get_result(PATIENCE)
        assert told.get_result(PATIENCE) == "in time"
        assert free.get_result(PATIENCE) == 1
        assert heard == ["cancelled"]


def test_the_builder_takes_the_number_of_slots() -> None:
    app = PynencBuilder().app_id("built").memory().asyncio_runner(max_tasks=7).build()
    assert (app.make_runner().max_parallel_slots, type(app.make_runner()).__name__) == (7, "AsyncioRunner")


@pytest.mark.parametrize("slots", [1, 100])
@pytest.mark.parametrize("url", URLS)
def test_a_deep_tree_of_coroutines_finishes(url: str, slots: int, tmp_path: Path) -> None:
    with working_app(url.format(folder=tmp_path), tasks=slots) as app:

        @app.task
        async def deep(below: int) -> int:
            return 1 + await deep(below - 1).async_result() if below else 0

        assert deep(60).get_result(PATIENCE) == 60


@pytest.mark.parametrize("url", URLS)
def test_a_tree_of_both_kinds_finishes_on_one_slot_and_no_two_run_at_once(url: str, tmp_path: Path) -> None:
    beside = Beside()
    with working_app(url.format(folder=tmp_path), tasks=1) as app:

        @app.task
        def plain(below: int) -> int:
            with beside:
                threading.Event().wait(0.001)
            total = 1 + (sum(on_loop.parallelize([(below - 1,)] * 2).results) + on_loop(below - 1).get_result(PATIENCE) if below else 0)
            with beside:
                return total

        @app.task
        async def on_loop(below: int) -> int:
            with beside:
                await asyncio.sleep(0.001)
            if not below:
                return 1
            total = 1 + await plain(below - 1).async_result()
            async for result in plain.parallelize([(below - 1,)] * 2).async_results():
                with beside:
                    await asyncio.sleep(0)
                total += result
            return total

        assert on_loop(4).get_result(PATIENCE) == sum(3**level for level in range(5))
        assert beside.most == 1


def test_however_many_an_invocation_waits_for_at_once_it_pauses_once() -> None:
    with working_app(tasks=10) as app:

        @app.task
        async def child(number: int) -> int:
            await asyncio.sleep(0.001)
            return number

        @app.task
        async def parent(count: int) -> list[int]:
            before = threading.active_count()
            waits = asyncio.gather(*(each.async_result() for each in child.parallelize([(number,) for number in range(count)])))
            await asyncio.sleep(0.05)
            most = threading.active_count() - before
            return [*await waits, most]

        invocation = parent(300)
        *results, threads = invocation.get_result(PATIENCE)
        assert results == list(range(300))
        assert threads < 50
        passed = [entry.status_record.status for entry in invocation.history]
        assert passed.count(Status.PAUSED) < 5


def test_a_wait_that_begins_while_others_wait_is_heard() -> None:
    gate = threading.Event()
    with working_app() as app:

        @app.task
        def late() -> str:
            gate.wait(PATIENCE)
            return "late"

        @app.task
        async def soon() -> str:
            return "soon"

        @app.task
        async def parent() -> list[str]:
            order: list[str] = []

            async def take(each: Any) -> None:
                order.append(await each.async_result())

            async with asyncio.TaskGroup() as group:
                group.create_task(take(late()))
                await asyncio.sleep(0.1)  # until the first wait has begun
                await take(soon())
                gate.set()
            return order

        assert parent().get_result(PATIENCE) == ["soon", "late"]


@pytest.mark.parametrize("url", URLS)
def test_who_gives_up_waiting_goes_on_with_a_slot_and_gets_no_reply_of_another(url: str, tmp_path: Path) -> None:
    beside = Beside()
    with working_app(url.format(folder=tmp_path), tasks=2) as app:

        @app.task
        def slow(name: str) -> str:
            with beside:
                threading.Event().wait(0.1)
            return name

        @app.task
        async def fills() -> None:
            with beside:
                await asyncio.sleep(0.02)

        @app.task
        async def impatient(name: str) -> list[str]:
            first, second = slow(name), slow(name + "!")
            for _ in range(3):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(first.async_result(), 0.03)
                with beside:
                    await asyncio.sleep(0.01)
            with contextlib.suppress(TimeoutError):
                await first.async_result(0.01)
            return [await second.async_result(), await first.async_result()]

        made = [impatient("a"), impatient("b")]
        app.wait([fills() for _ in range(30)], timeout=PATIENCE)
        assert [each.get_result(PATIENCE) for each in made] == [["a!", "a"], ["b!", "b"]]
        assert beside.most <= 2


def test_more_waiting_coroutines_than_allowed_are_refused() -> None:
    with working_app(tasks=1, runner={"max_paused_per_worker": 5}) as app:

        @app.task
        async def deep(below: int) -> int:
            return 1 + await deep(below - 1).async_result() if below else 0

        with pytest.raises(WaitDepthError):
            deep(20).get_result(PATIENCE)
        assert deep(4).get_result(PATIENCE) == 4


def test_failures_of_a_group_come_after_its_results_and_a_timeout_names_the_oldest() -> None:
    gate = threading.Event()
    with working_app() as app:

        @app.task
        async def picky(number: int) -> int:
            if number == 1:
                raise ValueError(number)
            return number

        @app.task
        def stuck() -> None:
            gate.wait(PATIENCE)

        @app.task
        async def reads() -> list[int]:
            seen: list[int] = []
            with contextlib.suppress(ValueError):
                async for result in picky.parallelize([(0,), (1,), (2,)]).async_results():
                    seen.append(result)  # noqa: PERF401 - what came before the error is to be seen
            never = stuck.parallelize([()]).async_results(timeout=0.05)
            with pytest.raises(InvocationTimeoutError):
                await anext(never)
            with pytest.raises(InvocationTimeoutError):
                await stuck().async_result(timeout=0)
            gate.set()
            return sorted(seen)

        assert reads().get_result(PATIENCE) == [0, 2]


def test_one_that_waits_is_cancelled_and_told_once() -> None:
    told: list[str] = []
    gate = threading.Event()
    with working_app(runner={"heartbeat_interval_sec": 0.2}) as app:

        @app.task
        def stuck() -> None:
            gate.wait(PATIENCE)

        @app.task
        async def waits() -> None:
            try:
                await stuck().async_result()
            except BaseException as error:
                told.append(type(error).__name__)
                try:
                    await asyncio.sleep(0.1)
                except BaseException as again:
                    told.append(type(again).__name__)
                    raise
                told.append("undone")
                raise

        group = waits.parallelize([()] * 20)
        eventually(lambda: all(member.status is Status.PAUSED for member in group), "all of them waiting")
        group.cancel()
        eventually(lambda: all(member.status is Status.CANCELLED for member in group), "all of them being cancelled")
        eventually(lambda: len(told) == 40, "their way out")
        gate.set()
        assert told.count("undone") == 20
        assert set(told) <= {"undone", "CancelledError", "TaskCancelled"}


def test_scopes_around_a_coroutine_are_entered_on_its_loop() -> None:
    where: list[tuple[str, str]] = []

    class Around:
        @hookimpl
        def pynenc_invocation_scope(self, invocation: object) -> Any:
            del invocation

            @contextlib.asynccontextmanager
            async def scope() -> AsyncGenerator[None]:
                where.append(("in", threading.current_thread().name))
                await asyncio.sleep(0)
                yield
                where.append(("out", threading.current_thread().name))

            return scope()

    manager = PluginManager()
    manager.register(Around(), "around")
    app = app_of_its_own(plugins=manager)
    with runner_of(app):

        @app.task
        async def inside() -> int:
            where.append(("task", threading.current_thread().name))
            return 1

        assert inside().get_result(PATIENCE) == 1
    assert where == [(step, "pynenc-loop") for step in ("in", "task", "out")]
    app.close()
