"""`dev_mode_force_sync_tasks`: tasks run at the call, through the serializer all the same."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from pynenc_core import Pynenc
from pynenc_core.errors.invocations import RetryError
from pynenc_core.errors.serialization import ArgumentBindingError, ArgumentEncodingError, ResultEncodingError
from unit.app.running import app_of_its_own


@pytest.fixture
def app() -> Pynenc:
    return app_of_its_own(dev_mode_force_sync_tasks=True)


class Opaque:
    """Nothing that JSON can carry."""


def test_it_runs_at_the_call_and_not_when_the_result_is_read(app: Pynenc) -> None:
    ran: list[int] = []

    @app.task
    def note(n: int) -> int:
        ran.append(n)
        return n

    invocation = note(3)
    assert ran == [3]
    assert (invocation.status, invocation.is_final, invocation.result, invocation.get_result(1)) == ("SUCCESS", True, 3, 3)
    assert ran == [3]
    assert invocation.cancel() == "already final"


def test_arguments_are_copies_as_in_a_worker(app: Pynenc) -> None:
    @app.task
    def extend(numbers: list[int]) -> list[int]:
        numbers.append(4)
        return numbers

    given = [1, 2]
    assert extend(given).result == [1, 2, 4]
    assert given == [1, 2]


def test_what_cannot_be_encoded_fails_here_too(app: Pynenc) -> None:
    @app.task
    def take(anything: Any) -> None:
        del anything

    @app.task
    def give() -> Any:
        return Opaque()

    with pytest.raises(ArgumentEncodingError, match="anything"):
        take(Opaque())
    invocation = give()
    assert invocation.status == "FAILED"
    with pytest.raises(ResultEncodingError):
        _ = invocation.result
    with pytest.raises(ArgumentBindingError):
        take()  # type: ignore[call-arg] # the point of the test


def test_what_it_raises_is_raised_at_the_result(app: Pynenc) -> None:
    @app.task
    def fail() -> None:
        raise LookupError("nothing there")

    invocation = fail()
    with pytest.raises(LookupError, match="nothing there"):
        _ = invocation.result


def test_it_is_tried_again_as_often_as_allowed(app: Pynenc) -> None:
    runs: list[int] = []

    @app.task(max_retries=2)
    def unsteady() -> int:
        runs.append(1)
        if len(runs) < 3:
            raise RetryError(delay=3600)
        return len(runs)

    assert unsteady().result == 3


def test_a_coroutine_function_runs_outside_and_inside_of_a_loop(app: Pynenc) -> None:
    @app.task
    async def one() -> int:
        await asyncio.sleep(0)
        return 1

    @app.task
    async def two() -> int:
        return 1 + await one().async_result()

    assert two().result == 2

    async def elsewhere() -> int:
        return await two().async_result()

    assert asyncio.run(elsewhere()) == 2


def test_a_group(app: Pynenc) -> None:
    @app.task
    def square(n: int) -> int:
        return n * n

    group = square.parallelize([(1,), {"n": 2}, (3,)])
    assert list(group.results) == [1, 4, 9]
    assert group.ordered_results() == [1, 4, 9]

    async def collect() -> list[int]:
        return [value async for value in group.async_results()]

    assert asyncio.run(collect()) == [1, 4, 9]
    done, left = app.wait(group)
    assert (len(done), left) == (3, [])
    done, left = app.wait(group, return_when="first", timeout=1)
    assert len(done) + len(left) == 3


def test_nothing_is_stored(app: Pynenc) -> None:
    @app.task
    def one() -> int:
        return 1

    _ = one().result
    assert app.orchestrator.count_invocations() == 0


def test_the_task_knows_where_it_runs(app: Pynenc, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    @app.task
    def one() -> int:
        one.logger.info("here")
        return 1

    _ = one().result
    (line,) = [record for record in caplog.records if record.getMessage() == "here"]
    assert line.__dict__["task_id"] == one.task_id


@pytest.mark.parametrize("leaving", [SystemExit, GeneratorExit])
def test_leaving_is_an_outcome(app: Pynenc, leaving: type[BaseException]) -> None:
    @app.task
    def leave() -> None:
        raise leaving

    assert leave().status == "FAILED"


def test_a_keyboard_interrupt_is_meant_for_this_very_process(app: Pynenc) -> None:
    @app.task
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_direct_tasks(app: Pynenc) -> None:
    @app.direct_task
    def double(n: int) -> int:
        return 2 * n

    @app.direct_task
    async def triple(n: int) -> int:
        return 3 * n

    assert double(2) == 4
    assert asyncio.run(triple(2)) == 6
