"""One event loop for the coroutines of many invocations, in a thread of its own that nothing of ours ever blocks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from functools import partial
from typing import Any

import attrs

from pynenc_core.errors.runners import TaskCancelled
from pynenc_core.orchestration.current import Job, running_job
from pynenc_core.orchestration.executing.driving import Driven
from pynenc_core.orchestration.executing.threads import WorkThreads

_BLOCKED = 1.0  # seconds without an answer of the loop after which somebody is told who holds it up
_LOOK = 0.5  # seconds between looks whether it answers, while anything runs on it
_STUBBORN = 5.0  # seconds after which somebody is told of what a coroutine has left running and does not end
_LATE = 1.0  # seconds for what a job starts after its end: an asynchronous generator that is closed, at best
_FAREWELL = 1.0  # seconds for coroutines that are cancelled since the loop ends
_IDLE_THREADS = 8


@attrs.define(eq=False)
class Run:
    """The coroutine of one job on the loop; from `returned` on it is touched by the loop's thread only, while it runs."""

    job: Job
    context: Context
    make: Callable[[], Coroutine[Any, Any, Any]]
    """Makes the coroutine; what it returns is kept, and it should raise nothing."""
    name: str
    """What a warning calls it."""
    kept: Any = None
    """Whatever is needed when it has ended."""
    began: float = attrs.field(factory=time.monotonic)
    returned: Any = None
    error: BaseException | None = None
    task: asyncio.Task[None] | None = None
    tasks: set[asyncio.Task[Any]] = attrs.field(factory=set[asyncio.Task[Any]])
    """Everything that runs for the job: its own task, and those that it started."""
    driven: Driven | None = None
    """What raises exceptions in it, if it has time limits."""
    stopped_at: float = 0.0
    left: bool = False
    """Its own code has ended; what it left running may still be on its way out."""

    def describe(self) -> str:
        """Return what to call it in a warning."""
        return f"invocation {self.job.invocation_id} of {self.name}"


class SharedLoop:
    """Runs coroutines of jobs beside each other; each in the job's context, and what it leaves running ends with it."""

    def __init__(self, logger: logging.Logger, ended: Callable[[Run], None], most_threads: int) -> None:
        """`ended` is called on the loop for each run and must not block; `most_threads` bounds `asyncio.to_thread`."""
        self._logger = logger
        self._ended = ended
        self._loop: Any = asyncio.new_event_loop()
        self._loop.set_task_factory(self._make_task)
        self._loop.set_default_executor(_Pool(most_threads))
        self._runs: dict[Job, Run] = {}
        self._inbox: deque[Run] = deque()
        self._busy = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._turn, name="pynenc-loop", daemon=True)

    def start(self) -> None:
        """Begin to turn."""
        self._thread.start()
        threading.Thread(target=self._watch, name="pynenc-loop-watch", daemon=True).start()

    @property
    def is_current(self) -> bool:
        """Whether the calling thread is the loop's: whoever blocks it blocks all."""
        return threading.get_ident() == self._thread.ident

    def begin(self, runs: Sequence[Run]) -> None:
        """Run these; call it from any thread."""
        if runs:
            self._inbox.extend(runs)
            self._soon(self._take_inbox)

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Call something on the loop in a while; call it from any thread."""
        self._soon(self._loop.call_later, seconds, act)

    def stop(self) -> None:
        """Cancel what still runs, give it a moment, and end; a loop that does not answer stays behind, in its daemon thread."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._busy.set()
        if not self._thread.is_alive():
            self._loop.close()
            return
        self._soon(self._cancel_all)
        self._thread.join(_FAREWELL + _BLOCKED)
        if self._thread.is_alive():
            self._logger.warning("the event loop does not answer, and is left behind: %s", self._who_blocks())

    # On the loop.

    def _turn(self) -> None:
        while True:
            try:
                self._loop.run_forever()
                break
            except (KeyboardInterrupt, SystemExit) as error:  # raised in a task: it has it as well, and who awaits it
                self._logger.warning("a task on the event loop raised %r; the loop goes on", error)
        with contextlib.suppress(Exception):  # nobody is left who could be told
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
        self._busy.set()  # whoever watches sees that it is over

    def _take_inbox(self) -> None:
        while self._inbox:
            run = self._inbox.popleft()
            self._runs[run.job] = run
            with run.job.lock:
                run.job.stop_coroutine, run.job.throw = partial(self._soon, self._stop, run), partial(self._soon, self._throw, run)
            run.task = task = self._loop.create_task(self._main(run), context=run.context)
            task.add_done_callback(partial(self._done, run))
            self._busy.set()

    async def _main(self, run: Run) -> None:
        try:
            coroutine = run.make()
            if run.job.allowance is not None:
                run.driven = Driven(coroutine, lambda: not run.stopped_at)
            run.returned = await (run.driven or coroutine)
        finally:
            run.left = True
            await self._end_others(run)

    def _done(self, run: Run, task: asyncio.Task[None]) -> None:
        del self._runs[run.job]
        if not self._runs:
            self._busy.clear()
        run.error = asyncio.CancelledError() if task.cancelled() else task.exception()
        run.task = None
        run.driven = None
        run.job.stop_coroutine = run.job.throw = None  # else they would keep each other alive
        self._ended(run)

    async def _end_others(self, run: Run) -> None:
        """Cancel what a job started and did not wait for, and wait until it has ended."""
        others = run.tasks - {run.task}
        for other in others:
            other.cancel()
        while others:
            ended, others = await asyncio.wait(others, timeout=_STUBBORN)
            for other in ended:
                _ = other.cancelled() or other.exception()  # nobody's any more
            if others:
                self._logger.warning("%s has ended, and a task that it started does not end when it is cancelled", run.describe())

    def _make_task(self, loop: Any, coro: Any, **options: Any) -> asyncio.Task[Any]:
        context: Context | None = options.get("context")
        job = context.get(running_job) if context is not None else running_job.get()
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
        run = self._runs.get(job) if job is not None else None
        if run is not None:
            run.tasks.add(task)
            task.add_done_callback(run.tasks.discard)
        elif job is not None:
            loop.call_later(_LATE, task.cancel)
        return task

    def _soon(self, act: Callable[..., object], *arguments: object) -> None:
        """Call something on the loop, from any thread."""
        with contextlib.suppress(RuntimeError):  # closed: the runner ends, and has handed back what was here
            self._loop.call_soon_threadsafe(act, *arguments)

    def _throw(self, run: Run, error: BaseException) -> None:
        if run.driven is not None and run.task is not None and not run.left:
            run.driven.raise_in(run.task, error)

    def _stop(self, run: Run) -> None:
        if run.task is not None and not run.left:
            run.stopped_at = run.stopped_at or time.monotonic()
            run.task.cancel()

    def _cancel_all(self) -> None:
        for run in list(self._runs.values()):
            self._stop(run)
        self._wind_up(time.monotonic() + _FAREWELL)

    def _wind_up(self, deadline: float) -> None:
        if self._runs and time.monotonic() < deadline:
            self._loop.call_later(0.01, self._wind_up, deadline)
        else:
            for run in self._runs.values():
                self._logger.warning("%s does not end when it is cancelled; it is left behind", run.describe())
            self._loop.stop()

    # Beside the loop.

    def _watch(self) -> None:
        while True:
            self._busy.wait()
            if self._closing.is_set():
                return
            self._look()
            self._closing.wait(_LOOK)

    def _look(self) -> None:
        """See whether the loop answers."""
        answered, asked = threading.Event(), time.monotonic()
        self._soon(answered.set)
        if not answered.wait(_BLOCKED) and not self._closing.is_set():
            self._logger.warning(
                "the event loop has not answered for %.1f s, which holds up all its coroutines: %s; "
                "hand blocking calls to asyncio.to_thread, or make the task a plain function",
                time.monotonic() - asked,
                self._who_blocks(),
            )
            while not answered.wait(_LOOK) and not self._closing.is_set():
                pass
            self._logger.info("the event loop answers again, after %.1f s", time.monotonic() - asked)

    def _who_blocks(self) -> str:
        running = asyncio.current_task(self._loop)
        runs = [run.describe() for run in list(self._runs.values()) if running in run.tasks]
        frame = sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001 - the one way to see another thread's frames
        where = f" in {frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""
        return f"{runs[0] if runs else 'no invocation of ours'}{where}"


def stopped(run: Run, error: BaseException | None) -> BaseException | None:
    """Return what the code of a run raised, as it is told: TaskCancelled where we have cancelled it."""
    return TaskCancelled(run.job.invocation_id) if run.stopped_at and isinstance(error, asyncio.CancelledError) else error


class _Pool(ThreadPoolExecutor):
    """What `asyncio.to_thread` uses on the loop: threads that end with the process, whatever they do, and go when they are idle.

    There have to be many: each invocation may have a thread that waits for another one.
    """

    def __init__(self, most: int) -> None:
        super().__init__(max_workers=most)
        self._most = most
        self._hands = WorkThreads(keep=_IDLE_THREADS, farewell=lambda: None)
        self._guard = threading.Lock()
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._active = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function in a thread, as soon as there is one."""
        future: Future[Any] = Future()
        with self._guard:
            self._calls.append((future, partial(fn, *args, **kwargs)))
            more = self._active < self._most
            self._active += more
        if more:
            self._hands.hand(self._serve)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the threads go; what they run is not waited for."""
        del wait, cancel_futures
        self._hands.close()

    def _serve(self) -> None:
        while True:
            with self._guard:
                if not self._calls:
                    self._active -= 1
                    return
                future, call = self._calls.popleft()
            _fulfil(future, call)


def _fulfil(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - it is the caller's
        future.set_exception(error)
    else:
        future.set_result(result)
