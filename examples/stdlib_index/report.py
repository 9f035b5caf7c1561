"""What the demonstration prints: progress, the index, and who ran what."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import attrs

from pynenc_core.model import InvocationHistory
from pynenc_core.status import Status
from stdlib_index.counting import Index, most_used

_BAR = 40  # characters
_STEPS = 10  # lines in all, where there is no terminal


class Progress:
    """A bar that is drawn over itself on a terminal, and a few plain lines elsewhere."""

    def __init__(self, whole: int) -> None:
        self._whole = whole
        self._began = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._told = -1

    def show(self, done: int) -> None:
        """Show how many of the invocations are final."""
        step = done if self._terminal else done * _STEPS // self._whole
        if step == self._told:
            return
        self._told = step
        text = f"{done:>5,} of {self._whole:,} invocations  {time.monotonic() - self._began:5.1f} s"
        if self._terminal:
            full = done * _BAR // self._whole
            print(f"\r[{'#' * full}{'.' * (_BAR - full)}] {text}", end="", flush=True)
        else:
            print(text, flush=True)

    def end(self) -> None:
        """Go to the next line."""
        if self._terminal and self._told >= 0:
            print()


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows below their titles: the first column to the left, numbers to the right."""
    lines = [tuple(titles), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    drawn = [
        "  ".join(
            text.ljust(width) if column == 0 else text.rjust(width) for column, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    drawn.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(drawn)


def index_table(index: Index) -> str:
    """Return what was counted."""
    fields = ("modules", "skipped", "lines", "tokens", "functions", "classes")
    counted = table(("counted", "number"), [(field, f"{getattr(index, field):,}") for field in fields])
    names = table(("identifier", "uses"), [(name, f"{uses:,}") for name, uses in most_used(index.names, 10)])
    return f"{counted}\n\n{names}"


@attrs.define
class Share:
    """What one runner or worker process has done."""

    invocations: Counter[str] = attrs.field(factory=Counter)
    """By the last part of the task's name."""
    busy: float = 0.0
    """Seconds in RUNNING, all slots together; waiting for other invocations is not busy."""


def shares(histories: Iterable[tuple[str, Sequence[InvocationHistory]]]) -> dict[str, Share]:
    """Return who ran what, by runner id, from pairs of task id and history."""
    found: dict[str, Share] = defaultdict(Share)
    for task_id, history in histories:
        for entry, following in pairwise(history):
            if entry.status_record.status is Status.RUNNING and following.seq == entry.seq + 1:  # else entries in between were left out
                found[entry.status_record.runner_id].busy += following.at - entry.at
        last = next((entry.status_record for entry in reversed(history) if entry.status_record.status is Status.RUNNING), None)
        if last is not None:
            found[last.runner_id].invocations[task_id.rpartition(".")[2]] += 1
    return dict(found)


def shares_table(found: Mapping[str, Share]) -> str:
    """Return who ran what, as a table."""
    tasks = sorted({task for share in found.values() for task in share.invocations})
    rows = [(runner, *(f"{share.invocations[task]:,}" for task in tasks), f"{share.busy:.1f}") for runner, share in sorted(found.items())]
    return table(("ran on", *tasks, "busy s"), rows)
