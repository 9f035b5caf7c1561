"""Plain data, as JSON knows it: made of anything, and shown as lines that people read."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, cast

_DEEPEST = 8  # levels; deeper ones, and what contains itself, are shown by their text
_MOST = 500  # entries of one mapping or list
_LONGEST = 4000  # characters of one text
_BITS = 63
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def plain(value: Any, depth: int = 0) -> object:
    """Return a value as JSON gives it back equal: mappings with str keys, lists, and scalars; all else becomes its text.

    It has a bound: too long texts, too many entries and too many levels are cut, and the cut is shown.
    """
    whole: object = value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() <= _BITS else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, Mapping) and depth < _DEEPEST:
        pairs = list(cast("Mapping[object, object]", value).items())
        kept = {_text(key): plain(each, depth + 1) for key, each in pairs[:_MOST]}
        return {**kept, "...": f"{len(pairs) - _MOST} more"} if len(pairs) > _MOST else kept
    if isinstance(value, (list, tuple, AbstractSet)) and depth < _DEEPEST:
        each_one = list(cast("Collection[object]", value))
        items = [plain(each, depth + 1) for each in each_one[:_MOST]]
        return [*items, f"... {len(each_one) - _MOST} more"] if len(each_one) > _MOST else items
    return _text(whole)


def _text(value: object) -> str:
    text = str(value).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def size(count: float) -> str:
    """Return a number of bytes as people read it: `12.3 MiB`."""
    unit = 0
    while abs(count) >= 1024 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.1f} {_UNITS[unit]}" if unit else f"{count:g} B"


def lines(title: str, value: Any, indent: int = 2) -> Iterator[str]:
    """Yield plain data as lines under a title, nested by indentation.

    Entries that hold only scalars take one line each; a number whose name ends in `_bytes` is shown in a unit.
    """
    margin = " " * indent
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, object]", value)
        if not pairs or _flat(pairs.values()):
            yield f"{margin}{title}: {_row(pairs) or 'none'}"
            return
        yield f"{margin}{title}:"
        for name, each in pairs.items():
            yield from lines(name, each, indent + 2)
    elif isinstance(value, list):
        items = cast("list[object]", value)
        if _flat(items):
            yield f"{margin}{title}: {', '.join(_scalar('', each) for each in items) or 'none'}"
            return
        yield f"{margin}{title}:"
        for number, each in enumerate(items, 1):
            if isinstance(each, Mapping) and _flat(cast("Mapping[str, object]", each).values()):
                yield f"{margin}  {_row(cast('Mapping[str, object]', each))}"
            else:
                yield from lines(str(number), each, indent + 2)
    else:
        yield f"{margin}{title}: {_scalar(title, value)}"


def _flat(values: Collection[object]) -> bool:
    return not any(isinstance(each, Mapping | list) for each in values)


def _row(pairs: Mapping[str, object]) -> str:
    return ", ".join(f"{name.removesuffix('_bytes')} {_scalar(name, each)}" for name, each in pairs.items())


def _scalar(name: str, value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_bytes") and isinstance(value, int | float):
        return size(value)
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text.replace("\n", "\n    ")
