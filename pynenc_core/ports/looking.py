"""For a store that can be asked but tells nobody anything: what blocks elsewhere until it is told looks again and again here."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Collection, Sequence

from pynenc_core.config import RunnerSettings
from pynenc_core.ports.broker import BaseBroker
from pynenc_core.ports.runtime import StoreView
from pynenc_core.ports.state_backend import BaseStateBackend


class LookingBroker(BaseBroker):
    """A broker that cannot block: give `take_now`; it looks every `runner_loop_sleep_time_sec`, and never pauses while there is work."""

    def __init__(self, app: StoreView) -> None:
        super().__init__(app)
        self._look_every = app.section(RunnerSettings).runner_loop_sleep_time_sec
        self._woken = threading.Condition()
        self._wakes = 0
        self._blocked = 0
        self._wake_next = False

    @abstractmethod
    def take_now(self, queues: Sequence[str], limit: int) -> tuple[str, ...]:
        """Remove and return ids as `take` does, at once."""

    def take(self, queues: Sequence[str], limit: int, timeout: float) -> tuple[str, ...]:
        """Do as every broker; between two looks only `wake` is heard of."""
        ends = self.app.clock.monotonic() + timeout
        with self._woken:
            seen = self._wakes
        while True:
            taken = self.take_now(queues, limit)
            left = ends - self.app.clock.monotonic()
            if taken or left <= 0 or self._was_woken(seen, min(left, self._look_every)):
                return taken

    def wake(self) -> None:
        """Let every `take` that blocks return; the next one that would block, if none does."""
        with self._woken:
            self._wakes += 1
            self._wake_next = not self._blocked
            self._woken.notify_all()

    def _was_woken(self, seen: int, seconds: float) -> bool:
        with self._woken:
            if self._wake_next:
                self._wake_next = False
                return True
            self._blocked += 1
            try:
                return self._woken.wait_for(lambda: self._wakes != seen, seconds)
            finally:
                self._blocked -= 1


class RepeatedLook:
    """The `Watch` of a state backend that cannot notify: it looks every `invocation_wait_results_sleep_time_sec`.

    Such a backend returns one from its `watch`: `return RepeatedLook(self, invocation_ids)`.
    """

    def __init__(self, state: BaseStateBackend, invocation_ids: Collection[str]) -> None:
        self._state = state
        self._missing = set(invocation_ids)
        self._look_every = state.app.section(RunnerSettings).invocation_wait_results_sleep_time_sec
        self._closed = threading.Event()

    def wait(self, timeout: float | None) -> frozenset[str]:
        """Return which of the watched became final, each once; () after `timeout` seconds, or after `close`."""
        clock = self._state.app.clock
        ends = None if timeout is None else clock.monotonic() + timeout
        while self._missing and not self._closed.is_set():
            found = self._state.get(self._missing)
            news = frozenset(one for one in self._missing if one not in found or found[one].state.final)
            if news:
                self._missing -= news
                return news
            left = self._look_every if ends is None else ends - clock.monotonic()
            if left <= 0:
                return news
            self._closed.wait(min(left, self._look_every))
        self._closed.wait(timeout)  # nothing is left to look for: as any other watch, until the timeout
        return frozenset()

    def close(self) -> None:
        """End it; lets a `wait` in another thread return."""
        self._closed.set()
