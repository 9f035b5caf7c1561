"""What ran beside others when their process died runs alone until it has ended once, in a runner with many slots."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from pynenc_core import Pynenc
from pynenc_core.model import RunnerContext
from unit.app.running import Gate, app_of_its_own, eventually, runner_of


class Watcher:
    """Counts how many are inside at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inside = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.inside -= 1


def crash_with(app: Pynenc, count: int) -> None:
    """Let a process claim so many, run them and die."""
    dead = RunnerContext.of_this_process("Dead")
    assert len(app.orchestrator.get_invocations_to_run(count, dead)) == count
    assert app.orchestrator.hand_on(dead.runner_id, "exit signal 9") == count


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
def test_they_run_one_at_a_time_and_are_cleared_by_ending(backend: str, tmp_path: Path) -> None:
    watcher = Watcher()
    app = app_of_its_own("memory://" if backend == "memory" else f"sqlite:///{tmp_path}/jobs.db", threads=4)

    @app.task
    def work(n: int) -> int:
        with watcher:
            threading.Event().wait(0.02)
            return n

    suspects = [work(n) for n in range(4)]
    crash_with(app, 4)
    assert all(each.record.state.suspect for each in suspects)
    with runner_of(app):
        assert [each.get_result(10) for each in suspects] == [0, 1, 2, 3]
        assert watcher.most == 1
        assert not any(each.record.state.suspect for each in suspects)
        together = work.parallelize([(n,) for n in range(8)])
        assert together.ordered_results(10) == list(range(8))
        assert watcher.most > 1
    assert [each.record.state.crashes for each in suspects] == [0] * 4
    app.close()


def test_what_is_running_already_ends_before_one_begins() -> None:
    gate, watcher = Gate(), Watcher()
    app = app_of_its_own(threads=3)

    @app.task
    def work(n: int) -> int:
        with watcher:
            return n

    @app.task(priority=50)
    def long() -> int:
        with watcher:
            gate.pass_through()
            return 0

    suspects = [work(1), work(2)]
    crash_with(app, 2)
    running = long()
    with runner_of(app):
        gate.wait_for()
        assert watcher.inside == 1
        beside = work(3)
        assert app.wait([*suspects, beside], timeout=0.1)[0] == []
        gate.open()
        assert running.get_result(5) == 0
        assert [each.get_result(5) for each in suspects] == [1, 2]
        assert beside.get_result(5) == 3
    assert watcher.most == 1


def test_one_that_waits_lets_others_run_and_goes_on() -> None:
    app = app_of_its_own(threads=2)

    @app.task
    def child(n: int) -> int:
        return n

    @app.task
    def parent(n: int) -> int:
        return sum(child.parallelize([(n,), (n,)]).results)

    suspects: list[Any] = [parent(1), parent(2)]
    crash_with(app, 2)
    with runner_of(app):
        assert [each.get_result(10) for each in suspects] == [2, 4]


def test_one_that_fails_is_cleared_and_tried_again_like_any_other() -> None:
    runs: list[int] = []
    app = app_of_its_own(threads=2)

    @app.task(max_retries=1, retry_for=(LookupError,))
    def unsteady(n: int) -> int:
        runs.append(n)
        if runs.count(n) == 1:
            raise LookupError(n)
        return n

    suspects = [unsteady(1), unsteady(2)]
    crash_with(app, 2)
    with runner_of(app):
        assert [each.get_result(10) for each in suspects] == [1, 2]
    for each in suspects:
        state = each.record.state
        assert (state.suspect, state.attempts, state.crashes) == (False, 1, 0)


@pytest.mark.timed
def test_one_is_cancelled_while_it_waits_for_its_turn() -> None:
    gate = Gate()
    app = app_of_its_own(threads=2)

    @app.task
    def work(n: int) -> int:
        gate.pass_through()
        return n

    first, second = work(1), work(2)
    crash_with(app, 2)
    with runner_of(app):
        gate.wait_for()
        waiting = next(each for each in (first, second) if each.status != "RUNNING")
        other = second if waiting is first else first
        assert waiting.cancel("not needed") == "requested"
        eventually(lambda: waiting.status == "CANCELLED", "the answer", 1.5)
        gate.open()
        assert other.get_result(5) in {1, 2}
    assert gate.reached == 1


def test_a_stop_hands_those_that_wait_for_their_turn_back() -> None:
    gate = Gate()
    app = app_of_its_own(threads=2, runner={"grace_period_sec": 0.1})

    @app.task
    def work(n: int) -> int:
        gate.pass_through()
        return n

    made = [work(1), work(2)]
    crash_with(app, 2)
    with runner_of(app):
        gate.wait_for()
    assert {str(each.status) for each in made} == {"REROUTED"}
    gate.open()
    with runner_of(app):
        assert [each.get_result(5) for each in made] == [1, 2]
