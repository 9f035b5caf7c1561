"""An app outside of any runner: it executes nothing, waits by notification, and its process is named in history."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pynenc_core import Pynenc, PynencBuilder
from pynenc_core.errors.runners import RunnerNotExecutableError
from pynenc_core.outside import DummyRunner, ExternalRunner
from pynenc_core.ports.runner import BaseRunner
from unit.app.running import Gate, app_of_its_own, runner_of, working_app

EXECUTING: dict[str, Callable[[DummyRunner], object]] = {
    "run": lambda runner: runner.run(),
    "on_start": lambda runner: runner.on_start(),
    "on_stop": lambda runner: runner.on_stop(),
    "runner_loop_iteration": lambda runner: runner.runner_loop_iteration(),
    "stop_runner_loop": lambda runner: runner.stop_runner_loop(),
    "_on_start": lambda runner: runner._on_start(),
    "_on_stop": lambda runner: runner._on_stop(),
    "_on_stop_runner_loop": lambda runner: runner._on_stop_runner_loop(),
}


@pytest.mark.parametrize("kind", [DummyRunner, ExternalRunner])
@pytest.mark.parametrize("method", EXECUTING)
def test_what_executes_is_refused_by_name(kind: type[DummyRunner], method: str) -> None:
    app = app_of_its_own()
    with pytest.raises(RunnerNotExecutableError) as caught:
        EXECUTING[method](kind(app))
    assert (caught.value.runner, caught.value.method) == (kind.__name__, method)
    assert not app.started


def test_it_is_a_runner_like_any_other_to_look_at() -> None:
    app = app_of_its_own()
    runner = app.runner
    assert isinstance(runner, ExternalRunner)
    assert (runner.mem_compatible(), runner.max_parallel_slots, list(runner.get_active_child_runner_ids())) == (True, 0, [])
    assert (type(runner.cache), runner.wait_until_stopped(0.0), runner.running) == (dict, True, False)
    runner.cache["seen"] = object()
    assert app.runner is runner
    assert not app.started, "looking at it has opened the stores"


def test_each_dummy_runner_has_its_own_id_and_the_external_one_is_its_process() -> None:
    app = app_of_its_own()
    assert DummyRunner(app).runner_id != DummyRunner(app).runner_id
    assert ExternalRunner(app).runner_id == app.runner.runner_id == f"ExternalRunner@{socket.gethostname()}-{os.getpid()}"


def test_inside_of_a_runner_the_app_has_that_one() -> None:
    seen: list[BaseRunner] = []
    with working_app() as app:

        @app.task
        def look() -> None:
            seen.append(app.runner)

        look().get_result(10)
        assert isinstance(app.runner, ExternalRunner)
    assert [type(runner).__name__ for runner in seen] == ["ThreadRunner"]


def test_history_names_the_process_that_registered_and_its_context_is_stored(tmp_path: Path) -> None:
    app = app_of_its_own(f"sqlite:///{tmp_path}/jobs.db")

    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    for invocation in (add(1, 2), *add.parallelize([(1, 2), (3, 4)])):
        first = invocation.history[0]
        assert first.runner_context_id == app.runner.runner_id
        context = app.state_backend.get_runner_context(first.runner_context_id)
        assert context is not None
        assert (context.class_name, context.host, context.pid) == ("ExternalRunner", socket.gethostname(), os.getpid())
    app.close()


def test_a_forked_process_registers_under_its_own_name() -> None:
    app = app_of_its_own()
    of_the_parent = (app.runner.runner_id, app.orchestrator.routing.context().runner_id)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, f"{app.runner.runner_id} {app.orchestrator.routing.context().runner_id}".encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told = pipe.read().split()
    os.waitpid(child, 0)
    assert told == [f"ExternalRunner@{socket.gethostname()}-{child}"] * 2
    assert set(of_the_parent) == {f"ExternalRunner@{socket.gethostname()}-{os.getpid()}"}


class TestWaiting:
    """By notification, and for as long as was asked at most."""

    def test_it_is_told_of_a_result(self) -> None:
        gate = Gate()
        with working_app() as app:

            @app.task
            def work() -> int:
                gate.pass_through()
                return 1

            invocation = work()
            gate.wait_for()
            threading.Timer(0.05, gate.open).start()
            for running in ("", "somebody"):
                assert app.runner.waiting_for_results(running, [invocation.invocation_id]) == {invocation.invocation_id}

    @pytest.mark.timed
    def test_it_ends_at_its_timeout(self) -> None:
        app = app_of_its_own()
        task = app.task(add)
        wanted = [task(1, 2).invocation_id]
        began = time.monotonic()
        assert app.runner.waiting_for_results("", wanted, {"timeout": 0.05}) == frozenset()
        assert 0.05 <= time.monotonic() - began < 2
        app.close()

    def test_coroutines_wait_without_blocking_their_loop(self) -> None:
        app = app_of_its_own()
        task = app.task(add)
        invocation = task(1, 2)

        async def both() -> tuple[frozenset[str], object]:
            waiting = asyncio.ensure_future(app.runner.async_waiting_for_results("", [invocation.invocation_id]))
            await asyncio.sleep(0)
            return await waiting, app.runner

        with runner_of(app):
            arrived, runner = asyncio.run(both())
        assert arrived == {invocation.invocation_id}
        assert isinstance(runner, ExternalRunner)

    @pytest.mark.timed
    @pytest.mark.parametrize("backend", ["memory", "sqlite"])
    def test_a_coroutine_that_is_cancelled_leaves_no_thread_that_waits(self, backend: str, tmp_path: Path) -> None:
        app = app_of_its_own("memory://" if backend == "memory" else f"sqlite:///{tmp_path}/jobs.db")
        task = app.task(add)
        invocation, group = task(1, 2), task.parallelize([(1, 2), (3, 4)])

        async def all_of_group() -> int:
            return sum([result async for result in group.async_results()])

        async def give_up() -> int:
            given_up = 0
            for waiting in (invocation.async_result(), all_of_group()):
                try:
                    await asyncio.wait_for(waiting, 0.05)
                except TimeoutError:
                    given_up += 1
            return given_up

        began = time.monotonic()
        assert asyncio.run(give_up()) == 2  # which ends when all threads that it has started have ended
        assert time.monotonic() - began < 3
        app.close()


def add(x: int, y: int) -> int:
    """Return the sum."""
    return x + y


class TestChosenByName:
    """`dummy` is a runner that users may name, so that nobody starts one by mistake."""

    @pytest.mark.parametrize("name", ["dummy", "DummyRunner"])
    def test_it_is_made_by_either_name(self, name: str) -> None:
        made = app_of_its_own(runner_cls=name).make_runner()
        assert type(made) is DummyRunner

    def test_the_builder_has_a_method(self) -> None:
        app = PynencBuilder().app_id("outside").backend("memory://").dummy_runner().build()
        assert app.runner_spec().name == "dummy"
        assert app.conf.app.runner_cls == "dummy"

    def test_it_is_never_chosen_by_default(self) -> None:
        assert app_of_its_own().runner_spec().name != "dummy"
        assert Pynenc("memory://", app_id="outside").plugins.catalog.runner("dummy").default_rank < 0
