"""How the coroutines of one invocation wait for others: however many they are, one thread waits for all of them.

The invocation pauses once, for everything that any of them waits for, and takes a slot again before the last of them goes
on. A wait that is cancelled ends as any other: not before the invocation has its slot, unless others of it still wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

import attrs

from pynenc_core.errors.invocations import ConcurrencyDeadlockError
from pynenc_core.errors.runners import TaskCancelled
from pynenc_core.orchestration.current import Job
from pynenc_core.orchestration.executing.pausing import Pausing
from pynenc_core.orchestration.waiting import Interest
from pynenc_core.ports.clock import Clock

_TOGETHER = 0.002  # seconds for which to gather results where several coroutines wait: the invocation stays paused anyway
_ARRIVAL = 1.0  # seconds within which a coroutine that was told to stop is cancelled: in fact at once


@attrs.define(eq=False)
class _Wait:
    wanted: frozenset[str]
    deadline: float
    linger: float
    loop: Any
    future: Any
    """Done when the coroutine may go on; always at some time, also after it was cancelled."""
    given_up: bool = False
    arrived: frozenset[str] = frozenset()
    """What became final; nothing at the deadline."""
    failure: BaseException | None = None


class CoroutineWaits:
    """The waits of the coroutines of one job."""

    def __init__(self, job: Job, pausing: Pausing, clock: Clock, hand: Callable[[Callable[[], object]], None]) -> None:
        """`hand` calls a function in a thread that may block."""
        self._job = job
        self._pausing = pausing
        self._clock = clock
        self._hand = hand
        self._lock = threading.Lock()
        self._open: list[_Wait] = []
        self._served = False
        """A thread waits for those that are open, or is on its way."""
        self._changed = False
        self._interest: Interest | None = None

    async def wait(self, invocation_ids: Collection[str], timeout: float | None, linger: float) -> frozenset[str]:  # noqa: ASYNC109 - as everywhere
        """Wait as `Pausing.wait` does, without blocking the event loop."""
        import asyncio  # imported late: a process without coroutines never needs it

        if self._job.invocation_id in invocation_ids:
            raise ConcurrencyDeadlockError(self._job.invocation_id, (self._job.invocation_id,))
        loop = asyncio.get_running_loop()
        deadline = float("inf") if timeout is None else self._clock.monotonic() + timeout
        wait = _Wait(frozenset(invocation_ids), deadline, linger, loop, loop.create_future())
        self._add(wait)
        cancelled: asyncio.CancelledError | None = None
        while not wait.future.done():
            try:
                await asyncio.wait([wait.future])
            except asyncio.CancelledError as error:
                cancelled, wait.given_up = error, True
                self._tell()
        failure, wait.failure = cancelled or wait.failure, None
        if isinstance(failure, TaskCancelled) and not self._job.tell_once():
            await asyncio.sleep(_ARRIVAL)  # it is told by a cancellation, which is on its way
        try:
            if failure is not None:
                raise failure
        finally:
            del failure, cancelled  # a traceback refers to this frame
        return wait.arrived

    def _add(self, wait: _Wait) -> None:
        with self._lock:
            self._open.append(wait)
            first, self._served = not self._served, True
        if first:
            wait.loop.call_soon(self._fetch)  # not before all that begin to wait just now are here
        else:
            self._tell()

    def _fetch(self) -> None:
        try:
            self._hand(self._serve)
        except RuntimeError as error:  # the process can start no thread
            with self._lock:
                waits, self._open, self._served = self._open, [], False
            self._answer(waits, error)

    def _tell(self) -> None:
        """Let the thread that waits look at what is open now."""
        with self._lock:
            told, self._changed = self._changed, True
            waits = self._interest is not None
        if waits and not told:
            self._hand(self._interrupt)  # not here: what it waits with may be the store's

    # In a thread.

    def _interrupt(self) -> None:
        with self._lock:
            if self._changed and self._interest is not None:
                self._interest.interrupt()

    def _serve(self) -> None:
        while True:
            last, failure = self._wait_for_all()
            with self._lock:
                if failure is not None:
                    last, self._open = [*last, *self._open], []
                self._served = bool(self._open)
                done = not self._served
            self._answer(last, failure)
            if done:
                return

    def _wait_for_all(self) -> tuple[list[_Wait], BaseException | None]:
        """Answer waits until none is open; return the last ones, to be answered when the invocation has a slot again."""
        pausing, job = self._pausing, self._job
        paused, failure = False, None
        last: list[_Wait] = []
        try:
            while open_now := self._open_now():
                wanted = frozenset[str]().union(*(wait.wanted for wait in open_now))
                interest = pausing.open(job, wanted)
                try:
                    arrived = interest.wait(wanted, 0)
                    if not arrived and not self._any_is_over(open_now):
                        paused = pausing.begin(job, wanted) if not paused else pausing.go_on(job, wanted)
                        arrived = self._wait_once(interest, wanted, open_now)
                finally:
                    self._close(interest)
                last = self._take_answered(arrived)
                if job.abandoned or job.interrupt is not None:
                    break  # told below, as it takes its slot
        except BaseException as error:  # noqa: BLE001 - raised in each coroutine that waits
            failure = error
        if paused:
            try:
                pausing.end(job)
            except BaseException as error:  # noqa: BLE001 - as above
                failure = error
        try:
            return last, failure
        finally:
            del failure  # its traceback refers to this frame

    def _open_now(self) -> list[_Wait]:
        with self._lock:
            self._changed = False
            return list(self._open)

    def _any_is_over(self, waits: Sequence[_Wait]) -> bool:
        now = self._clock.monotonic()
        return any(wait.given_up or wait.deadline <= now for wait in waits)

    def _wait_once(self, interest: Interest, wanted: frozenset[str], waits: Sequence[_Wait]) -> frozenset[str]:
        with self._lock:
            if self._changed:
                return frozenset()
            self._interest = interest
        deadline = min(wait.deadline for wait in waits)
        timeout = None if deadline == float("inf") else max(0.0, deadline - self._clock.monotonic())
        return self._pausing.wait_paused(self._job, interest, wanted, timeout, waits[0].linger if len(waits) == 1 else _TOGETHER)

    def _close(self, interest: Interest) -> None:
        with self._lock:
            self._interest = None
        interest.in_use = False

    def _take_answered(self, arrived: frozenset[str]) -> list[_Wait]:
        """Answer those for which there is something, and return none; if no other is open then, return them instead."""
        now = self._clock.monotonic()
        with self._lock:
            answered: list[_Wait] = []
            still: list[_Wait] = []
            for wait in self._open:
                over = wait.given_up or wait.deadline <= now or not arrived.isdisjoint(wait.wanted)
                (answered if over else still).append(wait)
            self._open = still
        for wait in answered:
            wait.arrived = arrived & wait.wanted
        if not still:
            return answered
        self._answer(answered, None)
        return []

    def _answer(self, waits: Sequence[_Wait], failure: BaseException | None) -> None:
        for loop in {wait.loop for wait in waits}:
            mine = [wait for wait in waits if wait.loop is loop]
            with suppress(RuntimeError):  # it is closed: nobody waits there
                loop.call_soon_threadsafe(_fulfil, mine, failure)


def _fulfil(waits: Sequence[_Wait], failure: BaseException | None) -> None:
    for wait in waits:
        wait.failure = failure
        wait.future.set_result(None)
