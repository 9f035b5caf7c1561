"""Waits for results in place of processes that are stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import attrs

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.orchestration.circles import ask_youngest, circle_through
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.waiting import Interest
from pynenc_core.ports.absence import Absence
from pynenc_core.ports.control import Hold

_SAFETY_LOOK = 5.0  # seconds: as for every wait, in case a notification was lost
_CIRCLE_LOOK = 0.25  # seconds a wait lasts before somebody looks whether it can ever end, then four times as many
_CIRCLE_LOOK_MOST = 60.0
_AWAY = 0.5  # seconds between attempts while the store is away


@attrs.define(eq=False)
class _Wait:
    """One wait of one process."""

    runner_id: str
    invocation_id: str
    hold: Hold
    deadline: float
    circle_look: float
    circle_step: float = _CIRCLE_LOOK
    arrived: set[str] = attrs.field(factory=set[str])
    gathers_until: float = float("inf")

    def over(self, now: float) -> bool:
        """Whether it may go on."""
        return len(self.arrived) == len(set(self.hold.awaits)) or now >= min(self.deadline, self.gathers_until)


class StoppedWaits:
    """All waits of a runner's processes, looked after by one thread that is told when something becomes final."""

    def __init__(self, engine: Engine, runner_id: str, tell: Callable[[], None]) -> None:
        """`tell` is called when one of them is over."""
        self._engine = engine
        self._runner_id = runner_id
        self._tell = tell
        self._changed = threading.Condition()
        self._waits: dict[tuple[str, int], _Wait] = {}
        self._over: list[tuple[str, int, tuple[str, ...]]] = []
        self._arrivals: Interest | None = None
        self._anew = False
        """Something else is to be waited for by now."""
        name = f"runner {runner_id}"
        waits = f"{name} waits for its store, and processes wait with it"
        self._absence = Absence(engine.logger, waits, f"{name} looks after its waiting processes again")
        self._ended = False
        self._thread: threading.Thread | None = None

    def add(self, runner_id: str, invocation_id: str, hold: Hold) -> None:
        """Begin to wait for a process."""
        now = time.monotonic()
        deadline = now + hold.timeout if hold.timeout is not None else float("inf")
        with self._changed:
            self._waits[runner_id, hold.number] = _Wait(runner_id, invocation_id, hold, deadline, now + _CIRCLE_LOOK)
            self._look_anew()
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch_on, name="pynenc-waits", daemon=True)
                self._thread.start()

    def drop(self, runner_id: str, number: int = 0) -> None:
        """Wait no more for a process, or for one thing only."""
        with self._changed:
            for key in [key for key in self._waits if key[0] == runner_id and number in {0, key[1]}]:
                del self._waits[key]

    def take_over(self) -> list[tuple[str, int, tuple[str, ...]]]:
        """Return the waits that are over since the last call: process, number, and what is final."""
        with self._changed:
            over, self._over = self._over, []
        return over

    def look(self) -> None:
        """Ask the store at once, whether or not it has told its news already. Raises BackendUnavailableError."""
        with self._changed:
            wanted = self._wanted()
        if wanted:
            arrivals = Interest(self._engine.state, self._engine.clock, wanted)
            self._note(arrivals.news(0.0, 0.0))
            arrivals.close()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._ended = True
            self._look_anew()

    def _look_anew(self) -> None:
        self._anew = True
        if self._arrivals is not None:
            self._arrivals.interrupt()
        self._changed.notify_all()

    def _watch_on(self) -> None:
        while True:
            with self._changed:
                while not (self._waits or self._ended):
                    self._changed.wait()
                if self._ended:
                    return
                self._anew = False
                wanted = self._wanted()
            try:
                self._watch(wanted)
                self._absence.over()
            except BackendUnavailableError as error:
                self._absence.note(error)
                self._rest()
            except Exception:
                self._engine.logger.exception("runner %s goes on waiting for results after an error", self._runner_id)
                self._rest()

    def _wanted(self) -> set[str]:
        return {each for wait in self._waits.values() for each in wait.hold.awaits}

    def _rest(self) -> None:
        with self._changed:
            self._changed.wait(_AWAY)
        self._note(frozenset())  # time goes on without the store

    def _watch(self, wanted: set[str]) -> None:
        """Wait for news of these until there are other waits, or for the time after which to look whatever was told."""
        arrivals = Interest(self._engine.state, self._engine.clock, wanted)
        try:
            with self._changed:
                if self._outdated():
                    return
                self._arrivals = arrivals
            until = time.monotonic() + _SAFETY_LOOK
            while not self._outdated() and time.monotonic() < until:
                left = min(until, self._next_turn()) - time.monotonic()
                self._note(arrivals.news(max(left, 0.0), 0.0))
                self._break_circles()
        finally:
            with self._changed:
                self._arrivals = None
            arrivals.interrupt()

    def _outdated(self) -> bool:
        return self._anew

    def _next_turn(self) -> float:
        with self._changed:
            return min((min(wait.deadline, wait.gathers_until, wait.circle_look) for wait in self._waits.values()), default=float("inf"))

    def _note(self, news: frozenset[str]) -> None:
        now = time.monotonic()
        with self._changed:
            for key, wait in list(self._waits.items()):
                fresh = news.intersection(wait.hold.awaits)
                if fresh and not wait.arrived:
                    wait.gathers_until = now + wait.hold.linger
                wait.arrived |= fresh
                if wait.over(now):
                    del self._waits[key]
                    self._over.append((*key, tuple(wait.arrived)))
            told = bool(self._over)
        if told:
            self._tell()

    def _break_circles(self) -> None:
        now = time.monotonic()
        with self._changed:
            due = [wait for wait in self._waits.values() if now >= wait.circle_look]
            for wait in due:
                wait.circle_step = min(wait.circle_step * 4, _CIRCLE_LOOK_MOST)
                wait.circle_look = now + wait.circle_step
        for wait in due:
            circle = circle_through(self._engine.state, wait.invocation_id)
            if circle is not None:
                ask_youngest(self._engine.state, circle, self._runner_id)
