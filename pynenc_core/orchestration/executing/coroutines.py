"""Runs the coroutines of tasks, each on the event loop of the thread that executes it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from pynenc_core.errors.runners import TaskCancelled
from pynenc_core.orchestration.current import Job
from pynenc_core.orchestration.executing.driving import Driven

_loops = threading.local()


class _LoopOfThread:
    """Goes when its thread does, and closes the thread's event loop: otherwise its sockets stay until they are collected."""

    def __init__(self, runner: Any) -> None:
        self.runner = runner
        self._pid = os.getpid()

    def close(self) -> None:
        """Close the loop, in its own thread; not in a process that a task forked, which shares what it watches with this one."""
        if os.getpid() != self._pid:
            return
        with suppress(Exception):  # nobody is left who could be told
            self.runner.close()

    def __del__(self) -> None:
        self.close()


def close_loop() -> None:
    """Close this thread's event loop, if it has one: for threads of ours that end; a foreign one's is closed as it is torn down."""
    kept: _LoopOfThread | None = getattr(_loops, "kept", None)
    if kept is not None:
        _loops.kept = None
        kept.close()


def run_coroutine(job: Job, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a job's coroutine to its end, and end whatever it left running.

    Raises TaskCancelled when `job.stop_coroutine` was called. What is given to `job.throw` is raised where the coroutine awaits.
    """
    import asyncio  # imported late: a process without async tasks never needs it

    kept: _LoopOfThread | None = getattr(_loops, "kept", None)
    if kept is None:
        kept = _loops.kept = _LoopOfThread(asyncio.Runner())  # one loop a thread: making one costs more than most tasks
    loop = kept.runner.get_loop()
    task: asyncio.Task[Any] | None = None
    stopped = False
    returned: list[Any] = []
    raised: list[BaseException] = []  # not left to the loop: its tasks and frames would refer to each other through the traceback

    driven = Driven(coroutine, lambda: not stopped) if job.allowance is not None else None

    def throw(error: BaseException) -> None:  # called with the job's lock held
        loop.call_soon_threadsafe(raise_in, error)

    def raise_in(error: BaseException) -> None:
        if driven is not None and task is not None:
            driven.raise_in(task, error)

    def stop() -> None:  # called with the job's lock held
        nonlocal stopped
        stopped = True
        if task is not None:
            loop.call_soon_threadsafe(task.cancel)

    async def stoppable() -> None:
        nonlocal task
        with job.lock:
            task = asyncio.current_task()
            if stopped and task is not None:
                task.cancel()
        try:
            returned.append(await (driven or coroutine))
        except BaseException as error:  # noqa: BLE001 - raised below
            raised.append(error)
        finally:
            with job.lock:
                task = None
            await _end_others(loop)

    with job.lock:
        job.stop_coroutine, job.throw = stop, throw  # for good: an exception set in this thread would hit the loop itself
    kept.runner.run(stoppable(), context=copy_context())
    if not raised:
        return returned[0]
    error = raised.pop()
    try:
        if stopped and isinstance(error, asyncio.CancelledError):
            raise TaskCancelled(job.invocation_id) from None
        raise error
    finally:
        del error


async def _end_others(loop: Any) -> None:
    """Cancel what a task started and did not wait for: the next one on this loop must not meet it."""
    import asyncio  # imported late, as above

    others = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for other in others:
        other.cancel()
    if others:
        await asyncio.gather(*others, return_exceptions=True)


def run_apart(make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine on a loop of its own: in this thread, or beside it while a loop runs here already."""
    import asyncio  # imported late, as above

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run_on_new_loop(make)
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(_run_on_new_loop(make))
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread that asked
            failure.append(error)

    thread = threading.Thread(target=copy_context().run, args=(run,), name="pynenc-inline")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _run_on_new_loop(make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    import asyncio  # imported late, as above

    with asyncio.Runner() as runner:
        return runner.run(make(), context=copy_context())
