"""Codecs of values that are one JSON scalar: numbers, text, times, enums, literals and what has an exact text."""

# Values of any type are looked at here, and `type(x) is list` tells nothing of the items:
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

import binascii
import functools
import sys
from collections.abc import Callable, Hashable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from math import isfinite
from typing import Any
from uuid import UUID

from pynenc_core.serializers.codec import (
    BOOL,
    DICT,
    FLOAT,
    INT,
    KIND_OF,
    LIST,
    NULL,
    STR,
    Codec,
    Misfit,
    refuse_data,
    refuse_value,
    said_by,
)
from pynenc_core.serializers.plain import INT_BITS

_MAX_PLAIN_INT = 1 << 64
_UNFINITE = "$float"
"""The key under which nan and the infinities travel, which JSON does not know."""
_EXACT = 1 << 53
_BY_TEXT = {
    "fractions": ("Fraction",),
    "ipaddress": ("IPv4Address", "IPv4Interface", "IPv4Network", "IPv6Address", "IPv6Interface", "IPv6Network"),
    "zoneinfo": ("ZoneInfo",),
}
"""Standard classes whose `str` is exact and is what their constructor takes. By name: none of them is imported for this."""


def _exactly(kind: type, json_kind: str) -> Codec:
    label = "None" if kind is type(None) else kind.__qualname__

    def to_plain(value: Any) -> Any:
        return value if type(value) is kind else refuse_value(value, label)

    def from_plain(data: Any) -> Any:
        return data if type(data) is kind else refuse_data(data, label)

    return Codec(label, frozenset({json_kind}), (kind,), to_plain, from_plain)


def _int_to_plain(value: Any) -> int:
    if type(value) is not int:
        refuse_value(value, "int")
    if not -_MAX_PLAIN_INT < value < _MAX_PLAIN_INT and value.bit_length() > INT_BITS:
        raise Misfit("an int of more than {bits} bits is refused", remedy="pass its `hex()`, annotated as `str`", bits=INT_BITS)
    return value


def _int_from_plain(data: Any) -> int:
    return data if type(data) is int else refuse_data(data, "int")


def _float_to_plain(value: Any) -> float | dict[str, str]:
    if type(value) is not float:
        if type(value) is not int:
            refuse_value(value, "float")
        if not -_EXACT <= value <= _EXACT:
            # Beyond 53 bits a float may be another number; beyond 1,024 bits there is none.
            try:
                same = float(value) == value
            except OverflowError:
                same = False
            if not same:
                raise Misfit("it is an int that no `float` equals", remedy="annotate it as `int`")
        return float(value)
    return value if isfinite(value) else {_UNFINITE: repr(value)}


def _float_from_plain(data: Any) -> float:
    if type(data) is float:
        return data
    if type(data) is int:
        return float(data)
    if type(data) is dict and data.keys() == {_UNFINITE} and data[_UNFINITE] in {"nan", "inf", "-inf"}:
        return float(data[_UNFINITE])
    return refuse_data(data, "float")


def _by_text(kind: type, write: Callable[[Any], str], read: Callable[[str], Any], label: str = "") -> Codec:
    label = label or kind.__qualname__

    def to_plain(value: Any) -> str:
        return write(value) if type(value) is kind else refuse_value(value, label)

    def from_plain(data: Any) -> Any:
        if type(data) is not str:
            refuse_data(data, label)
        try:
            return read(data)
        except (ValueError, ArithmeticError, LookupError, OSError, AssertionError) as error:
            raise Misfit("the stored text is no `{label}`", detail=said_by(error), label=label) from error

    return Codec(label, frozenset({STR}), (kind,), to_plain, from_plain)


def _datetime_to_text(value: datetime) -> str:
    zone: Any = value.tzinfo
    zoneinfo = sys.modules.get("zoneinfo")  # who passes a ZoneInfo has imported it
    key = zone.key if zoneinfo is not None and type(zone) is zoneinfo.ZoneInfo else None
    if key is None or not _is_zone(key):
        offset = value.utcoffset()
        if zone is not None and offset is None:
            raise Misfit("its tzinfo gives no offset from UTC")
        if zone is not None and type(zone) is not timezone and value.replace(fold=1 - value.fold).utcoffset() != offset:
            # By Python's rules it equals no time of another zone, so not the one that would come back.
            raise Misfit("it is a local time that occurs twice or never, in a time zone without a name", remedy="convert it to UTC")
        return value.isoformat()
    # A wall time of a zone, as it is: with an offset alone, times that occur twice would not compare equal.
    return f"{value.replace(tzinfo=None, fold=0).isoformat()}[{key}]{'2' if value.fold else ''}"


def _datetime_from_text(text: str) -> datetime:
    if "[" not in text:
        return datetime.fromisoformat(text)
    wall, _, rest = text.partition("[")
    key, _, fold = rest.partition("]")
    return datetime.fromisoformat(wall).replace(tzinfo=_zone(key), fold=1 if fold == "2" else 0)


@functools.cache
def _zones() -> frozenset[str]:
    from zoneinfo import available_timezones  # slow to import and to ask, and not needed by who has no such value

    return frozenset(available_timezones())


def _is_zone(key: str) -> bool:
    return key.removeprefix("posix/").removeprefix("right/") in _zones()


def _zone(key: str) -> Any:
    from zoneinfo import ZoneInfo  # as above

    if not _is_zone(key):  # not left to ZoneInfo, which looks for a package named after the key
        raise ValueError("no such time zone")  # caught below; it only says what the text is not
    return ZoneInfo(key)


def _time_to_text(value: time) -> str:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise Misfit("its tzinfo gives no offset from UTC without a date", remedy="pass the zone apart, or a `datetime`")
    return value.isoformat()


def _timedelta_to_plain(value: Any) -> list[int]:
    return [value.days, value.seconds, value.microseconds] if type(value) is timedelta else refuse_value(value, "timedelta")


def _timedelta_from_plain(data: Any) -> timedelta:
    if type(data) is not list or len(data) != 3 or any(type(part) is not int for part in data):
        refuse_data(data, "timedelta")
    try:
        return timedelta(*data)
    except OverflowError as error:
        raise Misfit("the stored numbers are no `timedelta`") from error


def _bytes_to_text(value: bytes | bytearray) -> str:
    return binascii.b2a_base64(value, newline=False).decode()


def _bytes_from_text(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)


def _bytearray_from_text(text: str) -> bytearray:
    return bytearray(_bytes_from_text(text))


SCALARS: dict[object, Codec] = {
    None: _exactly(type(None), NULL),
    type(None): _exactly(type(None), NULL),
    bool: _exactly(bool, BOOL),
    str: _exactly(str, STR),
    int: Codec("int", frozenset({INT}), (int,), _int_to_plain, _int_from_plain),
    # An int is welcome too, but where the union has an `int` of its own, that one takes it: see unions.
    float: Codec("float", frozenset({FLOAT, DICT}), (float, int), _float_to_plain, _float_from_plain),
    bytes: _by_text(bytes, _bytes_to_text, _bytes_from_text),
    bytearray: _by_text(bytearray, _bytes_to_text, _bytearray_from_text),
    datetime: _by_text(datetime, _datetime_to_text, _datetime_from_text),
    date: _by_text(date, date.isoformat, date.fromisoformat),
    time: _by_text(time, _time_to_text, time.fromisoformat),
    timedelta: Codec("timedelta", frozenset({LIST}), (timedelta,), _timedelta_to_plain, _timedelta_from_plain),
    Decimal: _by_text(Decimal, str, Decimal),
    UUID: _by_text(UUID, str, UUID),
}


def text_codec(kind: type) -> Codec | None:
    """Return the codec of a standard class that has an exact text, or None: paths, addresses, fractions, zones."""
    module = kind.__module__.partition(".")[0]
    if module == "pathlib" and issubclass(kind, sys.modules["pathlib"].PurePath):
        return _by_text(type(kind()), str, kind, kind.__qualname__)  # Path() makes a PosixPath or WindowsPath
    if kind.__qualname__ in _BY_TEXT.get(module, ()) and getattr(sys.modules.get(module), kind.__qualname__, None) is kind:
        return _by_text(kind, str, _zone if module == "zoneinfo" else _fraction(kind) if module == "fractions" else kind)
    return None


def _fraction(kind: Any) -> Callable[[str], Any]:
    # Its constructor takes exponents too, and would work on a short text for hours.
    return lambda text: kind(*[int(part) for part in text.split("/", 1)])


def enum_codec(kind: type[Enum]) -> Codec:
    """Return the codec of an enumeration: members by name, flags (which combine) by number."""
    label = kind.__qualname__
    by_name = dict(kind.__members__)

    def to_plain(value: Any) -> str:
        return value.name if type(value) is kind else refuse_value(value, label)

    def from_plain(data: Any) -> Any:
        if type(data) is not str:
            refuse_data(data, label)
        if data not in by_name:
            raise Misfit("`{label}` has no member of the stored name", detail=data, label=label)
        return by_name[data]

    return Codec(label, frozenset({STR}), (kind,), to_plain, from_plain)


def flag_codec(kind: type[Flag]) -> Codec:
    """Return the codec of an enumeration of flags."""
    label = kind.__qualname__

    def to_plain(value: Any) -> int:
        return value.value if type(value) is kind else refuse_value(value, label)

    def from_plain(data: Any) -> Any:
        if type(data) is not int:
            refuse_data(data, label)
        try:
            return kind(data)
        except ValueError as error:
            raise Misfit("`{label}` has no such flags", detail=said_by(error), label=label) from error

    return Codec(label, frozenset({INT}), (kind,), to_plain, from_plain)


def literal_codec(label: str, values: tuple[Any, ...]) -> Codec:
    """Return the codec of a `Literal`; its enum members travel by name, its bytes as text."""
    plain_of: dict[tuple[type, Any], Any] = {}
    value_of: dict[tuple[type, Any], Any] = {}
    for value in values:
        plain = value.name if isinstance(value, Enum) else _bytes_to_text(value) if isinstance(value, bytes) else value
        plain_of[type(value), value] = plain
        value_of.setdefault((type(plain), plain), value)

    def to_plain(value: Any) -> Any:
        # By type and value: 1, True and 1.0 are equal keys otherwise. Unhashable values are no literals.
        kind = type(value)
        if not isinstance(value, Hashable) or (kind, value) not in plain_of:
            raise Misfit("it is none of the values of `{label}`", label=label)
        plain = plain_of[kind, value]
        if value_of[type(plain), plain] is not value and type(value_of[type(plain), plain]) is not kind:
            raise Misfit("two values of `{label}` look the same in JSON", label=label)
        return plain

    def from_plain(data: Any) -> Any:
        kind = type(data)
        if not isinstance(data, Hashable) or (kind, data) not in value_of:
            raise Misfit("the stored value is none of `{label}`", label=label)
        return value_of[kind, data]

    kinds = frozenset(KIND_OF[kind] for kind, _ in value_of)
    return Codec(label, kinds, tuple({kind for kind, _ in plain_of}), to_plain, from_plain)
