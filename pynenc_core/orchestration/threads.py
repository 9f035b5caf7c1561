"""The threads on which invocations run: made when needed, kept for the next one, never more idle than there are slots."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class WorkThreads(Generic[T]):
    """Runs `work(item)` on a thread of its own for each item handed in."""

    def __init__(self, work: Callable[[T], None], keep: int, farewell: Callable[[], None]) -> None:
        """`keep` is how many idle threads to keep; `farewell` is called in each thread that ends."""
        self._farewell = farewell
        self._work = work
        self._keep = keep
        self._lock = threading.Lock()
        self._idle = 0
        self._closed = False
        self._inbox: SimpleQueue[tuple[T] | None] = SimpleQueue()

    def hand(self, item: T) -> None:
        """Run `work(item)` on an idle thread, or on a new one."""
        with self._lock:
            use_idle = self._idle > 0
            if use_idle:
                self._idle -= 1
        if use_idle:
            self._inbox.put((item,))
        else:
            # A daemon: user code that never ends must not keep a process alive that was told to stop.
            threading.Thread(target=self._loop, args=(item,), name="pynenc-slot", daemon=True).start()

    def close(self) -> None:
        """Let idle threads end, and the others when they are done."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, 0
        for _ in range(idle):
            self._inbox.put(None)

    def _loop(self, item: T) -> None:
        try:
            self._work_on(item)
        finally:
            self._farewell()

    def _work_on(self, item: T) -> None:
        while True:
            self._work(item)
            with self._lock:
                if self._closed or self._idle >= self._keep:
                    return
                self._idle += 1
            following = self._inbox.get()
            if following is None:
                return
            item = following[0]
