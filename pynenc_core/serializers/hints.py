"""Annotations as types: strings resolved where they can be, and said to be unknown where they cannot."""

# Values of any type are looked at here, and `type(x) is list` tells nothing of the items:
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs


@attrs.frozen
class Unresolved:
    """An annotation whose names do not exist at run time; values under it are treated as un-annotated."""

    text: str


def describe(annotation: object) -> str:  # noqa: PLR0911 - a case a line
    """Return an annotation as it would be written, without modules; empty where there is none."""
    if annotation is Any or annotation is object:
        return ""
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, Unresolved):
        return annotation.text
    if isinstance(annotation, str):
        return annotation
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is None:
        name = getattr(annotation, "__qualname__", None) or getattr(annotation, "__name__", None)
        return name.rpartition("<locals>.")[2] if isinstance(name, str) else str(annotation)
    if origin is typing.Annotated:
        return describe(arguments[0])
    if origin is typing.Literal:
        return f"Literal[{', '.join(repr(each) for each in arguments)}]"
    parts = ["..." if each is ... else describe(each) or "Any" for each in arguments]
    if origin in {typing.Union, types.UnionType}:
        # In an order of its own: `typing` caches, so the same union may come in another order in another process,
        # and stored data names members by this text.
        return " | ".join(sorted(parts, key=lambda part: (part == "None", part)))
    if not parts:
        return "tuple[()]" if origin is tuple else describe(origin)
    return f"{describe(origin) or origin}[{', '.join(parts)}]"


def _one(annotation: object, scope: Mapping[str, Any], local: Mapping[str, Any]) -> object:
    """Resolve a single annotation, or say that it cannot be."""
    stand_in = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(stand_in, dict(scope), dict(local), include_extras=True)["it"]
    except Exception:  # noqa: BLE001 - an annotation may be any expression; what it raises says nothing about the call
        return Unresolved(annotation if isinstance(annotation, str) else describe(annotation))


def function_hints(function: Callable[..., Any]) -> dict[str, object]:
    """Return the resolved annotations of a function by parameter, with `return`; never raises.

    One that cannot be resolved (a name imported for type checkers only, a class local to a function) becomes
    `Unresolved`, and does not affect the others.
    """
    inner: Any = function
    while hasattr(inner, "__wrapped__"):
        inner = inner.__wrapped__
    inner = getattr(inner, "func", inner)  # functools.partial
    found: Mapping[str, object] = getattr(inner, "__annotations__", None) or {}
    if not found:
        return {}
    code, cells = getattr(inner, "__code__", None), getattr(inner, "__closure__", None) or ()
    local: dict[str, Any] = _type_parameters(inner)
    for name, cell in zip(getattr(code, "co_freevars", ()), cells, strict=False):
        try:
            local[name] = cell.cell_contents
        except ValueError:  # a variable that is not assigned yet
            continue
    scope = getattr(inner, "__globals__", {})
    return {name: _one(annotation, scope, local) for name, annotation in found.items()}


def field_hints(kind: type) -> dict[str, object]:
    """Return the resolved annotations of a class's fields, those of its bases included, type variables filled in."""
    hints: dict[str, object] = {}
    filled = _type_variables(kind)
    for base in reversed(kind.__mro__):
        own = vars(base).get("__annotations__") or {}
        scope = vars(sys.modules[base.__module__]) if base.__module__ in sys.modules else {}
        for name, annotation in own.items():
            hints[name] = substitute(_one(annotation, scope, {**_type_parameters(base), base.__name__: base, **vars(base)}), filled)
    return hints


def _type_parameters(owner: object) -> dict[str, Any]:
    """Return the names that `def f[T]` and `class C[T]` bring along (Python 3.12)."""
    return {parameter.__name__: parameter for parameter in getattr(owner, "__type_params__", ())}


def _type_variables(kind: type) -> dict[object, object]:
    """Return what `class IntBox(Box[int])` and its like say about the type variables of the bases."""
    filled: dict[object, object] = {}
    for cls in kind.__mro__:
        for base in vars(cls).get("__orig_bases__", ()):
            origin = typing.get_origin(base)
            for variable, value in zip(getattr(origin, "__parameters__", ()), typing.get_args(base), strict=False):
                filled.setdefault(variable, substitute(value, filled))
    return filled


def substitute(annotation: object, filled: Mapping[object, object]) -> object:
    """Return an annotation with its type variables replaced."""
    if not filled:
        return annotation
    if isinstance(annotation, TypeVar):
        return filled.get(annotation, annotation)
    parameters = getattr(annotation, "__parameters__", ())
    if not parameters or typing.get_origin(annotation) is None:
        return annotation
    whole: Any = annotation
    return whole[tuple(filled.get(parameter, parameter) for parameter in parameters)]
