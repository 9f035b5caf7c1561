"""Handles: status, history, results of every kind of end, awaiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pynenc_core import Pynenc
from pynenc_core.errors.invocations import (
    InvocationDroppedError,
    InvocationNotFoundError,
    InvocationQuarantinedError,
    InvocationTimeoutError,
)
from pynenc_core.model import InvocationHistory
from pynenc_core.status import Status
from unit.app.running import Gate, app_of_its_own, eventually, runner_of, statuses, working_app


@pytest.fixture
def app() -> Iterator[Pynenc]:
    made = app_of_its_own()
    yield made
    made.close()


class TestHandles:
    def test_two_of_one_invocation_are_equal(self, app: Pynenc) -> None:
        @app.task
        def one() -> int:
            return 1

        invocation = one()
        again = app.get_invocation(invocation.invocation_id)
        assert again == invocation
        assert hash(again) == hash(invocation)
        assert one() != invocation
        assert repr(invocation) == f"<Invocation {invocation.invocation_id}>"
        assert invocation != invocation.invocation_id

    def test_ids_sort_by_age(self, app: Pynenc) -> None:
        @app.task
        def one() -> int:
            return 1

        made = [one().invocation_id for _ in range(20)]
        assert made == sorted(made)

    def test_of_what_is_not_there_there_is_none(self, app: Pynenc) -> None:
        with pytest.raises(InvocationNotFoundError, match="has no invocation 'nowhere'"):
            app.get_invocation("nowhere")

    def test_its_call_shows_the_arguments(self, app: Pynenc) -> None:
        @app.task
        def add(x: int, y: int = 2) -> int:
            return x + y

        call = add(1).call
        assert call.task_id == add.task_id
        assert dict(call.arguments) == {"x": 1, "y": 2}
        assert call.call_id.startswith(f"{add.task_id}#")

    def test_one_made_by_another_process_gives_its_result(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/jobs.db"
        maker = app_of_its_own(url)

        def job(when: datetime) -> datetime:
            return when + timedelta(days=1)

        made = maker.task(job)(datetime(2024, 2, 28, tzinfo=UTC))
        worker = app_of_its_own(url, app_id=maker.app_id)
        worker.task(job)
        with runner_of(worker):
            assert made.get_result(10) == datetime(2024, 2, 29, tzinfo=UTC)
            assert worker.get_invocation(made.invocation_id).result == datetime(2024, 2, 29, tzinfo=UTC)
        maker.close()
        worker.close()


class TestHistory:
    def test_it_tells_each_transition_in_order_with_who_and_when(self, app: Pynenc) -> None:
        @app.task
        def one() -> int:
            return 1

        before = time.time()
        invocation = one()
        with runner_of(app) as runner:
            invocation.get_result(5)
        entries = invocation.history
        assert statuses(invocation) == ["REGISTERED", "PENDING", "RUNNING", "SUCCESS"]
        assert [entry.seq for entry in entries] == [1, 2, 3, 4]
        assert [entry.status_record.runner_id for entry in entries] == ["", runner.runner_id, runner.runner_id, ""]
        assert {entry.runner_context_id for entry in entries[1:]} == {runner.runner_id}
        assert before - 1 < entries[0].at <= entries[-1].at < time.time() + 1
        assert all(InvocationHistory.from_json(entry.to_json()) == entry for entry in entries)

    def test_it_is_bounded(self, app: Pynenc) -> None:
        @app.task
        def one() -> int:
            return 1

        invocation = one()
        orchestrator, context = app.orchestrator, app.orchestrator.routing.context()
        for _ in range(100):
            orchestrator.get_invocations_to_run(1, context)
            orchestrator.reroute_invocations([invocation.invocation_id], context)
        entries = invocation.history
        assert len(entries) == 200
        assert [entry.seq for entry in entries[:20]] == list(range(1, 21))
        assert entries[-1].seq == invocation.record.state.seq == 401
        assert invocation.record.state.interruptions == 100


class TestEnds:
    def test_one_that_is_dropped_says_so_at_once(self) -> None:
        gate = Gate()
        with working_app() as app:

            @app.task(running_concurrency="task", reroute_on_concurrency_control=False)
            def alone() -> int:
                gate.pass_through()
                return 1

            first = alone()
            gate.wait_for()
            second = alone()
            with pytest.raises(InvocationDroppedError, match="it never ran and has no result"):
                second.get_result(5)
            assert second.status == "CONCURRENCY_CONTROLLED_FINAL"
            gate.open()
            assert first.get_result(5) == 1

    def test_one_that_is_quarantined_says_why(self, app: Pynenc) -> None:
        @app.task
        def one() -> int:
            return 1

        invocation = one()
        orchestrator, context = app.orchestrator, app.orchestrator.routing.context()
        for _ in range(3):
            assert invocation.status != "QUARANTINED"
            orchestrator.get_invocations_to_run(1, context)
            orchestrator.hand_on(context.runner_id, "exit signal 6")
        with pytest.raises(InvocationQuarantinedError, match=r"crashed its worker 3 times; the last time: .*exit signal 6"):
            invocation.get_result(0)
        assert invocation.record.state.crashes == 3
        assert invocation.record.state.attempts == 0

    def test_one_that_was_purged_says_so_at_once(self, app: Pynenc) -> None:
        @app.task
        def one() -> int:
            return 1

        invocation = one()
        app.purge()
        with pytest.raises(InvocationNotFoundError):
            _ = invocation.result

    def test_a_result_that_was_read_stays(self) -> None:
        with working_app() as app:

            @app.task
            def one() -> int:
                return 1

            invocation = one()
            assert invocation.get_result(5) == 1
            app.purge()
            assert invocation.result == 1
            assert invocation.status == "SUCCESS"

    def test_a_result_of_none_is_a_result(self) -> None:
        with working_app() as app:

            @app.task
            def nothing() -> None: ...

            assert nothing().get_result(5) is None

    def test_a_large_one_comes_back_whole(self) -> None:
        with working_app() as app:

            @app.task
            def grow(text: str) -> str:
                return text * 2

            assert grow("ab" * 2_000_000).get_result(10) == "ab" * 4_000_000


class TestAwaiting:
    def test_many_waits_do_not_block_the_loop(self) -> None:
        gate = Gate()
        with working_app(threads=3) as app:

            @app.task
            def square(n: int) -> int:
                gate.pass_through()
                return n * n

            async def here() -> list[int]:
                waits = [asyncio.create_task(square(n).async_result(10)) for n in range(3)]
                ticks = 0
                while gate.reached < 3:
                    await asyncio.sleep(0.001)
                    ticks += 1
                gate.open()
                return [await wait for wait in waits]

            assert asyncio.run(here()) == [0, 1, 4]

    def test_a_bounded_one_ends(self, app: Pynenc) -> None:
        @app.task
        def one() -> int:
            return 1

        async def here() -> int:
            return await one().async_result(timeout=0.02)

        with pytest.raises(InvocationTimeoutError):
            asyncio.run(here())

    @pytest.mark.timed
    def test_waiting_for_results_outside_of_a_task_wakes_at_once(self) -> None:
        gate = Gate()
        with working_app() as app:

            @app.task
            def one() -> float:
                gate.pass_through()
                return time.monotonic()

            invocation = one()
            gate.wait_for()
            gate.open()
            ended = invocation.get_result(5)
            assert time.monotonic() - ended < 0.5

    def test_a_loop_of_short_waits_sees_the_end(self) -> None:
        gate = Gate()
        with working_app() as app:

            @app.task
            def one() -> int:
                gate.pass_through()
                return 1

            invocation = one()
            gate.wait_for()
            for _ in range(3):
                with pytest.raises(InvocationTimeoutError, match="RUNNING"):
                    invocation.get_result(0.01)
            gate.open()
            eventually(lambda: invocation.status is Status.SUCCESS)
            assert invocation.get_result(0) == 1
