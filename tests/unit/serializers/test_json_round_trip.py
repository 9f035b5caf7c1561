"""Whatever the typed serializer accepts comes back equal, and as the same type, all the way down."""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from fractions import Fraction
from ipaddress import IPv4Address, IPv6Network
from pathlib import Path, PurePosixPath
from types import GenericAlias
from typing import Annotated, Any, Final, Generic, Literal, NamedTuple, NewType, NotRequired, Required, Self, TypedDict, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_core.ports.serializer import JsonSerializable, Where
from pynenc_core.serializers.json_serializer import JsonSerializer

UNHURRIED = settings(deadline=None)  # the machine may be busy with other tests
WHERE = Where("shop:pay", "x")
SERIALIZER = JsonSerializer()
T = TypeVar("T")
K = TypeVar("K", int, str)


class Color(Enum):
    RED = (255, 0, 0)
    GREEN = (0, 255, 0)
    LIME = (0, 255, 0)  # noqa: PIE796 - an alias, which comes back as GREEN


class Level(IntEnum):
    LOW = 1


class Mood(StrEnum):
    GOOD = "good"


class Permission(Flag):
    READ = 1
    WRITE = 2


@attrs.frozen
class Item:
    name: str
    price: Decimal
    tags: frozenset[str] = frozenset()


def numbered(text: str) -> str:
    return f"no {text}"


@attrs.define
class Account:
    _secret: str
    number: str = attrs.field(converter=numbered)
    total: int = attrs.field(init=False, default=0)
    kept: list[int] = attrs.field(factory=list, kw_only=True)


@dataclasses.dataclass
class Order:
    items: list[Item]
    when: datetime
    parent: Order | None = None
    lines: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.lines = len(self.items)


@dataclasses.dataclass
class Scaled:
    value: int
    factor: dataclasses.InitVar[int]

    def __post_init__(self, factor: int) -> None:
        self.value *= factor


@dataclasses.dataclass(init=False)
class Handmade:
    value: int

    def __init__(self, text: str) -> None:
        self.value = int(text)


@attrs.frozen
class Box(Generic[T]):
    content: T
    more: list[T]


@attrs.frozen
class IntBox(Box[int]):
    pass


class Point(NamedTuple):
    x: int
    y: float = 0.0


class Movie(TypedDict):
    title: str
    year: NotRequired[int]
    cast: Required[Annotated[list[Point], "in order"]]


class Struct(msgspec.Struct):
    a: int
    b: Color | None = None


class Money:
    """Says itself what JSON stands for it."""

    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and self.cents == other.cents

    def __hash__(self) -> int:
        return hash(self.cents)

    def to_json(self) -> dict[str, int]:
        return {"cents": self.cents}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        return cls(data["cents"])


UserId = NewType("UserId", int)
Tree = list["Tree"] | int


def there_and_back(value: object, annotation: object) -> object:
    return SERIALIZER.decode(SERIALIZER.encode(value, annotation, where=WHERE), annotation, where=WHERE)


def same(one: Any, other: Any) -> bool:
    """Equal, of the same types all the way down; nan is the same as nan."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (one == other and math.copysign(1, one) == math.copysign(1, other))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


CASES: list[tuple[object, object]] = [
    (None, None),
    (5, int),
    (-(2**63), int),
    (2**64 - 1, int),
    (2**12_000, int),
    (-(2**12_000), Any),
    (-0.0, float),
    (1e300, float),
    (float("nan"), float),
    (float("-inf"), float),
    ([float("inf"), None, 2.0], list[float | None]),
    ("naïve \x00 \U0001f600", str),
    (b"\xff\x00", bytes),
    (bytearray(b"ab"), bytearray),
    (datetime.fromisoformat("2026-03-29T02:30:15.123456"), datetime),
    (datetime(2026, 3, 29, 2, 30, tzinfo=UTC), datetime),
    (datetime(1890, 1, 1, tzinfo=timezone(timedelta(minutes=53, seconds=28))), datetime),
    (datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")), datetime),
    (datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1), datetime),
    (date(1, 1, 1), date),
    (time(23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=-3))), time),
    (timedelta.min, timedelta),
    (timedelta.max, timedelta),
    (Decimal("1.10"), Decimal),
    (Decimal("-Infinity"), Decimal),
    (UUID(int=7), UUID),
    (Path("a/b"), Path),
    (PurePosixPath("/etc"), PurePosixPath),
    (Fraction(1, 3), Fraction),
    (IPv4Address("10.0.0.1"), IPv4Address),
    (IPv6Network("fe80::/10"), IPv6Network),
    (ZoneInfo("Asia/Tokyo"), ZoneInfo),
    (Color.RED, Color),
    (Color.LIME, Color),
    (Level.LOW, Level),
    (Mood.GOOD, Mood),
    (Permission.READ | Permission.WRITE, Permission),
    (Permission(0), Permission),
    (Color.RED, Literal[Color.RED, 3, b"x"] | None),
    (b"x", Literal[Color.RED, 3, b"x"] | None),
    (None, Literal[Color.RED, 3, b"x"] | None),
    (True, Literal[1, True]),
    (1, Literal[1, True]),
    ((), tuple[()]),
    ((1, "a"), tuple[int, str]),
    ((1, 2, 3), tuple[int, ...]),
    ((), tuple[int, ...]),
    (("a", 1), tuple),
    ({3, 1, 2}, set[int]),
    ({(1, 2), (0, 5)}, set[tuple[int, int]]),
    (frozenset({"a", None}), frozenset[str | None]),
    ({1: "a", -2: "b"}, dict[int, str]),
    ({(1, 2): 3}, dict[tuple[int, int], int]),
    ({True: 1, None: 2}, dict[bool | None, int]),
    ({Color.RED: {UUID(int=1): b""}}, dict[Color, dict[UUID, bytes]]),
    ({date(2026, 1, 1): 1.0}, Mapping[date, float]),
    ({"b": 1, "a": 2}, dict[str, int]),
    ({"b": [1], "a": (2,)}, dict[str, Any | tuple[int, ...]]),
    (OrderedDict([("b", 1), ("a", 2)]), OrderedDict[str, int]),
    ([1, 2], Sequence[int]),
    ((1, 2), Sequence[int]),
    ({1}, Collection[int]),
    (frozenset({1}), AbstractSet[int]),
    ((1,), Iterable[int]),
    (Item("a", Decimal(1)), Item),
    (
        Order(
            [Item("a", Decimal("0.5"), frozenset("xy"))], datetime(2026, 1, 1, tzinfo=UTC), Order([], datetime.fromisoformat("2026-01-02"))
        ),
        Order,
    ),
    (Scaled(2, 10), Scaled),
    (Handmade("12"), Handmade),
    (Box("a", ["b"]), Box[str]),
    (Box((1,), []), Box[tuple[int, ...]]),
    (IntBox(1, [2]), IntBox),
    (Point(1, 2.0), Point),
    ({"title": "M", "cast": [Point(1)]}, Movie),
    ({"title": "M", "cast": [], "year": 1931}, Movie),
    (Struct(1, Color.GREEN), Struct),
    (Money(5), Money),
    ([Money(5), None, 3], list[Money | int | None]),
    (UserId(5), UserId),
    (5, Annotated[int, ["anything", "unhashable"]]),
    (5, T),
    ("a", K),
    (5, Final[int]),
    ([[1, 2], [[3]], 4], Tree),
    # Members that JSON alone would not tell apart.
    ("5", int | str),
    (5, int | str),
    (5.0, int | float),
    (5, float | int),
    (True, int | bool),
    ("5b", bytes | str),
    (b"5b", bytes | str),
    (UUID(int=5), UUID | str),
    (str(UUID(int=5)), UUID | str),
    (datetime(2026, 1, 1, tzinfo=UTC), date | datetime),
    (date(2026, 1, 1), date | datetime),
    ([1], list[int] | tuple[int, ...] | set[int]),
    ({1}, list[int] | tuple[int, ...] | set[int]),
    (Item("a", Decimal(1)), Order | Item | dict[str, Any]),
    ({"name": "a", "price": "1"}, Order | Item | dict[str, str]),
    (None, UUID | str | None),
    ({"$type": "UUID", "value": "x"}, UUID | dict[str, str]),
    ({"$float": "nan"}, float | dict[str, str]),
    ([], list[int] | list[str]),
    (["a"], list[int] | list[str]),
]


@pytest.mark.parametrize(("value", "annotation"), CASES, ids=[f"{number}-{case[1]}"[:60] for number, case in enumerate(CASES)])
def test_comes_back_equal_and_of_the_same_type(value: object, annotation: object) -> None:
    assert same(there_and_back(value, annotation), value)


def test_an_int_becomes_the_float_that_is_annotated() -> None:
    assert same(there_and_back(3, float), 3.0)
    assert same(there_and_back([2**60], list[float]), [2.0**60])


def test_private_converted_and_uninitialised_attributes_survive() -> None:
    account = Account("s", "1", kept=[1])
    account.total = 7
    account.number = "set later"
    back = there_and_back(account, Account)
    assert back == account


def test_the_wall_time_of_a_zone_survives_with_its_fold() -> None:
    late = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    back = there_and_back(late, datetime)
    assert isinstance(back, datetime)
    assert (back.tzinfo, back.fold, back.utcoffset()) == (ZoneInfo("Europe/Berlin"), 1, timedelta(hours=1))


def test_dicts_keep_their_order() -> None:
    back = there_and_back({"b": 1, "a": 2}, dict[str, int])
    assert isinstance(back, dict)
    assert list(back) == ["b", "a"]


def test_equal_sets_give_equal_bytes() -> None:
    numbers = [0, 8, 16, 1024, 3, 11]
    one, other = set(numbers), {11, 3, 1024, 16, 8, 0}
    assert list(one) != list(other)
    assert SERIALIZER.encode(one, set[int], where=WHERE) == SERIALIZER.encode(other, set[int], where=WHERE)
    mixed = {"a", 1, None, (2, 3)}
    annotation = set[str | int | tuple[int, int] | None]
    assert SERIALIZER.encode(mixed, annotation, where=WHERE) == SERIALIZER.encode({(2, 3), None, 1, "a"}, annotation, where=WHERE)


def test_the_order_of_a_union_changes_no_byte() -> None:
    for value in (1, "1", UUID(int=1), [UUID(int=2)]):
        one: Any = SERIALIZER.encode(value, int | str | UUID | list[UUID | str], where=WHERE)
        assert one == SERIALIZER.encode(value, list[str | UUID] | UUID | str | int, where=WHERE)


def test_a_field_added_with_a_default_is_filled_in_and_an_unknown_one_is_passed_over() -> None:
    assert SERIALIZER.decode(b'{"name":"a","price":"1","since":3}', Item, where=WHERE) == Item("a", Decimal(1))
    assert SERIALIZER.decode(b'{"title":"M","cast":[],"since":3}', Movie, where=WHERE) == {"title": "M", "cast": []}


def test_a_class_with_its_own_format_satisfies_the_protocol() -> None:
    assert isinstance(Money(1), JsonSerializable)


def test_annotations_made_anew_for_each_call_do_not_fill_the_memory() -> None:
    serializer = JsonSerializer()
    for number in range(9000):
        assert serializer.decode(serializer.encode([number], GenericAlias(list, (int,)), where=WHERE), list[int], where=WHERE) == [number]
    assert len(serializer._codecs) <= 4096


# --- any value of any type ---

Typed = tuple[Any, st.SearchStrategy[Any]]
ATOMS: list[Typed] = [
    (int, st.integers()),
    (bool, st.booleans()),
    (str, st.text()),
    (float, st.floats()),
    (None, st.none()),
    (bytes, st.binary()),
    (datetime, st.datetimes(timezones=st.none() | st.timezones(), allow_imaginary=True)),
    (date, st.dates()),
    (time, st.times(timezones=st.none() | st.just(UTC))),
    (timedelta, st.timedeltas()),
    (Decimal, st.decimals(allow_nan=False)),
    (UUID, st.uuids()),
    (Color, st.sampled_from(Color)),
    (Permission, st.sampled_from([Permission(number) for number in range(4)])),
    (Path, st.text("abc./ ", max_size=8).map(Path)),
    (Item, st.builds(Item, st.text(), st.decimals(allow_nan=False), st.frozensets(st.text()))),
    (Point, st.builds(Point, st.integers(), st.floats())),
    (Any, st.recursive(st.integers() | st.text() | st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False), st.lists)),
]
HASHABLE = [atom for atom in ATOMS if atom[0] not in (float, Any, Point)]


@st.composite
def typed(draw: st.DrawFn, depth: int = 3) -> Typed:  # noqa: PLR0911 - a kind a line
    """Draw an annotation, with the strategy of its values."""
    kind = draw(st.sampled_from(["atom", "list", "tuple", "fixed", "set", "dict", "union"] if depth else ["atom"]))
    if kind == "atom":
        atom: Typed = draw(st.sampled_from(ATOMS))
        return atom
    if kind in {"set", "dict"}:
        key, keys = draw(st.sampled_from(HASHABLE))
        if kind == "set":
            return GenericAlias(frozenset, (key,)), st.frozensets(keys, max_size=4)
        value, values = draw(typed(depth=depth - 1))
        return GenericAlias(dict, (key, value)), st.dictionaries(keys, values, max_size=3)
    inner, values = draw(typed(depth=depth - 1))
    if kind == "list":
        return GenericAlias(list, (inner,)), st.lists(values, max_size=4)
    if kind == "tuple":
        return GenericAlias(tuple, (inner, ...)), st.lists(values, max_size=4).map(tuple)
    other, others = draw(typed(depth=depth - 1))
    if kind == "fixed":
        return GenericAlias(tuple, (inner, other)), st.tuples(values, others)
    union: Any = Any if Any in (inner, other) else (inner | other if inner is not None or other is not None else None)
    return union, st.one_of([values, others]) if union is not Any else ATOMS[-1][1]


@UNHURRIED
@given(st.data())
def test_any_value_of_any_type_comes_back(data: st.DataObject) -> None:
    annotation, values = data.draw(typed())
    value = data.draw(values)
    assert same(there_and_back(value, annotation), value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@UNHURRIED
@given(JSON)
def test_what_json_can_say_needs_no_annotation(value: object) -> None:
    assert same(there_and_back(value, Any), value)
    assert same(there_and_back(value, object), value)
