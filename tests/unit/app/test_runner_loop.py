"""What must never stop a runner: entries without records, unknown tasks, illegal transitions; and what it costs when idle."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import pytest

from pynenc_core.errors.invocations import InvocationStatusTransitionError
from pynenc_core.model import Change, Expect, Payload, RunnerContext
from pynenc_core.orchestration.executing.executor import ThreadExecutor
from pynenc_core.ports.executor_runner import ExecutorRunner
from pynenc_core.ports.transitions import change
from pynenc_core.status import Status
from unit.app.running import QUICK_LEASES, app_of_its_own, eventually, runner_of


def job(n: int) -> int:
    """Return its argument."""
    return n


def test_an_unknown_task_is_parked_and_the_loop_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    newer = app_of_its_own(url)
    worker = app_of_its_own(url, app_id=newer.app_id)

    @newer.task
    def brand_new() -> int:
        return 2

    unknown, known = brand_new(), newer.task(job)(1)
    worker.task(job)
    with runner_of(worker):
        assert known.get_result(5) == 1
        eventually(lambda: unknown.status == "PARKED", "parking it", 5)
    assert any("is parked" in record.getMessage() and unknown.invocation_id in record.getMessage() for record in caplog.records)
    with runner_of(newer):
        assert unknown.get_result(5) == 2
    newer.close()
    worker.close()


def test_a_module_that_does_not_import_is_a_warning_that_names_it(caplog: pytest.LogCaptureFixture) -> None:
    app = app_of_its_own(task_modules=("nowhere_to_be_found",))
    task = app.task(job)
    with runner_of(app):
        assert task(1).get_result(5) == 1
    assert any("'nowhere_to_be_found'" in record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)


def test_an_illegal_transition_in_one_invocation_never_stops_the_loop() -> None:
    app = app_of_its_own(threads=1)

    @app.task
    def meddles() -> None:
        own = meddles.invocation
        assert own is not None
        record = own.record
        stolen = Change(
            invocation_id=own.invocation_id,
            expect=Expect(Status.RUNNING, record.state.runner_id, record.state.claim),
            through=(Status.RUNNING_RECOVERY, Status.REROUTED, Status.CANCELLED),
            by="somebody",
        )
        app.orchestrator.engine.dispatcher.settle([stolen])
        with pytest.raises(InvocationStatusTransitionError):
            app.orchestrator.set_invocation_status(own.invocation_id, Status.RUNNING)

    task = app.task(job)
    with runner_of(app):
        made = meddles()
        assert task(1).get_result(5) == 1
        eventually(lambda: made.is_final)
    assert made.status == "CANCELLED"


def test_a_corrupt_payload_is_set_aside_with_the_reason_and_the_loop_goes_on(tmp_path: Path) -> None:
    app = app_of_its_own(f"sqlite:///{tmp_path}/jobs.db")
    task = app.task(job)
    engine = app.orchestrator.engine
    real = engine.codec.encode_call

    def corrupt(*args: Any) -> Any:
        encoded = real(*args)
        call = attrs.evolve(encoded.call, arguments=(("n", Payload(b"{not json")),))
        return attrs.evolve(encoded, call=call)

    engine.codec.encode_call = corrupt  # type: ignore[method-assign,assignment] # what a store may have made of it
    bad = task(1)
    engine.codec.encode_call = real  # type: ignore[method-assign] # all is as before
    good = task(2)
    with runner_of(app):
        assert good.get_result(5) == 2
        eventually(lambda: bad.is_final)
    assert bad.status == "QUARANTINED"
    assert "n" in bad.record.state.reason
    app.close()


def test_what_a_dead_runner_left_is_found_by_a_living_one_without_any_help() -> None:
    app = app_of_its_own(**QUICK_LEASES)
    task = app.task(job)
    made = task(3)
    dead = RunnerContext.of_this_process("Dead")
    app.orchestrator.get_invocations_to_run(1, dead)
    assert made.status == "RUNNING"
    with runner_of(app):
        assert made.get_result(10) == 3
    assert made.record.state.crashes == 1


class Calls:
    """Counts the calls to a store; one that is made inside another counts with it."""

    def __init__(self, *parts: Any) -> None:
        self.by_name: Counter[str] = Counter()
        self._inside = threading.local()
        for part in parts:
            for name in dir(part):
                method = getattr(part, name)
                if not name.startswith("_") and callable(method) and name not in {"wake", "close", "now", "prepare"}:
                    self._wrap(part, name, method)

    def _wrap(self, part: Any, name: str, method: Any) -> None:
        def counted(*args: Any, **options: Any) -> Any:
            if getattr(self._inside, "one", False):
                return method(*args, **options)
            self.by_name[name] += 1
            self._inside.one = True
            try:
                return method(*args, **options)
            finally:
                self._inside.one = False

        setattr(part, name, counted)


@pytest.mark.timed
@pytest.mark.parametrize("threads", [1, 4])
def test_an_idle_runner_on_sqlite_costs_next_to_nothing(threads: int, tmp_path: Path) -> None:
    app = app_of_its_own(f"sqlite:///{tmp_path}/jobs.db", threads=threads)
    task = app.task(job)
    engine = app.orchestrator.engine
    with runner_of(app):
        assert task(1).get_result(5) == 1
        pause = threading.Event()
        pause.wait(1.0)
        calls = Calls(engine.state, engine.dispatcher)
        used = time.process_time()
        pause.wait(6.0)
        used, made = time.process_time() - used, calls.by_name.copy()
    assert used < 0.01 * 6, f"{used:.3f} s of CPU in 6 s"
    assert made.total() < 2 * 6, made
    app.close()


def test_two_runners_of_one_process_share_the_work_and_stop_apart() -> None:
    app = app_of_its_own(threads=1)
    together = threading.Barrier(2)

    @app.task
    def meet() -> int:
        return together.wait(5)

    with runner_of(app):
        with runner_of(app):
            assert sorted(meet.parallelize([(), ()]).iter_results(10)) == [0, 1]
        task = app.task(job)
        assert task(1).get_result(5) == 1


def test_a_runner_that_never_started_is_stopped() -> None:
    runner = app_of_its_own().make_runner("thread")
    assert runner.wait_until_stopped(0)
    runner.stop_runner_loop()
    runner.run()
    assert runner.wait_until_stopped(0)


@pytest.mark.timed
def test_a_second_stop_hands_back_at_once() -> None:
    hold = threading.Event()
    app = app_of_its_own(threads=1, runner={"grace_period_sec": 60.0})

    @app.task
    def long() -> None:
        hold.wait(30)

    made = long()
    runner = app.make_runner("thread")
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    eventually(lambda: made.status == "RUNNING")
    began = time.monotonic()
    runner.stop_runner_loop()
    assert not runner.wait_until_stopped(0.3)
    runner.stop_runner_loop()
    assert runner.wait_until_stopped(5)
    assert time.monotonic() - began < 3
    thread.join(5)
    assert made.status == "REROUTED"
    hold.set()


def test_a_stop_drains_what_runs_and_takes_nothing_new() -> None:
    gate, ran = threading.Event(), list[int]()
    app = app_of_its_own(threads=1, runner={"grace_period_sec": 20.0})

    @app.task
    def long(n: int) -> int:
        ran.append(n)
        gate.wait(10)
        return n

    first, second = long(1), long(2)
    runner = app.make_runner("thread")
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    eventually(lambda: ran == [1])
    runner.stop_runner_loop()
    executor = runner.executor if isinstance(runner, ExecutorRunner) else None
    assert isinstance(executor, ThreadExecutor)
    eventually(lambda: executor._slots.closed)  # claiming has a second to stop
    gate.set()
    assert runner.wait_until_stopped(10)
    thread.join(5)
    assert first.result == 1
    assert second.status == "REGISTERED"
    assert ran == [1]


def test_its_cache_is_shared_by_all_of_one_start() -> None:
    app = app_of_its_own()
    with runner_of(app) as runner:

        @app.task
        def note() -> Any:
            own = app.runner
            assert own is not None
            own.cache["seen"] = [1, 2]
            return own.cache["seen"]

        assert note().get_result(5) == [1, 2]
        assert dict(runner.cache) == {"seen": [1, 2]}
        del runner.cache["seen"]
        assert "seen" not in runner.cache


def test_a_claimed_one_whose_status_moved_on_is_refused_and_said() -> None:
    app = app_of_its_own()
    made = app.task(job)(1)
    context = app.orchestrator.routing.context()
    (record,) = app.orchestrator.get_invocations_to_run(1, context)
    app.orchestrator.reroute_invocations([made.invocation_id], context)
    refused = app.orchestrator.engine.dispatcher.settle([change(record, (Status.FAILED,), by=context.runner_id, owner=record.state.owner)])
    assert refused.refused[0] is not None
    assert made.status == "REROUTED"
