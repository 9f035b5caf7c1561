"""Turns what a file, a variable or code gives into what a field's annotation says."""

from __future__ import annotations

import builtins
import json
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, cast, get_args, get_origin

import attrs
import msgspec

from pynenc_core.plugins.discovery import describe, import_target

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})
_NONE = frozenset({"", "none", "null"})
_COLLECTIONS = (list, tuple, set, frozenset)


class ConversionError(Exception):
    """The value does not fit; the text says why, without the value."""


def from_text(text: str, annotation: object) -> object:
    """Parse the value of a variable: `false`, `0`, `a,b` or `["a", "b"]`, JSON for structured ones. Raises ConversionError."""
    bare, optional = _bare(annotation)
    stripped = text.strip()
    if optional and stripped.lower() in _NONE:
        return None
    origin = get_origin(bare) or bare
    if origin is bool:
        word = stripped.lower()
        if word not in _TRUE | _FALSE:
            raise ConversionError(_NO_BOOL)
        return word in _TRUE
    if origin is str or origin is Literal:
        return from_value(text, annotation)
    if origin in _COLLECTIONS and not stripped.startswith("["):
        return _convert([part for part in (part.strip() for part in stripped.split(",")) if part], annotation, strict=False)
    if stripped[:1] in {"[", "{"}:
        try:
            return _convert(json.loads(stripped), annotation, strict=False)
        except json.JSONDecodeError as error:
            problem = f"it is not JSON: {error.msg} at character {error.pos + 1}"
            raise ConversionError(problem) from error
    return _convert(stripped, annotation, strict=False)


def from_value(value: object, annotation: object) -> object:
    """Check and convert a value from a file or from code: sequences to the field's collection, names to classes; no parsing.

    Raises ConversionError.
    """
    bare, _ = _bare(annotation)
    if get_origin(bare) is Literal and isinstance(value, str):
        value = next((each for each in get_args(bare) if isinstance(each, str) and each.lower() == value.strip().lower()), value)
    if isinstance(value, Mapping):
        value = dict(cast("Mapping[object, object]", value))
    return _convert(value, annotation, strict=True)


def to_plain(value: object) -> object:
    """Return a setting's value as plain JSON data from which `from_value` makes an equal one."""
    if isinstance(value, AbstractSet):
        value = sorted(cast("AbstractSet[str]", value))
    return msgspec.to_builtins(value, enc_hook=_class_name, str_keys=True)


def _convert(value: object, annotation: object, *, strict: bool) -> object:
    try:
        converted = msgspec.convert(value, type=annotation, strict=strict, dec_hook=_custom)
    except msgspec.ValidationError as error:
        problem = str(error).replace(" - at `$`", "")
        raise ConversionError(_allowed(annotation, problem)) from error
    if not _finite(converted):
        raise ConversionError(_NOT_FINITE)
    return converted


def _finite(value: object) -> bool:
    """Return whether no number in a value is infinite or none at all: neither compares as the rules of a setting expect."""
    if isinstance(value, float):
        return math.isfinite(value)
    if attrs.has(type(value)):
        return all(_finite(getattr(value, field.name)) for field in attrs.fields(cast("type[attrs.AttrsInstance]", type(value))))
    if isinstance(value, Mapping):
        return all(map(_finite, cast("Mapping[object, object]", value).values()))
    return not isinstance(value, _COLLECTIONS) or all(map(_finite, cast("list[object]", value)))


_NOT_FINITE = "expected a finite number"
_NO_BOOL = "expected true, false, 1, 0, yes, no, on or off"


def _allowed(annotation: object, problem: str) -> str:
    """Return the problem; for a choice, what may be chosen, as the codec's text would show the value itself."""
    bare, _ = _bare(annotation)
    if get_origin(bare) is Literal:
        return f"expected one of {', '.join(map(str, get_args(bare)))}"
    return problem


def _bare(annotation: object) -> tuple[object, bool]:
    """Return the annotation without its metadata and without None, and whether None was allowed."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in {Union, UnionType}:
        parts = [part for part in get_args(annotation) if part is not NoneType]
        optional = len(parts) < len(get_args(annotation))
        return (_bare(parts[0])[0], optional) if len(parts) == 1 else (annotation, optional)
    return annotation, False


def _custom(kind: type, value: object) -> object:
    """Decode what the codec does not know: classes, given as such or as `module:Name`, or by the name of a built-in."""
    if get_origin(kind) is type:
        (bound,) = get_args(kind)
        found = _class(value) if isinstance(value, str) else value
        if isinstance(found, type) and issubclass(found, bound):
            return cast("object", found)
        problem = f"expected a class derived from {bound.__name__}, as `module:Name`"
        raise ValueError(problem)
    if isinstance(value, kind):
        return value
    problem = f"expected {kind.__name__}"
    raise ValueError(problem)


def _class(name: str) -> object:
    found = getattr(builtins, name, None)
    if found is not None:
        return found
    target = name if ":" in name else ":".join(name.rsplit(".", 1))
    try:
        return import_target(target)
    except Exception as error:
        raise ValueError(describe(error)) from error


def _class_name(value: object) -> object:
    if isinstance(value, type):
        return f"{value.__module__}:{value.__qualname__}"
    if attrs.has(type(value)):
        return attrs.asdict(cast("attrs.AttrsInstance", value))
    problem = f"a {type(value).__name__} cannot be written as plain data"
    raise TypeError(problem)
