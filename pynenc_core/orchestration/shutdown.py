"""Turns SIGTERM and SIGINT into a stop: the handler sets flags only, an ordinary thread does the waking."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

_STOPPING = (signal.SIGTERM, signal.SIGINT)


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

    before = {number: signal.signal(number, handle) for number in _STOPPING}
    descriptor_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    pumping = threading.Thread(target=pump, name="pynenc-signals", daemon=True)
    pumping.start()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(descriptor_before)
        os.close(writing)
        pumping.join(1.0)
        with contextlib.suppress(OSError):
            os.close(reading)
