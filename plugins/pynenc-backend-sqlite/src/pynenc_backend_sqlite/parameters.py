"""Statements as Python's driver wants them: `?1` in a statement that is given a sequence is deprecated since 3.12, and refused by 3.14."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

_PARAMETER = re.compile(r"\?(\d*)")  # no statement here has a question mark in a text

Arranged = Callable[[Sequence[object]], Sequence[object]]


@lru_cache(maxsize=1024)  # statements that are put together for a query are many, but of few kinds
def nameless(statement: str) -> tuple[str, Arranged]:
    """Return a statement whose parameters have no numbers any more, and what brings its arguments into the order that it then takes.

    A `?` without a number is the one after the highest before it, as SQLite counts.
    """
    order: list[int] = []
    for number in _PARAMETER.findall(statement):
        order.append(int(number) if number else max(order, default=0) + 1)
    in_order = order == list(range(1, len(order) + 1))
    return _PARAMETER.sub("?", statement), tuple if in_order else lambda arguments: [arguments[number - 1] for number in order]
