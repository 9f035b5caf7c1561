"""Tells running code that its invocation is cancelled, or that its time is up: as an exception in its thread, or in its coroutine."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from pynenc_core.errors.base import PynencError
from pynenc_core.errors.invocations import SoftTimeoutError
from pynenc_core.errors.runners import TaskCancelled
from pynenc_core.orchestration.current import Job

_OURS = "pynenc_core"
_CALLER = "pynenc_core.orchestration.executing.execution"
_DELICATE = frozenset({"importlib", "logging"})  # they would leave locks behind that the whole process needs
_ARRIVAL = 1.0  # seconds within which a thread meets an exception that was set in it: in fact at its next step
_LOOK, _LOOK_MOST = 0.002, 0.05  # seconds between looks whether the code has left a call to us


class UserCode:
    """While a job's own code runs in this thread, so that a request may reach it as an exception, and only then.

    It is also what its time limits count. Raises HardTimeoutError at the end of code that ran longer than it may.
    """

    def __init__(self, job: Job) -> None:
        self._job = job

    def __enter__(self) -> None:
        with self._job.lock:
            if self._job.cancel_requested or self._job.abandoned:  # perhaps while it stood behind another one on its slot
                raise TaskCancelled(self._job.invocation_id)
            self._job.thread = threading.get_ident()
            self._job.in_user_code = True
        if self._job.allowance is not None:
            self._job.allowance.begin()

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        with self._job.lock:
            self._job.in_user_code = False
            on_its_way = self._job.pending is not None
        if on_its_way:
            _meet_exception()
        if self._job.allowance is not None:
            self._job.allowance.end()


def interrupt(job: Job, error: PynencError, wanted: Callable[[], bool]) -> bool:
    """Raise `error` in the thread that runs a job's own code, at its next step in Python code, or where its coroutine awaits.

    TaskCancelled cancels a coroutine. Returns whether it is on its way: not when the code has ended, or when it is not
    `wanted` any more, asked with the job's lock held. While the code is inside a call to us, which may hold a lock,
    nothing is raised there: what waits for others is told by its wait.
    """
    set_exception = _setter()  # made here, not with the job's lock held
    ends = isinstance(error, TaskCancelled)
    kind = _told_as(job, error)
    pause = threading.Event()
    look = _LOOK
    while True:
        with job.lock:
            if not (job.in_user_code and wanted()) or (ends and (job.told or job.exception_set)):
                return False
            if job.stop_coroutine is not None:
                return _tell_coroutine(job, error)
            if _in_its_own_code(sys._current_frames().get(job.thread)):  # noqa: SLF001 - the one way to see another thread's frames
                job.exception_set |= ends
                job.pending = kind
                set_exception(job.thread, kind)  # in place of one that it has not met yet
                return True
        pause.wait(look)
        look = min(look * 2, _LOOK_MOST)


def _tell_coroutine(job: Job, error: PynencError) -> bool:
    if isinstance(error, TaskCancelled):
        if job.stop_coroutine is not None:
            job.exception_set = True
            job.stop_coroutine()
    elif job.throw is not None:
        job.throw(error)
    return True


def _meet_exception() -> None:
    """Let the exception that was set in this thread be raised here: it is not meant for our own code.

    Taking it back (setting None) would leave CPython 3.11 with a pending flag that nothing clears: every loop slower from
    then on, and the first profiled call would never return.
    """
    try:
        ends = time.monotonic() + _ARRIVAL
        while time.monotonic() < ends:
            pass
    except (TaskCancelled, SoftTimeoutError):
        return


def _in_its_own_code(frame: FrameType | None) -> bool:
    """Return whether nothing that must not be interrupted is between the task's function and what is being run."""
    between = False
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        package = name.partition(".")[0]
        if package == _OURS:
            return between and name == _CALLER
        # A thread that is being started still goes by the number of its parent: the exception would end it, and its parent wait for ever.
        if package in _DELICATE or (name == "threading" and frame.f_code.co_name == "start"):
            return False
        between = True
        frame = frame.f_back
    return False


def _setter() -> Callable[[int, type[BaseException]], None]:
    import ctypes  # imported late: only a cancellation needs it

    def set_exception(thread: int, error: type[BaseException]) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))

    return set_exception


def _told_as(job: Job, error: PynencError) -> type[PynencError]:
    """Return a class that makes such an error, and notes that the job has met it: what is set in a thread is made there."""
    kind = type(error)

    def init(self: PynencError) -> None:
        if job.pending is made:
            job.pending = None
        PynencError.__init__(self, **error.fields())

    made = type(kind.__name__, (kind,), {"__init__": init, "__module__": kind.__module__, "__qualname__": kind.__qualname__})
    return made
