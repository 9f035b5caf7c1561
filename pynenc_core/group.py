"""Many invocations of one task: their results as they finish, or in the order of the calls."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from pynenc_core.errors.invocations import InvocationTimeoutError
from pynenc_core.invocation import Invocation, SyncInvocation, async_wait_for_any, wait_for_any
from pynenc_core.orchestration.current import running_in
from pynenc_core.orchestration.orchestrator import AppOrchestrator
from pynenc_core.orchestration.outcomes import Cancellation

R = TypeVar("R")
LINGER = 0.025  # seconds for which a task that waits for many gathers results before it takes a slot for them
_OUTSIDE = 0.002  # the same outside of a task, where it spares nothing but waking up
_PAGE = 200
_UNTIL_ALL = 3600.0  # who needs all results has nothing to do with some
Member = Invocation[R] | SyncInvocation[R]


class InvocationGroup(Generic[R]):
    """The invocations of one `parallelize`, in the order of the calls."""

    def __init__(self, orchestrator: AppOrchestrator | None, invocations: Sequence[Member[R]]) -> None:
        """`orchestrator` is None for a group that ran inline."""
        self._orchestrator = orchestrator
        self.invocations = tuple(invocations)

    def __len__(self) -> int:
        return len(self.invocations)

    def __iter__(self) -> Iterator[Member[R]]:
        return iter(self.invocations)

    @property
    def results(self) -> Iterator[R]:
        """The results as they finish; see `iter_results`."""
        return self.iter_results()

    def iter_results(self, timeout: float | None = None) -> Iterator[R]:
        """Yield each result when it is there, for up to `timeout` seconds in all.

        A failed member hides no other: its error is raised after all results, several as one ExceptionGroup. Raises
        InvocationTimeoutError for the first, by age, that is not final at the timeout.
        """
        failures: list[Exception] = []
        for member in self.as_completed(timeout):
            try:
                yield member.get_result()
            except Exception as error:  # noqa: BLE001 - whatever the task raised; it is raised below
                failures.append(error)
        _raise_all(failures, len(self))

    def ordered_results(self, timeout: float | None = None) -> list[R]:
        """Return all results in the order of the calls, after waiting for all of them; raises as `iter_results`."""
        results: list[R] = []
        failures: list[Exception] = []
        for _ in self.as_completed(timeout, linger=_UNTIL_ALL):
            pass
        for member in self.invocations:
            try:
                results.append(member.get_result())
            except Exception as error:  # noqa: BLE001 - whatever the task raised; it is raised below
                failures.append(error)
        _raise_all(failures, len(self))
        return results

    def as_completed(self, timeout: float | None = None, *, linger: float = LINGER) -> Iterator[Member[R]]:
        """Yield each member when it is final, whatever became of it; raises InvocationTimeoutError as `iter_results`.

        Inside a task, those that end within `linger` seconds of each other come together.
        """
        if self._orchestrator is None:
            yield from self.invocations
            return
        waiting = self._by_id()
        deadline = None if timeout is None else time.monotonic() + timeout
        inside = running_in(self._orchestrator.engine) is not None
        interest = None if inside else self._orchestrator.outside.open(waiting)
        try:
            while waiting:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                if interest is None:
                    arrived = wait_for_any(self._orchestrator, waiting, left, linger)
                else:
                    arrived = self._orchestrator.outside.news(interest, left, min(linger, _OUTSIDE))
                if not arrived and left is not None and left <= 0:
                    raise _timed_out(waiting, timeout)
                yield from self._final(self._orchestrator, arrived, waiting)
        finally:
            if interest is not None:
                interest.close()

    def _final(self, orchestrator: AppOrchestrator, arrived: Collection[str], waiting: dict[str, list[Member[R]]]) -> Iterator[Member[R]]:
        """Take these out of `waiting` and yield them, their records read many at a time."""
        ids = sorted(arrived)
        for start in range(0, len(ids), _PAGE):
            records = orchestrator.engine.state.get(ids[start : start + _PAGE])
            for invocation_id in ids[start : start + _PAGE]:
                for member in waiting.pop(invocation_id, ()):
                    if isinstance(member, Invocation):
                        member.learn(records.get(invocation_id))
                    yield member

    async def async_results(self, timeout: float | None = None) -> AsyncIterator[R]:  # noqa: ASYNC109 - as its blocking twin takes it
        """Do as `iter_results`, without blocking the event loop."""
        import asyncio  # imported late: most processes never wait in a coroutine

        orchestrator = self._orchestrator
        if orchestrator is None:
            for result in self.iter_results(timeout):
                yield result
            return
        if running_in(orchestrator.engine) is not None:  # only the invocation waits, and no thread for each of them
            async for result in self._async_results(orchestrator, timeout, partial(async_wait_for_any, orchestrator, linger=LINGER)):
                yield result
            return
        interest = await asyncio.to_thread(orchestrator.outside.open, self._by_id())

        async def news(waiting: Collection[str], left: float | None) -> frozenset[str]:
            del waiting
            return await asyncio.to_thread(orchestrator.outside.news, interest, left, _OUTSIDE)

        try:
            async for result in self._async_results(orchestrator, timeout, news):
                yield result
        finally:
            interest.interrupt()  # who is cancelled leaves no thread behind, for whose end the loop would wait

    async def _async_results(
        self,
        orchestrator: AppOrchestrator,
        timeout: float | None,  # noqa: ASYNC109 - as above
        wait: Callable[[Collection[str], float | None], Awaitable[frozenset[str]]],
    ) -> AsyncIterator[R]:
        """Do so, by a way to wait until one of several is final."""
        import asyncio  # imported late, as above

        waiting = self._by_id()
        failures: list[Exception] = []
        deadline = None if timeout is None else time.monotonic() + timeout
        while waiting:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            arrived = await wait(waiting, left)
            if not arrived and left is not None and left <= 0:
                raise _timed_out(waiting, timeout)
            for result, failure in await asyncio.to_thread(self._outcomes, orchestrator, arrived, waiting):
                if failure is None:
                    yield result
                else:
                    failures.append(failure)
        _raise_all(failures, len(self))

    def _outcomes(
        self, orchestrator: AppOrchestrator, arrived: Collection[str], waiting: dict[str, list[Member[R]]]
    ) -> list[tuple[Any, Exception | None]]:
        """Take these out of `waiting`; return the result or the error of each."""
        outcomes: list[tuple[Any, Exception | None]] = []
        for member in self._final(orchestrator, arrived, waiting):
            try:
                outcomes.append((member.get_result(), None))
            except Exception as error:  # noqa: BLE001 - whatever the task raised; it is raised at the end
                outcomes.append((None, error))
        return outcomes

    def _by_id(self) -> dict[str, list[Member[R]]]:
        members: dict[str, list[Member[R]]] = {}
        for member in self.invocations:
            members.setdefault(member.invocation_id, []).append(member)
        return members

    def cancel(self, reason: str = "") -> list[Cancellation]:
        """Cancel each member; return what came of it, in order."""
        return [member.cancel(reason) for member in self.invocations]


def wait_for(
    orchestrator: AppOrchestrator,
    invocations: Sequence[Member[R]],
    *,
    first: bool,
    timeout: float | None,
) -> tuple[list[Member[R]], list[Member[R]]]:
    """Return those that are final and those that are not, when one is (`first`), all are, or `timeout` seconds are over."""
    done: list[Member[R]] = []
    try:
        for member in InvocationGroup(orchestrator, invocations).as_completed(timeout, linger=0.0 if first else _UNTIL_ALL):
            done.append(member)
            if first:
                break
    except InvocationTimeoutError:
        pass  # a bounded wait that says what is done is no error
    finished = {member.invocation_id for member in done}
    return done, [member for member in invocations if member.invocation_id not in finished]


def _timed_out(waiting: dict[str, list[Member[R]]], timeout: float | None) -> InvocationTimeoutError:
    oldest = min(waiting)
    return InvocationTimeoutError(oldest, str(waiting[oldest][0].status), timeout or 0.0)


def _raise_all(failures: Sequence[Exception], members: int) -> None:
    if len(failures) == 1:
        raise failures[0]
    if failures:
        text = f"{len(failures)} of {members} invocations have no result"
        raise ExceptionGroup(text, failures)
