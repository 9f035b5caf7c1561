"""Values without an annotation: only what JSON gives back equal."""

# Values of any type are looked at here, and `type(x) is list` tells nothing of the items:
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

import sys
from collections.abc import Iterable
from enum import Enum
from math import isfinite
from typing import Any, NoReturn

from pynenc_core.serializers.codec import ANY_KIND, MAX_NESTING, Codec, Misfit, described

INT_BITS = 13_000
"""An int of so many bits has less than 4,300 digits, which is where Python stops reading them from text."""

_NAMED = frozenset({"bool", "bytearray", "bytes", "date", "datetime", "Decimal", "float", "int", "str", "time", "timedelta", "UUID"})
_SHOWN_ITEMS = 50
_SHOWN_DEPTH = 5
_SHOWN_MEMBERS = 4


def _carried(value: Any, depth: int) -> bool:  # noqa: PLR0911 - a case a line
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-(1 << 63) <= value < (1 << 64) or value.bit_length() <= INT_BITS)
    if kind is float:
        return isfinite(value)
    if depth >= MAX_NESTING:
        return False
    depth += 1
    if kind is list:
        return all([_carried(item, depth) for item in value])  # noqa: C419 - faster than a generator, and it nearly always holds
    if kind is dict:
        return all([type(key) is str and _carried(item, depth) for key, item in value.items()])  # noqa: C419 - likewise
    return False


def _explain(value: Any, depth: int = 0) -> NoReturn:
    kind = type(value)
    if depth >= MAX_NESTING and kind in {list, dict}:
        raise Misfit("it nests deeper than {levels} levels, or contains itself", levels=MAX_NESTING)
    if kind is list:
        _explain_first(enumerate(value), depth)
    elif kind is dict:
        for key in value:
            if type(key) is not str:
                raise Misfit("one of its keys is {it}, and JSON would not give it back as that", remedy=carrier(value), it=described(key))
        _explain_first(value.items(), depth)
    elif kind is float:
        raise Misfit("JSON has no float that is not finite", remedy=carrier(value))
    elif kind is int:
        raise Misfit("an int of more than {bits} bits is refused", remedy="pass its `hex()`", bits=INT_BITS)
    raise Misfit("JSON would not give {it} back as that", remedy=carrier(value), it=described(value))


def _explain_first(items: Iterable[tuple[Any, Any]], depth: int) -> None:
    """Raise for the first item, by index or key, that is not carried."""
    for key, item in items:
        if not _carried(item, depth + 1):
            try:
                _explain(item, depth + 1)
            except Misfit as error:
                raise error.under(f"[{key!r}]") from None


def _to_plain(value: Any) -> Any:
    if not _carried(value, 0):
        _explain(value)
    return value


def _from_plain(data: Any) -> Any:
    return data


def plain_codec(label: str = "Any") -> Codec:
    """Return the codec of a parameter without a (known) annotation."""
    return Codec(label, ANY_KIND, (), _to_plain, _from_plain)


def unresolved_codec(text: str) -> Codec:
    """Return the codec of an annotation whose names do not exist at run time: as without one, but the way out is another."""

    def to_plain(value: Any) -> Any:
        try:
            return _to_plain(value)
        except Misfit as error:
            error.remedy = f"names in `{text}` do not exist at run time, so it counts as un-annotated: import them outside TYPE_CHECKING"
            raise

    return Codec(text, ANY_KIND, (), to_plain, _from_plain)


def carrier(value: object) -> str:
    """Return a remedy that names an annotation which would carry `value`."""
    annotation = _annotation_for(value, _SHOWN_DEPTH)
    if annotation:
        return f"annotate it as `{annotation}`"
    return (
        f"no annotation would carry {described(value)} as it is: make it a dataclass or attrs class, give it `to_json` and `from_json`, "
        "or pass what it is made of"
    )


def _annotation_for(value: Any, depth: int) -> str:  # noqa: PLR0911 - a case a line
    kind = type(value)
    name = kind.__qualname__
    if value is None:
        return "None"
    if name in _NAMED or isinstance(value, Enum) or _described_by_class(kind):
        return name
    if (pathlib := sys.modules.get("pathlib")) and isinstance(value, pathlib.PurePath):
        return "Path" if isinstance(value, pathlib.Path) else "PurePath"
    if depth == 0:
        return ""
    if kind is tuple and len(value) <= _SHOWN_MEMBERS:
        parts = [_annotation_for(item, depth - 1) for item in value]
        return f"tuple[{', '.join(parts) or '()'}]" if all(parts) else ""
    if kind in {list, set, frozenset, tuple}:
        inner = _union_for(value, depth - 1)
        return f"{name}[{inner}{', ...' if kind is tuple else ''}]" if inner else ""
    if kind is dict:
        keys, values = _union_for(value.keys(), depth - 1), _union_for(value.values(), depth - 1)
        return f"dict[{keys}, {values}]" if keys and values else ""
    return ""


def _union_for(values: Any, depth: int) -> str:
    names: dict[str, None] = {}
    for count, item in enumerate(values):
        if count >= _SHOWN_ITEMS:
            break
        names[_annotation_for(item, depth)] = None
    if "" in names or len(names) > _SHOWN_MEMBERS:
        return ""
    return " | ".join(names) or "int"


def _described_by_class(kind: type) -> bool:
    own = vars(kind)
    return (
        "__attrs_attrs__" in own
        or "__dataclass_fields__" in own
        or "__struct_fields__" in own
        or hasattr(kind, "__pydantic_core_schema__")
        or (issubclass(kind, tuple) and hasattr(kind, "_fields"))
        or (hasattr(kind, "to_json") and hasattr(kind, "from_json"))
    )
