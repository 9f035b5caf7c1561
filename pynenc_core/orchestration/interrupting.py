"""Tells running code that its invocation is cancelled: as an exception in its thread, or by cancelling its coroutine."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType

from pynenc_core.errors.runners import TaskCancelled
from pynenc_core.orchestration.current import Job

_OURS = "pynenc_core"
_CALLER = "pynenc_core.orchestration.execution"
_LOOK, _LOOK_MOST = 0.002, 0.05  # seconds between looks whether the code has left a call to us


class UserCode:
    """While a job's own code runs in this thread, so that a request may reach it as an exception, and only then."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __enter__(self) -> None:
        with self._job.lock:
            if self._job.cancel_requested or self._job.abandoned:  # perhaps while it stood behind another one on its slot
                raise TaskCancelled(self._job.invocation_id)
            self._job.thread = threading.get_ident()
            self._job.in_user_code = True

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        with self._job.lock:
            self._job.in_user_code = False
            if self._job.exception_set:  # take it back if it was not raised yet: it is not meant for our own code
                _set_exception(self._job.thread, None)


def interrupt(job: Job) -> None:
    """Raise TaskCancelled in the thread that runs a job's own code, at its next step in Python code; cancel a coroutine.

    Returns when that is done or the code has ended. While the code is inside a call to us, which may hold a lock, nothing
    is raised there: what waits for others is told by its wait.
    """
    import ctypes  # noqa: F401 - imported late, since only a cancellation needs it; and here, not with the job's lock held

    error = type("TaskCancelled", (TaskCancelled,), {"__init__": _bound_init(job.invocation_id)})
    pause = threading.Event()
    look = _LOOK
    while True:
        with job.lock:
            if not (job.cancel_requested and job.in_user_code):
                return
            if job.stop_coroutine is not None:
                job.stop_coroutine()
                return
            if _in_its_own_code(sys._current_frames().get(job.thread)):  # noqa: SLF001 - the one way to see another thread's frames
                job.exception_set = True
                _set_exception(job.thread, error)
                return
        pause.wait(look)
        look = min(look * 2, _LOOK_MOST)


def _in_its_own_code(frame: FrameType | None) -> bool:
    """Return whether no code of ours is between the task's function and what is being run."""
    between = False
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] == _OURS:
            return between and name == _CALLER
        between = True
        frame = frame.f_back
    return False


def _set_exception(thread: int, error: type[BaseException] | None) -> None:
    import ctypes  # imported late, as above

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None if error is None else ctypes.py_object(error))


def _bound_init(invocation_id: str) -> Callable[[TaskCancelled], None]:
    def init(self: TaskCancelled) -> None:
        TaskCancelled.__init__(self, invocation_id)

    return init
