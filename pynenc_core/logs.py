"""How log lines are written: text or JSON lines, with the ids in fields. Installed by the command line, never by an import."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import msgspec

from pynenc_core.composition import AppParts
from pynenc_core.ports.shutdown import SHUTDOWN_FIELD

_FIELDS = ("invocation_id", "task_id", "runner_id", "workflow_id")


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the ids where they are known."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        line |= {name: getattr(record, name) for name in _FIELDS if getattr(record, name, None)}
        if report := getattr(record, SHUTDOWN_FIELD, None):
            line[SHUTDOWN_FIELD] = report
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


class TextLines(logging.Formatter):
    """A readable line; a task's own lines end with its ids."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        ids = " ".join(f"{name}={value}" for name in _FIELDS if (value := getattr(record, name, None)))
        return super().format(record) + (f"  [{ids}]" if ids else "")


def install_handler(app: AppParts) -> None:
    """Send the logs of `pynenc` to the configured stream, from the configured level on; replaces an earlier one of ours."""
    chosen = app.conf.app
    handler = logging.StreamHandler(sys.stdout if chosen.logging_stream == "stdout" else sys.stderr)
    handler.setFormatter(JsonLines() if chosen.logging_format == "json" else TextLines())
    handler.set_name("pynenc")
    root = logging.getLogger("pynenc")
    for present in [present for present in root.handlers if present.get_name() == "pynenc"]:
        root.removeHandler(present)
    root.addHandler(handler)
    root.setLevel(chosen.logging_level.upper())
    root.propagate = False
