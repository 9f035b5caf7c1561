"""Waiting for invocations by notification: one watch stays open over many looks at the same group."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection

from pynenc_core.ports.clock import Clock
from pynenc_core.ports.state_backend import BaseStateBackend
from pynenc_core.ports.storage import Watch

_SAFETY_LOOK = 5.0  # seconds: spec section 4, in case a notification was lost
_NAP = 0.002  # seconds: while results come in a stream, waking up for each of them costs more than they do


class Interest:
    """Which of some invocations are final by now, for one waiter."""

    def __init__(self, state: BaseStateBackend, clock: Clock, invocation_ids: Collection[str]) -> None:
        self._state = state
        self._clock = clock
        self.invocation_ids = frozenset(invocation_ids)
        self._arrived: set[str] = set()
        self._untold: set[str] = set()
        self._ended = threading.Event()
        self._watch: Watch | None = state.watch(self.invocation_ids)
        self._first_look = True
        self.in_use = False
        """Some thread waits here; others need an interest of their own, since each piece of news reaches one of them."""
        self.interrupted = False
        self.when_interrupted: Callable[[], None] | None = None
        """Called by `interrupt`: where somebody else waits in place of this."""

    def covers(self, invocation_ids: Collection[str]) -> bool:
        """Return whether this interest includes all of these."""
        return self.invocation_ids.issuperset(invocation_ids)

    def wait(self, wanted: Collection[str], timeout: float | None, linger: float = 0.0) -> frozenset[str]:
        """Return which of `wanted` are final, as soon as one is; () after `timeout` seconds, or when interrupted.

        `linger` is for how many seconds after the first one to gather more of them, unless all have arrived.
        """
        wanted = frozenset(wanted)
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        while True:
            arrived = wanted & self._arrived
            if arrived and linger and arrived != wanted:
                until = self._clock.monotonic() + linger
                self._gather(wanted, until if deadline is None else min(until, deadline))
                arrived = wanted & self._arrived
            if arrived or self.interrupted or self._watch is None:
                return arrived
            left = None if deadline is None else deadline - self._clock.monotonic()
            if left is not None and left <= 0 and not self._first_look:
                return frozenset()
            self._first_look = False
            self._look(_SAFETY_LOOK if left is None else max(0.0, min(left, _SAFETY_LOOK)))

    def news(self, timeout: float | None, linger: float) -> frozenset[str]:
        """Return which became final since the last call, as soon as one has; () after `timeout` seconds, or when interrupted.

        Costs what has happened, however many are watched. `linger` as in `wait`.
        """
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        while not (self._untold or self.interrupted or self._watch is None):
            left = None if deadline is None else deadline - self._clock.monotonic()
            if left is not None and left <= 0 and not self._first_look:
                break
            self._first_look = False
            self._look(_SAFETY_LOOK if left is None else max(0.0, min(left, _SAFETY_LOOK)))
        if self._untold and linger:
            self._gather(self.invocation_ids, self._clock.monotonic() + linger)
        untold, self._untold = self._untold, set()
        return frozenset(untold)

    def _gather(self, wanted: frozenset[str], until: float) -> None:
        while not (self.interrupted or self._watch is None or wanted <= self._arrived):
            left = until - self._clock.monotonic()
            if left <= 0:
                return
            self._ended.wait(min(left, _NAP))
            self._look(max(0.0, until - self._clock.monotonic()))

    def _look(self, timeout: float) -> None:
        watch = self._watch
        if watch is None:
            return
        news = watch.wait(timeout)
        if not news and timeout >= _SAFETY_LOOK and not self.interrupted:
            missing = self.invocation_ids - self._arrived
            found = self._state.get(missing)
            news = frozenset(i for i in missing if i not in found or found[i].state.final)
        self._untold |= news - self._arrived
        self._arrived |= news
        if self._arrived >= self.invocation_ids:
            self.close()

    def interrupt(self) -> None:
        """Let a `wait` in another thread return at once, and every later one."""
        self.interrupted = True
        self._ended.set()
        self.close()
        if self.when_interrupted is not None:
            self.when_interrupted()

    def close(self) -> None:
        """End the watch; what has arrived stays known."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()


class Interests:
    """Keeps the last interest of each thread outside a runner, so that looking at a group again costs nothing."""

    def __init__(self, state: BaseStateBackend, clock: Clock, logger: logging.Logger) -> None:
        self._state = state
        self._clock = clock
        self._logger = logger
        self._local = threading.local()

    def wait(self, invocation_ids: Collection[str], timeout: float | None) -> frozenset[str]:
        """Block this thread until one of these is final; return which are, () after `timeout` seconds."""
        interest: Interest | None = getattr(self._local, "interest", None)
        if interest is None or not interest.covers(invocation_ids):
            if interest is not None:
                interest.close()
            interest = self._local.interest = Interest(self._state, self._clock, invocation_ids)
        if timeout is not None and timeout <= _SAFETY_LOOK:
            return interest.wait(invocation_ids, timeout)
        arrived = interest.wait(invocation_ids, _SAFETY_LOOK)
        if arrived:
            return arrived
        self._say_if_nobody_works()
        return interest.wait(invocation_ids, None if timeout is None else timeout - _SAFETY_LOOK)

    def open(self, invocation_ids: Collection[str]) -> Interest:
        """Return an interest of the caller's own, to be closed by it; for many invocations."""
        return Interest(self._state, self._clock, invocation_ids)

    def news(self, interest: Interest, timeout: float | None, linger: float) -> frozenset[str]:
        """Return the news of such an interest, and say so when nobody works."""
        if timeout is not None and timeout <= _SAFETY_LOOK:
            return interest.news(timeout, linger)
        arrived = interest.news(_SAFETY_LOOK, linger)
        if arrived or interest.interrupted:
            return arrived
        self._say_if_nobody_works()
        return interest.news(None if timeout is None else timeout - _SAFETY_LOOK, linger)

    def _say_if_nobody_works(self) -> None:
        """Warn, once in a thread, when no runner is alive: this wait may never end."""
        now = self._state.now()
        if getattr(self._local, "warned", False) or any(beat.alive_until > now for beat in self._state.beats()):
            return
        self._local.warned = True
        self._logger.warning("waiting for a result, and no runner is alive; start one with `pynenc runner start`")
