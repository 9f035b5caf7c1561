"""How a runner is asked to stop: from a signal handler, which may only set flags, or from any thread."""

from __future__ import annotations

import _thread
from threading import Event

from pynenc_core.ports.runtime import RunnerView


class StopRequests:
    """The flags and events of a stop. Flags are plain attributes: a handler may find any lock held by what it interrupts."""

    app: RunnerView

    def __init__(self) -> None:
        self.running = False
        self.stop_signal: int | None = None
        """The first signal that asked to stop."""
        self.stops_asked = 0
        self._make_events()

    def _make_events(self) -> None:
        self.stopping = Event()
        """Set when a stop begins, whatever its reason; somebody beside the runner may wait for it."""
        self.hurry = Event()
        """Set by a second request: whoever drains hands everything back at once."""
        self._woken = Event()
        self._stopped = Event()
        self._stopped.set()

    def stop_runner_loop(self, signum: int | None = None, frame: object = None) -> None:
        """Ask the runner to stop. Asked twice, the runner hands back at once what still runs.

        Call it from any thread, or register it as a handler: then it sets flags only, and the loop is woken from a thread.
        """
        self._note_stop(signum)
        if frame is None:
            self.wake()
        else:  # a handler may have interrupted whoever holds a lock that `wake` takes; so has this way to start a thread none
            _thread.start_new_thread(self.wake, ())

    def _note_stop(self, signum: int | None) -> None:
        self.stops_asked += 1
        if self.stop_signal is None:
            self.stop_signal = signum
        self.running = False

    def wake(self) -> None:
        """End whatever the loop blocks in; never call it in a signal handler."""
        if self.stops_asked:
            self.stopping.set()
        if self.stops_asked > 1:
            self.hurry.set()
        self._woken.set()
        self.app.orchestrator.wake()

    def nudge(self) -> None:
        """Let `pause` return, now or the next time, and nothing else."""
        self._woken.set()

    def pause(self, timeout: float) -> None:
        """Block up to `timeout` seconds, or until `wake` or `nudge`."""
        self._woken.wait(timeout)
        self._woken.clear()

    def wait_until_stopped(self, timeout: float = 2.0) -> bool:
        """Return whether the runner is stopped, waiting up to `timeout` seconds; True at once if it never started."""
        return self._stopped.wait(timeout)

    def _stop_claiming(self) -> None:
        """Claim nothing from now on, where that can be done before it is told why this runner stops, which takes a while."""
