"""Asks several, one by one, within one deadline: who hangs costs the others their turn, and the caller no more than the deadline."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def one_by_one(calls: Sequence[Callable[[], T]], seconds: float, name: str) -> Iterator[T]:
    """Yield what each returns, in order, and end early, without a word, when the deadline has passed; none may raise.

    They run in a thread of their own, called `name`, which is left behind when one of them hangs.
    """
    if not calls:
        return
    answers: queue.SimpleQueue[T] = queue.SimpleQueue()
    stopped = threading.Event()

    def ask() -> None:
        for call in calls:
            if stopped.is_set():
                return
            answers.put(call())

    deadline = time.monotonic() + seconds
    asking = threading.Thread(target=ask, name=name, daemon=True)
    asking.start()
    try:
        for _ in calls:
            yield answers.get(timeout=max(0.0, deadline - time.monotonic()))
        asking.join(max(0.0, deadline - time.monotonic()))  # so that no thread of ours is left when everything went well
    except queue.Empty:
        return
    finally:
        stopped.set()
