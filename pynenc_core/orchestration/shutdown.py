"""Turns SIGTERM and SIGINT into a stop: the handler sets flags only, an ordinary thread does the waking.

A process that a task forks has none of it: a signal that is sent to it does there what it did before.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_STOPPING = (signal.SIGTERM, signal.SIGINT)
_taken: list[tuple[Any, dict[int, Any]]] = []
"""The handlers that are installed now, each with those that it replaced, by signal; the last one on top."""

_masks: dict[int, set[Any]] = {}
"""The signal masks of threads that fork now, by thread."""


def _hold_back() -> None:
    """Let a signal to the new process wait until it has its own handlers: the interpreter forgets what arrives before."""
    if _taken:
        _masks[threading.get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)


def _let_through() -> None:
    mask = _masks.pop(threading.get_ident(), None)
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _leave_to_child() -> None:
    """Give the signals back in a process that was forked: its copy of the handlers would set flags that nobody looks at."""
    while _taken:
        handler, before = _taken.pop()
        for number, replaced in before.items():
            if signal.getsignal(number) == handler:  # else the app has taken it
                # A worker ignores SIGTERM until it handles it: that is between its parent and itself.
                ignored = number == signal.SIGTERM and replaced == signal.SIG_IGN
                signal.signal(number, signal.SIG_DFL if ignored else replaced)
        signal.set_wakeup_fd(-1)
    _let_through()


if hasattr(os, "register_at_fork"):  # at import: it cannot be taken back, and does nothing while there is no handler
    os.register_at_fork(before=_hold_back, after_in_parent=_let_through, after_in_child=_leave_to_child)


def take_back_in_children(handler: Callable[..., None], before: dict[int, Any]) -> None:
    """Let a process that is forked from now on replace `handler` as well, with what was there `before` it, by signal."""
    if before:
        _taken.insert(0, (handler, before))


@contextmanager
def stop_signals(logger: logging.Logger, stop: Callable[[int], None], wake: Callable[[], None]) -> Generator[None, None, None]:
    """Route the stopping signals to `stop`, and call `wake` after each from a thread, until the block ends.

    The pipe is written twice. The interpreter writes a byte at the signal itself: the main thread may be about to block where
    nothing would let it run the handler. The handler writes another when `stop` has set its flags: who is woken by the first
    may look at them too soon, and never again.
    """
    if threading.current_thread() is not threading.main_thread():
        logger.warning("signals are left alone: only the main thread of a process may handle them, and this is another one")
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def handle(signum: int, frame: FrameType | None) -> None:
        del frame
        stop(signum)
        with contextlib.suppress(BlockingIOError):  # full: a wake is on its way already
            os.write(writing, b"!")

    def pump() -> None:
        while os.read(reading, 64):
            wake()

    before: dict[int, Any] = {number: signal.signal(number, handle) for number in _STOPPING}
    _taken.append((handle, before))
    descriptor_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    pumping = threading.Thread(target=pump, name="pynenc-signals", daemon=True)
    pumping.start()
    try:
        yield
    finally:
        _taken.remove((handle, before))
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(descriptor_before)
        os.close(writing)
        pumping.join(1.0)
        with contextlib.suppress(OSError):
            os.close(reading)
