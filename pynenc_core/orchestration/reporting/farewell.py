"""Reports a shutdown beside the shutdown itself, so that neither a collector nor the store can hold it up."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Literal

import attrs

from pynenc_core.model import ShutdownReport
from pynenc_core.orchestration.reporting.diagnostics import Sources, collect
from pynenc_core.ports.shutdown import log_runner_shutdown

_PATIENCE = 0.5  # seconds that a stop waits for its block to be logged before it stops claiming: that may not take a second
_SPREADING = 1.0  # seconds after the deadline for storing the report, and for who observes it


@attrs.frozen(kw_only=True)
class Farewell:
    """The report of one runner's end."""

    sources: Sources
    logger: logging.Logger
    style: Literal["text", "json"]
    deadline: float
    """Seconds for collecting it."""
    store: Callable[[ShutdownReport], None]
    began: float = attrs.field(factory=time.monotonic)
    _logging: threading.Lock = attrs.field(factory=threading.Lock)
    _logged: threading.Event = attrs.field(factory=threading.Event)
    _done: threading.Event = attrs.field(factory=threading.Event)

    def say(self) -> None:
        """Collect and log the report; return when that is done, or after half a second, and let it go on then.

        A stop without a signal and without an error is worth one line.
        """
        event = self.sources.event
        brief = event.signum is None and not event.error
        if brief:
            self._log(ShutdownReport(event=event))
        threading.Thread(target=self._report, args=(brief,), name="pynenc-report", daemon=True).start()
        self._logged.wait(_PATIENCE)

    def finish(self) -> None:
        """Wait until everything is said and stored, to a second after the deadline at the latest."""
        ends = self.began + self.deadline + _SPREADING
        self._done.wait(max(0.0, ends - time.monotonic()))
        self._log(ShutdownReport(event=self.sources.event, sections={"report": "it could not be finished in time"}))

    def _report(self, brief: bool) -> None:
        try:
            report = ShutdownReport(event=self.sources.event) if brief else collect(self.sources, self.deadline)
            self._log(report)
            self._tell(report)
            self.store(report)
        except Exception as error:  # noqa: BLE001 - nothing that goes wrong here may stop a stop
            self.logger.warning("the report of runner %s's end could not be stored: %s", self.sources.event.runner_id, error)
        finally:
            self._done.set()

    def _log(self, report: ShutdownReport) -> None:
        with self._logging:  # once, whoever comes first
            if self._logged.is_set():
                return
            event = report.event
            if event.signum is None and not event.error:
                self.logger.info("%s", event.headline)
            else:
                log_runner_shutdown(self.logger, report, self.style)
            self._logged.set()

    def _tell(self, report: ShutdownReport) -> None:
        hook = "pynenc_report_shutdown"
        seconds = max(_SPREADING / 2, self.began + self.deadline - time.monotonic())
        for answer in self.sources.hooks.each_within(hook, seconds, report=report):
            if answer.error is not None:
                self.logger.warning("%s", answer.error)
