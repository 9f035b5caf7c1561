"""With `settle_batch` above 1: several short invocations of one slot share a call to the store.

What is claimed together is started together, run one after the other, and settled together. Nothing waits for a slow
one: results, and work that was not begun, older than 20 ms are taken off the slot by whoever looks after it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from pynenc_core.model import Change
from pynenc_core.orchestration.current import Job
from pynenc_core.ports.clock import Clock

PATIENCE = 0.02  # seconds that a result, or work not begun, waits on a slot: design section 4
_SHORT = 0.005  # seconds: only invocations that are shorter on average are worth claiming ahead of time
_LOOKED_AT = 32


class Chain:
    """What one slot has on hand besides the invocation it runs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._outcomes: list[Change] = []
        self._ahead: deque[Job] = deque()
        self._since = 0.0

    def load(self, jobs: Sequence[Job]) -> Job:
        """Take jobs that were claimed together; return the first, which is to run now."""
        with self._lock:
            self._ahead.extend(jobs[1:])
            for job in jobs:
                job.chain = self
            self._since = self._clock.monotonic()
        return jobs[0]

    def keep(self, outcome: Change) -> Job | None:
        """Keep a result for later and return the next job; None when it is time to settle, and the result is not kept."""
        with self._lock:
            if not self._ahead or self._clock.monotonic() - self._since > PATIENCE:
                return None
            self._outcomes.append(outcome)
            return self._ahead.popleft()

    def unload(self) -> tuple[list[Change], list[Job]]:
        """Give away the results and the jobs on hand."""
        with self._lock:
            outcomes, self._outcomes = self._outcomes, []
            ahead, self._ahead = list(self._ahead), deque()
        return outcomes, ahead

    @property
    def loaded(self) -> bool:
        """Whether there is anything here besides what runs."""
        return bool(self._outcomes or self._ahead)

    @property
    def overdue(self) -> bool:
        """Whether something here has waited longer than anything should."""
        return self.loaded and self._clock.monotonic() - self._since > PATIENCE


class Shortness:
    """Whether invocations of this process are short enough at present to claim some ahead of time."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_LOOKED_AT)

    def note(self, seconds: float) -> None:
        """Note how long one ran."""
        self._seconds.append(seconds)

    def __bool__(self) -> bool:
        seconds = list(self._seconds)
        return bool(seconds) and sum(seconds) < _SHORT * len(seconds)
