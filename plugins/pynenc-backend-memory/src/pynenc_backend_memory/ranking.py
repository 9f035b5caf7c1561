"""Ids in the order in which they are handed out."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

_Entry = tuple[float, str, float, bool]
"""Sorted by rank, or by due time among those that wait for it; then the id, its rank, and whether somebody awaits it."""


class RankedIds:
    """Ids by rank, those not yet due aside. O(log n): a heap entry that another one replaced is passed over when it comes up."""

    def __init__(self) -> None:
        self._current: dict[str, _Entry] = {}
        self._ready: list[_Entry] = []
        self._awaited: list[_Entry] = []
        self._later: list[_Entry] = []

    def __len__(self) -> int:
        return len(self._current)

    def put(self, invocation_id: str, rank: float, due: float | None = None, *, awaited: bool = False) -> None:
        """Add an id, or move it to another rank or due time."""
        entry = (rank if due is None else due, invocation_id, rank, awaited)
        self._current[invocation_id] = entry
        self._push(self._ready if due is None else self._later, entry)
        if awaited and due is None:
            self._push(self._awaited, entry)

    def discard(self, invocation_id: str) -> None:
        """Remove an id, if it is here."""
        self._current.pop(invocation_id, None)

    def first(self, *, awaited_only: bool = False) -> str | None:
        """Return the id of lowest rank among those that were due at the last `advance`, leaving it here."""
        return self._top(self._awaited if awaited_only else self._ready)

    def advance(self, now: float) -> float | None:
        """Let those that are due by now stand in the order; return when the next one will be."""
        while self._top(self._later) is not None:
            due, invocation_id, rank, awaited = self._later[0]
            if due > now:
                return due
            self.put(invocation_id, rank, awaited=awaited)
        return None

    def lowest(self) -> tuple[str, float, float | None] | None:
        """Return id, rank and due time of the one of lowest rank, due or not. O(n)."""
        if not self._current:
            return None
        entry = min(self._current.values(), key=lambda entry: (entry[2], entry[1]))
        due, invocation_id, rank, _ = entry
        return invocation_id, rank, due if any(entry is other for other in self._later) else None

    def _top(self, heap: list[_Entry]) -> str | None:
        while heap:
            invocation_id = heap[0][1]
            if self._current.get(invocation_id) is heap[0]:
                return invocation_id
            heappop(heap)
        return None

    def _push(self, heap: list[_Entry], entry: _Entry) -> None:
        if len(heap) > 64 + 2 * len(self._current):  # what was replaced must not pile up behind what stays
            heap[:] = [each for each in heap if self._current.get(each[1]) is each]
            heapify(heap)
        heappush(heap, entry)
