"""What the store keeps of runners that ended: that they did and why, for an hour, and the report of their shutdown, for a week."""

from __future__ import annotations

from itertools import islice

import attrs
import msgspec

from pynenc_core.model import ShutdownReport
from pynenc_core.ports.lookups import values
from pynenc_core.ports.storage import CoordinationStorage

RECENT = 3600.0
"""Seconds for which a runner that ended is listed."""
_END, _REPORT = "runner_end", "shutdown_report"
_KEPT = 7 * 24 * 3600.0  # seconds
_MOST = 2000  # of those that ended lately, by id


@attrs.frozen(kw_only=True)
class RunnerEnd:
    """That a runner or a child process ended, or has begun to stop."""

    runner_id: str
    reason: str
    at: float
    """Seconds since 1970 by the store's clock."""
    started_at: float | None = None


def note_end(state: CoordinationStorage, runner_id: str, reason: str, started_at: float | None = None) -> None:
    """Note that a runner ended, or stops; the last note stays. One write."""
    end = RunnerEnd(runner_id=runner_id, reason=reason, at=state.now(), started_at=started_at)
    state.put_value(_END, runner_id, msgspec.json.encode(end), ttl=RECENT)


def recent_ends(state: CoordinationStorage) -> dict[str, RunnerEnd]:
    """Return the ends of the last hour by runner id: at most 2,000, ten calls."""
    found = islice(values(state, _END), _MOST)
    return {key: end for key, value in found if (end := _decoded(value)) is not None}


def store_report(state: CoordinationStorage, report: ShutdownReport) -> None:
    """Keep a runner's last report; two writes, with the note of its end."""
    event = report.event
    state.put_value(_REPORT, event.runner_id, report.to_json(), ttl=_KEPT)
    note_end(state, event.runner_id, f"{event.reason}: {event.error}" if event.error else event.reason, event.started_at)


def report_of(state: CoordinationStorage, runner_id: str) -> ShutdownReport | None:
    """Return the last report of a runner, or None. Raises msgspec.ValidationError for one that cannot be read."""
    found = state.get_values(_REPORT, [runner_id]).get(runner_id)
    return None if found is None else ShutdownReport.from_json(found)


def _decoded(value: bytes) -> RunnerEnd | None:
    try:
        return msgspec.json.decode(value, type=RunnerEnd)
    except msgspec.MsgspecError:
        return None
