"""How the end of a runner is named and logged; for runners that say goodbye in their own way too."""

from __future__ import annotations

import logging
import signal
from typing import Literal

from pynenc_core.model import ShutdownReport

SHUTDOWN_FIELD = "shutdown"
"""The attribute of a log record that carries the report as plain data, where it is written as JSON."""


def classify_signal(signum: int | None) -> str:
    """Return the reason a runner stops for: `normal`, `sigterm`, `sigint`, `oom_killed` or `unknown_signal`.

    No handler ever sees SIGKILL, so no runner says `oom_killed` of itself. A parent that sees a child end has more to go by than
    the signal: see `ProcessExit.kind`. Never raises, also for a number that is no signal.
    """
    if signum is None:
        return "normal"
    named: dict[int, str] = {signal.SIGTERM: "sigterm", signal.SIGINT: "sigint", signal.SIGKILL: "oom_killed"}
    return named.get(signum, "unknown_signal")


def log_runner_shutdown(logger: logging.Logger, report: ShutdownReport, style: Literal["text", "json"] = "text") -> None:
    """Log a finished report as one record: as a readable block, or as fields of one JSON line."""
    if style == "json":
        logger.info("%s", report.event.headline, extra={SHUTDOWN_FIELD: report.to_data(), "runner_id": report.event.runner_id})
    else:
        logger.info("%s", report.to_text())
