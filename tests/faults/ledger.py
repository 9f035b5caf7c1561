"""What the tasks have done, as they noted it themselves: one line an effect, past everything that is under test."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

import attrs
import msgspec

from pynenc_testkit.stores import eventually


@attrs.frozen
class Line:
    """One line: what an execution did, who it was, and when (`time.time`)."""

    what: str
    task: str
    invocation: str
    runner: str
    claim: int
    pid: int
    at: float
    key: str = ""
    """What it held a slot of, where a task says so."""


class Ledger:
    """A file that every execution appends to."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ledger"
        self._undone: tuple[float, float] | None = None

    def undo(self, since: float, until: float) -> None:
        """Leave out what was noted in between: the store has lost that it was claimed, and its claims are given again."""
        self._undone = since, until

    @property
    def length(self) -> int:
        """How many lines there are, of whatever kind."""
        return self._path.read_bytes().count(b"\n") if self._path.exists() else 0

    def lines(self, what: str = "effect", task: str = "") -> list[Line]:
        """Return the lines so far, of one kind and task."""
        if not self._path.exists():
            return []
        decoded = [msgspec.json.decode(line, type=Line) for line in self._path.read_bytes().splitlines()]
        since, until = self._undone or (math.inf, -math.inf)
        return [line for line in decoded if line.what == what and task in {"", line.task} and not since < line.at < until]

    def by_invocation(self) -> dict[str, list[Line]]:
        """Return the effects of each invocation, in order."""
        found: defaultdict[str, list[Line]] = defaultdict(list)
        for line in self.lines():
            found[line.invocation].append(line)
        return found

    def wait_for(self, count: int, what: str = "effect", task: str = "", timeout: float = 30.0) -> list[Line]:
        """Wait until there are so many lines, and return them."""
        eventually(lambda: len(self.lines(what, task)) >= count, f"{count} lines {what!r} in the ledger", timeout)
        return self.lines(what, task)
