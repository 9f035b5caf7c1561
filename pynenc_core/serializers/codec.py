"""What a codec is: two functions between a Python value and plain JSON data, and what they raise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, NoReturn

import attrs

NULL, BOOL, INT, FLOAT, STR, LIST, DICT = "null", "bool", "int", "float", "str", "list", "dict"
ANY_KIND = frozenset({NULL, BOOL, INT, FLOAT, STR, LIST, DICT})
KIND_OF: dict[type, str] = {type(None): NULL, bool: BOOL, int: INT, float: FLOAT, str: STR, list: LIST, dict: DICT}

MAX_NESTING = 100
"""How deep un-annotated data may nest; typed data is as deep as its types, and the interpreter's stack."""
_SAID = 300
_PLAIN_MODULES = {"builtins", "datetime", "decimal", "uuid"}
"""A subclass of a class from here has no codec of its own, unless it is an enumeration."""


class Misfit(Exception):  # noqa: N818 - a control flow signal inside this package, never seen by users
    """A value or datum does not fit a codec; grows its path on the way out and ends as a typed error."""

    def __init__(self, words: str, *, remedy: str = "", detail: str = "", **fields: object) -> None:
        super().__init__(words)
        self.words = words
        """With the names of `fields` in braces; most misfits are a member of a union that did not fit, and are never spelt out."""
        self.fields = fields
        self.remedy = remedy
        self.detail = detail
        """What may quote the value itself, so that it must be left out for secret parameters."""
        self.steps: list[str] = []
        """From the innermost outwards."""

    def under(self, step: str) -> Misfit:
        """Note that this happened inside `step` of something larger."""
        self.steps.append(step)
        return self

    @property
    def problem(self) -> str:
        """What is wrong, in words."""
        return self.words.format_map(self.fields)

    @property
    def path(self) -> str:
        """Where inside the outermost value: `[2].price`."""
        return "".join(reversed(self.steps))


@attrs.define(eq=False)
class Codec:
    """How values of one annotation become plain JSON data and return.

    `to_plain` refuses, with a Misfit, whatever `from_plain` would not give back equal and of the same type. Plain data
    is None, bool, int, float, str, and lists and dicts with str keys of them, or a `msgspec.Raw` of such.
    """

    label: str
    """The annotation, as written in errors."""
    kinds: frozenset[str]
    """The kinds of JSON data `to_plain` may return."""
    accepts: tuple[type, ...]
    """The exact types `to_plain` may accept; empty when they cannot be told in advance."""
    to_plain: Callable[[Any], Any]
    from_plain: Callable[[Any], Any]


def described(value: object) -> str:
    """Return what kind of thing a value is, without saying anything of the value."""
    return "None" if value is None else with_article(type(value).__qualname__)


def with_article(name: str) -> str:
    """Return a type's name with `a` or `an` before it."""
    return f"{'an' if name[:1] in 'aeiouAEIO' else 'a'} {name}"


def refuse_value(value: object, label: str) -> NoReturn:
    """Raise the Misfit of a value whose type is not the annotated one."""
    for base in type(value).__mro__[1:]:
        if base.__qualname__ == label:
            carried = base.__module__ not in _PLAIN_MODULES or isinstance(value, (bool, Enum))
            remedy = f"annotate it as `{type(value).__qualname__}`, or pass a plain `{label}`" if carried else f"pass a plain `{label}`"
            raise Misfit(
                "it is {it}, a subclass of `{label}`, and would come back as a plain `{label}`",
                remedy=remedy,
                it=described(value),
                label=label,
            )
    remedy = f"annotate it as `{label} | None` if it may be None" if value is None else ""
    raise Misfit("it is {it} where `{label}` is declared", remedy=remedy, it=described(value), label=label)


def refuse_data(data: object, label: str) -> NoReturn:
    """Raise the Misfit of a stored datum that is of the wrong kind."""
    raise Misfit("`{label}` cannot be made from the stored {kind}", label=label, kind=KIND_OF.get(type(data), "value"))


def said_by(error: BaseException) -> str:
    """Return the message of another's exception on one line of at most 300 characters, whatever its `__str__` does."""
    try:
        return " ".join(str(error).split())[:_SAID]
    except Exception:  # noqa: BLE001 - it only says what more there is to say
        return ""


def first_misfit(function: Callable[[Any], Any], items: Iterable[Any]) -> NoReturn:
    """Find again which of `items` did not fit, and raise with its index; keeps the bookkeeping off the fast path."""
    for index, item in enumerate(items):
        try:
            function(item)
        except Misfit as error:
            raise error.under(f"[{index}]") from error.__cause__
    raise Misfit("its items changed while they were encoded")
