"""Says that runners live, from a thread that neither a claim nor a task can delay, and knows how sure that is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.model import Signal
from pynenc_core.orchestration.engine import Engine
from pynenc_core.ports.absence import Absence

_SIGNAL_LOOK = 0.8  # seconds: a running invocation is told within a second that it was cancelled


class Heartbeat:
    """The heartbeats of one runner and its living children."""

    def __init__(
        self,
        engine: Engine,
        runner_id: str,
        children: Callable[[], Collection[str]],
        deliver: Callable[[Sequence[Signal]], None],
        busy: Callable[[], bool],
    ) -> None:
        """`busy` says whether anything runs that a request could be for; then the store is asked once a second."""
        self._engine = engine
        self._runner_id = runner_id
        self._children = children
        self._deliver = deliver
        self._busy = busy
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.last_beat: float | None = None
        """When the latest one that the store answered was given, on the monotonic clock."""
        self._contact_since: float | None = None
        name = f"runner {runner_id}"
        self._absence = Absence(engine.logger, f"{name} cannot give its heartbeat", f"{name} gives its heartbeat again")

    @property
    def interval(self) -> float:
        """Seconds between heartbeats."""
        return self._engine.runner_settings.heartbeat_interval_sec

    @property
    def goes_on(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def alive_for_sure(self) -> bool:
        """Return whether the lease still runs; others may believe this runner dead otherwise."""
        last = self.last_beat
        return last is not None and self._engine.clock.monotonic() - last < self._engine.lease

    def uninterrupted_for(self) -> float:
        """Return for how many seconds no gap between two heartbeats was as long as a lease."""
        if self._contact_since is None or not self.alive_for_sure():
            return 0.0
        return self._engine.clock.monotonic() - self._contact_since

    def start(self) -> None:
        """Give the first heartbeat now, and the next ones from a thread. Raises BackendUnavailableError if that fails."""
        self.turn()
        self._thread = threading.Thread(target=self._beat_on, name="pynenc-heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; tolerant of being called twice."""
        self._ended.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(self.interval)

    def turn(self) -> None:
        """Give one heartbeat, and deliver the requests that it brings back."""
        clock = self._engine.clock
        began = clock.monotonic()  # the lease runs from before the call: its reply may have taken long
        signals = self._engine.state.beat([self._runner_id, *self._children()], self._engine.lease, may_serve=True)
        if self._contact_since is None or self.last_beat is None or began - self.last_beat >= self._engine.lease:
            self._contact_since = began
        self.last_beat = began
        self._deliver(signals)  # also when there are none: it tells a child that its lease was renewed

    def _beat_on(self) -> None:
        next_beat = self._engine.clock.monotonic() + self.interval
        while not self._ended.wait(max(0.0, min(next_beat - self._engine.clock.monotonic(), _SIGNAL_LOOK))):
            if not (self._busy() or self._absence.lasts or self._engine.clock.monotonic() >= next_beat):
                continue  # what begins to run meanwhile must not wait for the next heartbeat
            try:
                self.turn()
            except BackendUnavailableError as error:
                self._absence.note(error)
            except Exception:
                self._engine.logger.exception("a heartbeat of runner %s failed; the next one is tried", self._runner_id)
            else:
                self._absence.over()
            next_beat = self._engine.clock.monotonic() + self.interval
