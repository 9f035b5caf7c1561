"""The threads on which invocations run: made when needed, kept for the next one, never more idle than there are slots."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

Work = Callable[[], object]


class WorkThreads:
    """Calls each function handed in on a thread of its own."""

    def __init__(self, keep: int, farewell: Callable[[], None]) -> None:
        """`keep` is how many idle threads to keep; `farewell` is called in each thread that ends."""
        self._farewell = farewell
        self._keep = keep
        self._lock = threading.Lock()
        self._idle = 0
        self._closed = False
        self._inbox: SimpleQueue[Work | None] = SimpleQueue()

    def hand(self, work: Work) -> None:
        """Call `work()`, which raises nothing, on an idle thread or on a new one."""
        with self._lock:
            use_idle = self._idle > 0
            if use_idle:
                self._idle -= 1
        if use_idle:
            self._inbox.put(work)
        else:
            # A daemon: user code that never ends must not keep a process alive that was told to stop.
            threading.Thread(target=self._loop, args=([work],), name="pynenc-slot", daemon=True).start()

    def close(self) -> None:
        """Let idle threads end, and the others when they are done."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, 0
        for _ in range(idle):
            self._inbox.put(None)

    def _loop(self, first: list[Work]) -> None:
        try:
            self._work_on(first)
        finally:
            self._farewell()

    def _work_on(self, first: list[Work]) -> None:
        work: Work | None = first.pop()
        while work is not None:
            work()
            work = None  # nothing of it stays alive while this thread is idle
            with self._lock:
                if self._closed or self._idle >= self._keep:
                    return
                self._idle += 1
            work = self._inbox.get()
