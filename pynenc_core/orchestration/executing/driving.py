"""Raises exceptions in a coroutine where it awaits, as if what it awaits had raised them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any


class Driven:
    """Awaits a coroutine in an asyncio task; `raise_in` makes the coroutine meet an exception at its next step.

    asyncio has one way to reach a task that waits, its cancellation, which also ends what the task waits for. So the task is
    cancelled, and the cancellation is exchanged for the exception on its way to the coroutine.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], wanted: Callable[[], bool]) -> None:
        """`wanted` is asked whether an exception is still to be raised when its moment has come."""
        self._coroutine = coroutine
        self._wanted = wanted
        self._ended = False
        self._task: Any = None
        self._error: BaseException | None = None

    def raise_in(self, task: Any, error: BaseException) -> None:
        """Raise an exception in the coroutine, which this asyncio task awaits; call it in the thread of its loop.

        What the coroutine meets is an asyncio.CancelledError as well as an exception of its own class: only that way do
        TaskGroup, wait_for and whatever else cleans up after a cancellation end what they have started.
        """
        if not self._ended and self._error is None:
            self._error, self._task = _also_cancelled(error), task
            task.cancel()

    def __await__(self) -> Driven:
        return self

    def __iter__(self) -> Driven:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """Let the coroutine run to its next `await`."""
        try:
            return self._coroutine.send(value)
        except BaseException:
            self._ended = True
            raise

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        """Raise in the coroutine what its task was given to raise, or what takes the place of it."""
        del traceback
        error = kind if isinstance(kind, BaseException) else value if isinstance(value, BaseException) else kind()
        try:
            return self._coroutine.throw(self._in_place_of(error))
        except BaseException:
            self._ended = True
            raise

    def close(self) -> None:
        """End the coroutine, which was not awaited to its end."""
        self._ended = True
        self._coroutine.close()

    def _in_place_of(self, error: BaseException) -> BaseException:
        import asyncio  # imported late: a process without async tasks never needs it

        mine, self._error = self._error, None
        if mine is None or not isinstance(error, asyncio.CancelledError) or not self._wanted():
            return error
        self._task.uncancel()
        return mine


def _also_cancelled(error: BaseException) -> BaseException:
    import asyncio  # imported late, as above

    kind: Any = type(error)
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    made: Any = type(kind.__name__, (kind, asyncio.CancelledError), names)
    return made(*error.args) if not hasattr(error, "fields") else made(**error.fields())  # type: ignore[no-any-return] # an exception
