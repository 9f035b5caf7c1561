"""What would not come back equal is refused at the call, naming the parameter and the annotation that would carry it."""

from __future__ import annotations

import collections
import dataclasses
import enum
import pickle
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import pytest

from pynenc_core.errors.serialization import ArgumentEncodingError, ResultEncodingError
from pynenc_core.ports.serializer import Where
from pynenc_core.serializers.hints import Unresolved
from pynenc_core.serializers.json_serializer import JsonSerializer

WHERE = Where("shop:pay", "x")
SERIALIZER = JsonSerializer()
WRONG: Any = None
"""What no field here is annotated with."""


@attrs.frozen
class Item:
    name: str
    price: float = 0.0


@attrs.frozen
class Special(Item):
    extra: int = 0


class Undeclared(Item):
    """Not an attrs class itself: it may have attributes that nothing declares."""


@dataclasses.dataclass
class Order:
    items: list[Item]
    by_name: dict[str, Item] = dataclasses.field(default_factory=dict)


class Mood(enum.StrEnum):
    GOOD = "good"


class Pair(NamedTuple):
    a: int
    b: int


class Movie(TypedDict):
    title: str


class Text(str):
    __slots__ = ()


class Speaks(Protocol):
    def speak(self) -> str: ...


class Liar:
    def to_json(self) -> Any:
        return {"a": (1, 2)}

    @classmethod
    def from_json(cls, data: Any) -> Liar:
        raise AssertionError(data)


class Explosive:
    def to_json(self) -> Any:
        raise KeyError("hush")

    @classmethod
    def from_json(cls, data: Any) -> Explosive:
        raise AssertionError(data)


class Nameless(tzinfo):
    """A time zone without a name, which leaves summer time some day at midnight."""

    def utcoffset(self, when: datetime | None) -> timedelta:
        return timedelta(hours=2 if when is not None and when.hour == 0 and not when.fold else 1)

    def dst(self, when: datetime | None) -> timedelta:
        return self.utcoffset(when)

    def tzname(self, _when: datetime | None) -> None:
        return None


class Guarding(type):
    @property
    def to_json(cls) -> Any:
        raise RuntimeError("do not look")


class Guarded(metaclass=Guarding):
    pass


def refused(value: object, annotation: object, where: Where = WHERE) -> ArgumentEncodingError:
    with pytest.raises(ArgumentEncodingError) as caught:
        SERIALIZER.encode(value, annotation, where=where)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - made here
    return caught.value


UNANNOTATED: list[tuple[object, str]] = [
    ((1, 2), "tuple[int, int]"),
    ((), "tuple[()]"),
    ((1, "a", None, 2, 3), "tuple[int | str | None, ...]"),
    ({1, 2}, "set[int]"),
    (frozenset(), "frozenset[int]"),
    (b"x", "bytes"),
    (datetime(2026, 1, 1, tzinfo=UTC), "datetime"),
    (UUID(int=1), "UUID"),
    (Decimal(1), "Decimal"),
    (Path("a"), "Path"),
    (Mood.GOOD, "Mood"),
    (Item("a"), "Item"),
    (Order([]), "Order"),
    (Pair(1, 2), "Pair"),
    (float("nan"), "float"),
    (float("inf"), "float"),
    ({1: "a"}, "dict[int, str]"),
    ({(1, 2): [UUID(int=1)]}, "dict[tuple[int, int], list[UUID]]"),
]


@pytest.mark.parametrize(("value", "carrier"), UNANNOTATED, ids=[str(number) for number in range(len(UNANNOTATED))])
@pytest.mark.parametrize("annotation", [Any, object], ids=["Any", "object"])
def test_without_annotation_the_one_that_would_carry_the_value_is_named(annotation: object, value: object, carrier: str) -> None:
    error = refused(value, annotation)
    assert (error.task_id, error.parameter, error.annotation) == ("shop:pay", "x", "")
    assert f"annotate it as `{carrier}`" in error.remedy


@pytest.mark.parametrize(
    "value",
    [
        object(),
        threading.Lock(),
        collections.OrderedDict(a=1),
        collections.Counter("a"),
        Text("a"),
        lambda: None,
        Undeclared("a"),
        range(3),
    ],
    ids=lambda value: type(value).__qualname__,
)
def test_what_no_annotation_carries_gets_a_way_out(value: object) -> None:
    error = refused([value], Any)
    assert error.path == "[0]"
    assert "no annotation would carry" in error.remedy
    assert "to_json" in error.remedy


def test_deep_inside_un_annotated_data_the_place_is_named() -> None:
    error = refused({"a": [1, {"b": (1,)}]}, Any)
    assert error.path == "['a'][1]['b']"
    assert str(error) == (
        "task shop:pay: argument 'x', which has no annotation, cannot be sent at ['a'][1]['b']: "
        "JSON would not give a tuple back as that; annotate it as `tuple[int]`"
    )


MISFITS: list[tuple[object, object, str]] = [
    ("5", int, "it is a str where `int` is declared"),
    (True, int, "it is a bool, a subclass of `int`, and would come back as a plain `int`"),
    (5.0, int, "it is a float where `int` is declared"),
    (1, bool, "it is an int where `bool` is declared"),
    (True, float, "it is a bool where `float` is declared"),
    (2**53 + 1, float, "it is an int that no `float` equals"),
    (10**400, float, "it is an int that no `float` equals"),
    (2**14_000, int, "an int of more than 13000 bits is refused"),
    (2**14_000, Any, "an int of more than 13000 bits is refused"),
    ("5.0", float, "it is a str where `float` is declared"),
    (5, str, "it is an int where `str` is declared"),
    (None, str, "it is None where `str` is declared"),
    (Text("a"), str, "it is a Text, a subclass of `str`, and would come back as a plain `str`"),
    (Mood.GOOD, str, "it is a Mood, a subclass of `str`, and would come back as a plain `str`"),
    ("good", Mood, "it is a str where `Mood` is declared"),
    (0, None, "it is an int where `None` is declared"),
    ("2026-01-01", datetime, "it is a str where `datetime` is declared"),
    (str(UUID(int=1)), UUID, "it is a str where `UUID` is declared"),
    ("a", Path, "it is a str where `Path` is declared"),
    (1, Decimal, "it is an int where `Decimal` is declared"),
    ((1, 2), list[int], "it is a tuple where `list[int]` is declared"),
    ([1, 2], tuple[int, int], "it is a list where `tuple[int, int]` is declared"),
    ((1, 2, 3), tuple[int, int], "it has 3 items where `tuple[int, int]` has 2"),
    (frozenset({1}), set[int], "it is a frozenset where `set[int]` is declared"),
    ({"a": 1}, Item, "it is a dict where `Item` is declared"),
    (Special("a"), Item, "it is a Special, a subclass of `Item`, and would come back as a plain `Item`"),
    (Undeclared("a"), Undeclared, "`Undeclared` is nothing JSON could carry"),
    ({"title": "a", "year": 1}, Movie, "it has a key that `Movie` does not declare"),
    ({}, Movie, "it lacks the key 'title' of `Movie`"),
    ("c", Literal["a", "b"], "it is none of the values of `Literal['a', 'b']`"),
    (True, Literal[1], "it is none of the values of `Literal[1]`"),
    ([], Literal[1], "it is none of the values of `Literal[1]`"),
    ("text", Sequence[str], "it is a str, which fits no member of `Sequence[str]`"),
    (1.5, int | str, "it is a float, which fits no member of `int | str`"),
    (b"", UUID | str, "it is a bytes, which fits no member of `UUID | str`"),
    (Special("a"), Item | None, "it is a Special, which fits no member of `Item | None`"),
    (print, Callable[[], int], "`Callable[[], int]` is nothing JSON could carry"),
    (1, Speaks, "`Speaks` is nothing JSON could carry"),
    (Guarded(), Guarded, "`Guarded` is nothing JSON could carry (do not look)"),
    (1, threading.Thread, "`Thread` is nothing JSON could carry"),
    (time(1, tzinfo=ZoneInfo("Europe/Berlin")), time, "its tzinfo gives no offset from UTC without a date"),
    (Explosive(), Explosive, "its `to_json` raised KeyError"),
    ("a\ud800", str, "it holds text with a lone surrogate, which is no Unicode"),
    (Path("a\udcff"), Path, "it holds text with a lone surrogate, which is no Unicode"),
]


@pytest.mark.parametrize(("value", "annotation", "problem"), MISFITS, ids=[str(number) for number in range(len(MISFITS))])
def test_a_value_that_does_not_fit_its_annotation_fails_at_the_call(value: object, annotation: object, problem: str) -> None:
    error = refused(value, annotation)
    assert problem in error.problem
    assert error.parameter == "x"


PLACES: list[tuple[object, object, str]] = [
    ([1, "a"], list[int], "[1]"),
    ((1, "a"), tuple[int, ...], "[1]"),
    ((1, 1), tuple[int, str], "[1]"),
    ({"a"}, set[int], "{...}"),
    ({"k": "v"}, dict[str, int], "['k']"),
    ({1: 2}, dict[str, int], "{key}"),
    ({1: 2}, dict, "{key}"),
    (Order([Item("a"), Item("b", 1)], {"c": Item(WRONG)}), Order, ".by_name['c'].name"),
    ([{"title": 5}], list[Movie], "[0].title"),
    ([Item("a", WRONG)], list[Item] | None, "[0].price"),
    (Liar(), Liar, ".to_json()['a']"),
]


@pytest.mark.parametrize(("value", "annotation", "path"), PLACES, ids=[str(number) for number in range(len(PLACES))])
def test_the_place_inside_the_value_is_named(value: object, annotation: object, path: str) -> None:
    assert refused(value, annotation).path == path


def test_none_where_it_is_not_allowed_says_how_to_allow_it() -> None:
    error = refused(None, int)
    assert str(error) == (
        "task shop:pay: argument 'x', annotated `int`, cannot be sent: it is None where `int` is declared; "
        "annotate it as `int | None` if it may be None"
    )


def test_a_time_that_occurs_twice_in_a_nameless_zone_is_refused_and_others_come_back() -> None:
    day = datetime(2026, 1, 1, 12, tzinfo=Nameless())
    assert SERIALIZER.decode(SERIALIZER.encode(day, datetime, where=WHERE), datetime, where=WHERE) == day
    error = refused(day.replace(hour=0), datetime)
    assert error.problem == "it is a local time that occurs twice or never, in a time zone without a name"
    assert error.remedy == "convert it to UTC"


def test_the_way_out_of_a_subclass_is_one_that_works() -> None:
    assert refused(Text("a"), str).remedy == "pass a plain `str`"
    assert refused(Mood.GOOD, str).remedy == "annotate it as `Mood`, or pass a plain `str`"
    assert refused(Special("a"), Item).remedy == "annotate it as `Special`, or pass a plain `Item`"


def test_a_cycle_ends_in_an_error_and_not_in_the_stack() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    assert "nests deeper than 100 levels" in refused(cycle, Any).problem
    order = Order([])
    untyped: Any = order
    order.items = [untyped]
    assert "where `Item` is declared" in refused(order, Order).problem


@attrs.define
class Chain:
    next: Chain | None = None


def test_an_object_that_contains_itself_is_refused() -> None:
    chain = Chain()
    chain.next = chain
    assert refused(chain, Chain).problem == "it is nested too deeply, or contains itself"


def test_a_field_that_was_never_set_is_named() -> None:
    item = Item.__new__(Item)
    assert refused(item, Item).problem == "its field `name` was never set"


def test_names_for_type_checkers_only_count_as_no_annotation_and_the_error_says_so() -> None:
    unknown = Unresolved("Invoice")
    assert SERIALIZER.encode([1], unknown, where=WHERE) == b"[1]"
    assert str(refused((1,), unknown)) == (
        "task shop:pay: argument 'x', annotated `Invoice`, cannot be sent: JSON would not give a tuple back as that; "
        "names in `Invoice` do not exist at run time, so it counts as un-annotated: import them outside TYPE_CHECKING"
    )


def test_a_result_that_does_not_fit_is_a_result_error() -> None:
    with pytest.raises(ResultEncodingError) as caught:
        SERIALIZER.encode([{1}], list[int], where=Where("shop:pay"))
    assert str(caught.value) == (
        "task shop:pay: its return value, annotated `list[int]`, cannot be stored at [0]: it is a set where `int` is declared"
    )
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - made here


SECRET = Where("shop:pay", "x", secret=True)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ({"hush": 1}, dict[str, str]),
        ({"hush": (1,)}, Any),
        (Explosive(), Explosive),
        ({"title": "", "hush": 1}, Movie),
        ("hush\ud800", str),
    ],
)
def test_nothing_of_a_secret_value_is_said(value: object, annotation: object) -> None:
    error = refused(value, annotation, SECRET)
    assert "hush" not in str(error)
    assert "hush" not in repr(error.__cause__)
    assert error.path == ""
