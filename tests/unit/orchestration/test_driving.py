"""Exceptions raised in a coroutine where it awaits: what stands there, and what it has started, ends as after a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pynenc_core.errors.invocations import SoftTimeoutError
from pynenc_core.orchestration.executing.driving import Driven

ERROR = SoftTimeoutError("i1", "shop.bill", 1.0)
Body = Callable[[list[str]], Coroutine[Any, Any, Any]]


async def for_ever(notes: list[str], name: str) -> None:
    """Wait, and note how that ends."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        notes.append(f"{name} cancelled")
        raise


def drive(body: Body, *, wanted: bool = True, times: int = 1) -> tuple[object, list[str], int]:
    """Run a body, raise ERROR in it once it waits; return what came of it, its notes, and how often its task still counts as cancelled."""
    notes: list[str] = []

    async def main() -> tuple[object, int]:
        task = asyncio.current_task()
        assert task is not None
        driven = Driven(body(notes), lambda: wanted)
        for _ in range(times):
            asyncio.get_running_loop().call_later(0.02, driven.raise_in, task, ERROR)
        try:
            outcome: object = await driven
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            outcome = error
        return outcome, task.cancelling()

    outcome, cancelling = asyncio.run(main())
    return outcome, notes, cancelling


async def catches(notes: list[str]) -> str:
    try:
        await for_ever(notes, "wait")
    except SoftTimeoutError as error:
        await asyncio.sleep(0)
        return f"caught after {error.limit:g} s"
    return "not told"


async def in_timeout(notes: list[str]) -> str:
    try:
        async with asyncio.timeout(60):
            await for_ever(notes, "wait")
    except SoftTimeoutError:
        async with asyncio.timeout(60):  # the task is not cancelled any more
            await asyncio.sleep(0.01)
        return "caught"
    return "not told"


async def in_wait_for(notes: list[str]) -> str:
    try:
        await asyncio.wait_for(for_ever(notes, "inner"), 60)
    except SoftTimeoutError:
        return "caught"
    return "not told"


async def in_task_group(notes: list[str]) -> str:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(for_ever(notes, "one"))
            group.create_task(for_ever(notes, "two"))
    except SoftTimeoutError:
        notes.append("caught")
        return "caught"
    return "not told"


async def in_the_body_of_a_task_group(notes: list[str]) -> str:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(for_ever(notes, "one"))
            await asyncio.Event().wait()
    except (SoftTimeoutError, ExceptionGroup):  # CPython 3.11 and 3.12 group whatever is raised there
        return "caught"
    return "not told"


async def in_gather(notes: list[str]) -> str:
    try:
        await asyncio.gather(for_ever(notes, "one"), for_ever(notes, "two"))
    except SoftTimeoutError:
        return "caught"
    return "not told"


async def in_a_task_of_its_own(notes: list[str]) -> str:
    try:
        await asyncio.create_task(for_ever(notes, "one"))
    except SoftTimeoutError:
        return "caught"
    return "not told"


@pytest.mark.parametrize(
    ("body", "outcome", "notes"),
    [
        (catches, "caught after 1 s", ["wait cancelled"]),
        (in_timeout, "caught", ["wait cancelled"]),
        (in_wait_for, "caught", ["inner cancelled"]),
        (in_task_group, "caught", ["one cancelled", "two cancelled", "caught"]),
        (in_the_body_of_a_task_group, "caught", ["one cancelled"]),
        (in_gather, "caught", ["one cancelled", "two cancelled"]),
        (in_a_task_of_its_own, "caught", ["one cancelled"]),
    ],
)
def test_it_is_caught_outside_of_whatever_is_awaited_which_has_ended_then(body: Body, outcome: str, notes: list[str]) -> None:
    told, noted, left = drive(body)
    assert (told, sorted(noted), left) == (outcome, sorted(notes), 0), "in which order a group cancels its tasks is its own affair"


def test_it_is_caught_once_however_often_it_was_raised_before_that() -> None:
    assert drive(catches, times=3) == ("caught after 1 s", ["wait cancelled"], 0)


def test_it_passes_through_finally_and_out_of_the_coroutine() -> None:
    async def disorderly(notes: list[str]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            notes.append("undone")

    outcome, notes, cancelling = drive(disorderly)
    assert isinstance(outcome, SoftTimeoutError)
    assert isinstance(outcome, TimeoutError)
    assert (str(outcome), notes, cancelling) == (str(ERROR), ["undone"], 0)


def test_where_a_cancellation_was_wanted_by_then_it_is_one() -> None:
    outcome, notes, _ = drive(catches, wanted=False)
    assert type(outcome) is asyncio.CancelledError
    assert notes == ["wait cancelled"]


def test_a_coroutine_that_has_ended_is_left_alone() -> None:
    async def quick(notes: list[str]) -> str:
        await asyncio.sleep(0)
        return str(notes)

    async def main() -> str:
        task = asyncio.current_task()
        assert task is not None
        driven = Driven(quick([]), lambda: True)
        result: str = await driven
        driven.raise_in(task, ERROR)
        await asyncio.sleep(0)
        return result

    assert asyncio.run(main()) == "[]"
