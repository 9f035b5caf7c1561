"""Waits, when an executor stops, for what runs and for what can go on by itself."""

from __future__ import annotations

import threading

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.executing.holdings import Holdings
from pynenc_core.orchestration.executing.slots import Slots

_LOOK = 0.1  # seconds between looks at `hurry`, which is set by somebody who does not know our condition
_GOES_ON_WITHIN = 1.0  # seconds for one that can go on to take its slot: long for a thread to be woken, short for a stop


def drain(engine: Engine, slots: Slots, holdings: Holdings, grace: float, hurry: threading.Event) -> None:
    """Return when nothing runs and nothing that waits could go on by now, after `grace` seconds, or on `hurry`.

    Nobody waits for what was cancelled and does not end: its outcome counts no more.
    """
    now = engine.clock.monotonic
    deadline = now() + grace
    idle_until = float("inf")
    while now() < min(deadline, idle_until) and not hurry.is_set():
        with slots.changed:
            if slots.taken > holdings.still_at_it():
                idle_until = float("inf")
                slots.changed.wait(min(deadline - now(), _LOOK))
                continue
        if not _can_go_on(engine, holdings):
            return
        idle_until = min(idle_until, now() + _GOES_ON_WITHIN)
        slots.rest(_LOOK)


def _can_go_on(engine: Engine, holdings: Holdings) -> bool:
    """Return whether something that a job here waits for is final: the last one to end may have been what it waits for."""
    awaits = {each for job in holdings.jobs() if job.paused and not job.abandoned for each in job.awaits}
    try:
        found = engine.state.get(awaits) if awaits else {}
    except BackendUnavailableError:  # what waits is handed back, which is known to be right
        return False
    return any(record.state.final for record in found.values())
