"""A figure beside its floor and its budget, and the table of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import attrs

REPEATS = 3


@attrs.define
class Row:
    """One figure: measured, its floor where it has one, and what it should be; without a `budget` it is only told."""

    what: str
    value: float
    unit: str
    budget: float | None = None
    at_most: bool = False
    spread: float = 0.0
    floor: float | None = None
    ratio_budget: float | None = None

    @property
    def ratio(self) -> float | None:
        """The figure as a multiple of its floor."""
        return None if not self.floor else self.value / self.floor

    @property
    def kept(self) -> bool:
        """Whether the ratio is what it should be, or, without one, the figure itself."""
        if self.ratio is not None and self.ratio_budget is not None:
            return self.ratio <= self.ratio_budget if self.at_most else self.ratio >= self.ratio_budget
        if self.budget is None:
            return True
        return self.value <= self.budget if self.at_most else self.value >= self.budget

    @property
    def should_be(self) -> str:
        """The budget, as it is printed."""
        sign = "<=" if self.at_most else ">="
        if self.ratio_budget is not None and self.floor:
            return f"{sign} {self.ratio_budget:g} x"
        return "" if self.budget is None else f"{sign} {self.budget:g} {self.unit}"


def median(measure: Callable[[], float], repeats: int = REPEATS) -> tuple[float, float]:
    """Return the median of several runs and their relative spread."""
    return median_of([measure() for _ in range(repeats)])


def beside(measure: Callable[[], float], floor: Callable[[], float]) -> tuple[float, float, float]:
    """Return the median of several runs, their relative spread, and the median of the floor's runs between them: both under one load."""
    runs = [(measure(), floor()) for _ in range(REPEATS)]
    return *median_of([ours for ours, _ in runs]), statistics.median(bare for _, bare in runs)


def median_of(values: Sequence[float]) -> tuple[float, float]:
    """Return the median of some figures and their relative spread."""
    middle = statistics.median(values)
    return middle, (max(values) - min(values)) / middle


def show(rows: list[Row]) -> None:
    """Print the table."""
    print(f"{'what':66} {'measured':>22} {'floor':>10} {'ratio':>6} {'should be':>18}")
    for row in rows:
        floor = "" if row.floor is None else f"{row.floor:,.2f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        spread = f"±{row.spread:.0%}" if row.spread else ""
        note = "" if row.kept else "   MISSED"
        print(f"{row.what:66} {row.value:>10,.2f} {row.unit:6}{spread:>5} {floor:>10} {ratio:>6} {row.should_be:>18}{note}")
