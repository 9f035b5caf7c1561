"""Limits by key and registration by key, for single calls and for many."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pynenc_core.config import Limit
from pynenc_core.errors.invocations import RetryError
from pynenc_core.invocation import Invocation, ReusedInvocation
from unit.app.running import Gate, app_of_its_own, eventually, runner_of, statuses, working_app


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


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
def test_parallelize_obeys_the_same_limit_as_single_calls(backend: str, tmp_path: Path) -> None:
    watcher, url = Watcher(), "memory://" if backend == "memory" else f"sqlite:///{tmp_path}/jobs.db"
    with working_app(url, threads=4) as app:

        @app.task(running_concurrency="task")
        def alone(n: int) -> int:
            with watcher:
                return n

        group = alone.parallelize([(n,) for n in range(25)])
        singles = [alone(n) for n in range(25, 30)]
        assert sorted(group.iter_results(30)) == list(range(25))
        assert [single.get_result(10) for single in singles] == list(range(25, 30))
    assert watcher.most == 1


def test_a_blocked_crowd_leaves_a_bounded_history() -> None:
    gate = Gate()
    with working_app(threads=4) as app:

        @app.task(running_concurrency="task")
        def alone(n: int) -> int:
            gate.pass_through()
            return n

        group = alone.parallelize([(n,) for n in range(30)])
        gate.wait_for()
        gate.open()
        assert sorted(group.iter_results(30)) == list(range(30))
        assert max(len(member.history) for member in group) <= 8


def test_the_key_decides_who_waits_for_whom() -> None:
    gates = {"a": Gate(), "b": Gate()}
    with working_app(threads=4) as app:

        @app.task(running_concurrency="keys", key_arguments=("shop",))
        def serve(shop: str, customer: int) -> int:
            gates[shop].pass_through()
            return customer

        first, second, elsewhere = serve("a", 1), serve("a", 2), serve("b", 3)
        gates["b"].wait_for()
        gates["b"].open()
        assert elsewhere.get_result(5) == 3
        assert gates["a"].reached == 1
        gates["a"].open()
        assert (first.get_result(5), second.get_result(5)) == (1, 2)


def test_retry_under_a_running_limit_is_legal() -> None:
    watcher, runs = Watcher(), list[int]()
    with working_app(threads=3) as app:

        @app.task(running_concurrency="task", max_retries=2)
        def unsteady(n: int) -> int:
            with watcher:
                runs.append(n)
                if runs.count(n) < 3:
                    raise RetryError
                return n

        assert sorted(unsteady.parallelize([(n,) for n in range(5)]).iter_results(20)) == list(range(5))
    assert watcher.most == 1
    assert len(runs) == 15


def test_a_paused_holder_still_holds() -> None:
    gate = Gate()
    with working_app(threads=3) as app:

        @app.task
        def child() -> int:
            gate.pass_through()
            return 1

        @app.task(running_concurrency="task")
        def parent() -> int:
            return child().result

        first = parent()
        gate.wait_for()
        eventually(lambda: first.status == "PAUSED")
        second = parent()
        eventually(lambda: second.status == "CONCURRENCY_CONTROLLED", "the second one's stop")
        assert gate.reached == 1
        gate.open()
        assert (first.get_result(5), second.get_result(5)) == (1, 1)


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
def test_50_callers_with_one_registration_key_at_once_create_one_invocation(backend: str, tmp_path: Path) -> None:
    app = app_of_its_own("memory://" if backend == "memory" else f"sqlite:///{tmp_path}/jobs.db")

    @app.task(registration_concurrency="arguments")
    def once(n: int) -> int:
        return n

    together, made = threading.Barrier(50), list[Invocation[int]]()

    def call() -> None:
        together.wait(10)
        made.append(once(1))

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each.invocation_id for each in made}) == 1
    assert sum(not each.reused for each in made) == 1
    assert sum(isinstance(each, ReusedInvocation) for each in made) == 49
    assert app.orchestrator.count_invocations() == 1
    assert not once(2).reused
    with runner_of(app):
        assert {each.get_result(10) for each in made} == {1}
    assert not once(1).reused
    app.close()


def test_a_group_of_duplicates_yields_a_result_for_each_call() -> None:
    with working_app() as app:

        @app.task(registration_concurrency="arguments")
        def once(n: int) -> int:
            return n

        group = once.parallelize([(1,), (2,), (1,), (1,)])
        assert app.orchestrator.count_invocations() == 2
        assert [member.reused for member in group] == [False, False, True, True]
        assert group.ordered_results(5) == [1, 2, 1, 1]
        assert sorted(group.iter_results(5)) == [1, 1, 1, 2]


def test_registration_by_keys_reuses_what_differs_elsewhere() -> None:
    app = app_of_its_own()

    @app.task(registration_concurrency="keys", key_arguments=("shop",))
    def restock(shop: str, amount: int) -> int:
        return len(shop) + amount

    first, second = restock("a", 1), restock("a", 2)
    assert second == first
    assert second.reused
    assert restock("b", 1) != first


def test_at_most_n_at_once() -> None:
    watcher, together = Watcher(), threading.Barrier(3)
    with working_app(threads=6) as app:

        @app.task(limits=(Limit(concurrency=3),))
        def some(n: int) -> int:
            with watcher:
                together.wait(5)
                return n

        assert sorted(some.parallelize([(n,) for n in range(9)]).iter_results(20)) == list(range(9))
    assert watcher.most == 3


def test_one_dropped_by_its_limit_frees_its_registration_key() -> None:
    gate = Gate()
    with working_app(threads=2) as app:

        @app.task(running_concurrency="task", reroute_on_concurrency_control=False)
        def alone(n: int) -> int:
            gate.pass_through()
            return n

        first = alone(1)
        gate.wait_for()
        dropped = alone(2)
        eventually(lambda: dropped.is_final)
        assert statuses(dropped) == ["REGISTERED", "CONCURRENCY_CONTROLLED_FINAL"]
        gate.open()
        assert first.get_result(5) == 1
        assert alone(3).get_result(5) == 3
