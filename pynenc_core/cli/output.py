"""How results are printed: text in plain columns, or one JSON document."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import click
import msgspec

_GAP = "  "
_NONE = "-"


def write_text(text: str) -> None:
    """Print text on standard output."""
    click.echo(text)


def write_json(data: object) -> None:
    """Print one indented JSON document on standard output."""
    click.echo(msgspec.json.format(msgspec.json.encode(data, enc_hook=str), indent=2))


def columns(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in plain columns, as wide as their content; on a terminal, lines are cut at its width."""
    table = [[_cell(each) for each in row] for row in (head, *rows)]
    widths = [max(len(row[place]) for row in table) for place in range(len(head))]
    lines = (_GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table)
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        lines = (line if len(line) <= width else line[: width - 1] + "…" for line in lines)
    return "\n".join(lines)


def fields(pairs: Iterable[tuple[str, object]]) -> str:
    """Return a line for each name and value, the values one below the other."""
    shown = [(name, _cell(value)) for name, value in pairs]
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{name.ljust(width)}{_GAP}{value}" for name, value in shown)


def when(seconds: float | None) -> str | None:
    """Return a time of the store's clock as ISO 8601 in UTC, with milliseconds."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def clock(seconds: float) -> str:
    """Return a time of the store's clock as people read it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return " ".join(text.split()) or _NONE
