"""Exceptions as data: their class or RemoteError, always with message and traceback, never an error from rebuilding."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
import types
from datetime import UTC, datetime
from typing import Any, Never

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_core.errors.base import PynencError
from pynenc_core.errors.invocations import ConcurrencyDeadlockError, InvocationTimeoutError, RetryError
from pynenc_core.errors.serialization import ArgumentEncodingError, PayloadDecodingError, RemoteError
from pynenc_core.serializers.exceptions import MAX_MESSAGE, MAX_TRACEBACK, MAX_WHOLE, cut, decode_exception, encode_exception

UNHURRIED = settings(deadline=None)  # the machine may be busy with other tests


class CustomConstructorError(Exception):
    def __init__(self, code: int, *, where: str) -> None:
        super().__init__(f"{code} in {where}")
        self.code = code
        self.where = where


class OtherMessageError(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(f"did not work: {text}")


class StatefulError(Exception):
    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code
        self.when = datetime(2026, 1, 1, tzinfo=UTC)


class LostError(Exception):
    pass


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError

    def __repr__(self) -> str:
        raise RuntimeError

    def __reduce__(self) -> Never:
        raise RuntimeError


class HidingError(Exception):
    @property
    def __dict__(self) -> Never:  # type: ignore[override]  # it hides what it has
        raise TypeError


@attrs.frozen(slots=True)
class FrozenError(Exception):
    order: str
    count: int = 0


class ShopError(PynencError):
    shop: str
    tags: tuple[str, ...] = ()
    _hidden: int = 0

    def __str__(self) -> str:
        return f"{self.shop} is closed {self.tags} {self._hidden}"


class PlainShopError(PynencError):
    pass


class ShopGroupError(ExceptionGroup[Exception]):
    pass


def raised(error: BaseException) -> BaseException:
    """Return `error` with a traceback."""
    try:
        throw(error)
    except BaseException as caught:  # noqa: BLE001 - that is the point
        return caught


def throw(error: BaseException) -> Never:
    raise error


def caught_from(statement: str) -> Exception:
    """Return what a statement raises."""
    try:
        exec(statement, {"json": json})  # noqa: S102 - our own statements
    except Exception as error:  # noqa: BLE001 - that is the point
        return error
    raise AssertionError(statement)


def traceback_of(error: BaseException) -> str:
    return str(vars(error)["remote_traceback"])


def there_and_back(error: BaseException) -> BaseException:
    return decode_exception(encode_exception(raised(error)))


REBUILT: list[Exception] = [
    ValueError("plain"),
    ValueError(),
    ValueError("several", 2, None, 1.5, True, ("tuple", [1], {"a": b"bytes"})),
    KeyError(("a", 1)),
    FrozenError("a", 2),
    subprocess.CalledProcessError(1, ["a"], b"out"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "why"),
    TimeoutError("late"),
    InvocationTimeoutError("i", "RUNNING", 2.5),
    ConcurrencyDeadlockError("i", ("a", "b")),
    RetryError("later", 3.0),
    ShopError("s", ("a", "b"), 3),
    ArgumentEncodingError("t", "x", "int", "it is a str", "[1]", "do"),
    PlainShopError("a", 1),
    RemoteError("lib.Error", "m", "Traceback ..."),
    StatefulError("text", 5),
]
STATEMENTS = [
    "open('/no/such/file')",
    "json.loads('{')",
    "None.missing",
    "[][1]",
    "{}['k']",
    "1/0",
    "undefined",
    "int('x')",
    "import no.such",
]


@pytest.mark.parametrize("error", [*REBUILT, *map(caught_from, STATEMENTS)], ids=lambda error: f"{type(error).__name__}-{str(error)[:20]}")
def test_comes_back_as_its_class_with_message_arguments_and_traceback(error: Exception) -> None:
    back = there_and_back(error)
    assert type(back) is type(error)
    assert (str(back), back.args) == (str(error), error.args)
    text = traceback_of(back)
    assert "Traceback (most recent call last)" in text
    assert type(error).__name__ in text
    assert back.__notes__ == ["Traceback where it was raised:\n" + text.rstrip()]


def test_attributes_that_the_arguments_do_not_make_come_back() -> None:
    back = there_and_back(StatefulError("text", code=5))
    assert isinstance(back, StatefulError)
    assert back.code == 5


REMOTE: list[tuple[BaseException, str]] = [
    (CustomConstructorError(3, where="x"), "test_exceptions.CustomConstructorError: 3 in x"),
    (OtherMessageError("a"), "test_exceptions.OtherMessageError: did not work: a"),
    (ValueError(object), "ValueError: <class 'object'>"),
    (ValueError(float("nan")), "ValueError: nan"),
    (SystemExit(3), "SystemExit: 3"),
    (KeyboardInterrupt(), "KeyboardInterrupt"),
    (GeneratorExit(), "GeneratorExit"),
    (asyncio.CancelledError("why"), "asyncio.exceptions.CancelledError: why"),
    (StopIteration(5), "StopIteration: 5"),
    (StopAsyncIteration(5), "StopAsyncIteration: 5"),
    (BrokenError(1), "test_exceptions.BrokenError: (its message could not be made: RuntimeError)"),
    (HidingError("x"), "test_exceptions.HidingError"),
    (ValueError("lone \ud800"), "ValueError: lone \\ud800"),
    (PlainShopError(object), "test_exceptions.PlainShopError: <class 'object'>"),
]


@pytest.mark.parametrize(("error", "text"), REMOTE, ids=[type(error).__name__ + str(number) for number, (error, _) in enumerate(REMOTE)])
def test_what_cannot_be_rebuilt_is_a_remote_error_with_the_same_text(error: BaseException, text: str) -> None:
    back = there_and_back(error)
    assert isinstance(back, RemoteError)
    assert text.removeprefix("test_exceptions.") in str(back)
    assert type(error).__name__ in back.traceback or "(" in back.traceback
    assert traceback_of(back) == back.traceback
    assert str(pickle.loads(pickle.dumps(back))) == str(back)  # noqa: S301 - made here


def test_an_attribute_that_is_neither_carried_nor_made_again_makes_it_a_remote_error() -> None:
    error = LostError("text")
    vars(error)["response"] = object()
    assert isinstance(there_and_back(error), RemoteError)
    vars(error)["response"] = "plain"
    back = there_and_back(error)
    assert type(back) is LostError
    assert vars(back)["response"] == "plain"


def test_a_class_local_to_a_function_is_a_remote_error() -> None:
    class LocalError(Exception):
        pass

    back = there_and_back(LocalError("x"))
    assert isinstance(back, RemoteError)
    assert back.type_name.endswith("<locals>.LocalError")


def test_a_class_that_is_not_loaded_here_is_not_looked_for() -> None:
    told = b'{"module":"this","name":"Zen","message":"m","text":"tb","exact":true,"args":["m"]}'
    back = decode_exception(told)
    assert (type(back), str(back)) == (RemoteError, "this.Zen: m")
    assert "this" not in sys.modules


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "print"),
        ("builtins", "int"),
        ("sys", "modules"),
        ("builtins", "SystemExit"),
        ("os", "path.join"),
        ("os", ""),
    ],
)
def test_only_exception_classes_are_called(module: str, name: str) -> None:
    told = msgspec.json.encode({"module": module, "name": name, "message": "1", "exact": True, "args": ["1"], "fields": None})
    assert isinstance(decode_exception(told), RemoteError)


def test_a_lazy_module_is_not_asked() -> None:
    lazy = types.ModuleType("lazy_module_of_this_test")
    asked: list[str] = []
    vars(lazy)["__getattr__"] = asked.append
    sys.modules[lazy.__name__] = lazy
    try:
        decode_exception(b'{"module":"lazy_module_of_this_test","name":"Error","exact":true}')
    finally:
        del sys.modules[lazy.__name__]
    assert asked == []


def test_our_own_error_is_found_by_name_when_its_module_has_moved() -> None:
    data = encode_exception(RetryError("later", 1.0)).replace(b"pynenc_core.errors.invocations", b"pynenc_core.errors.moved")
    back = decode_exception(data)
    assert type(back) is RetryError
    assert back.fields() == {"reason": "later", "delay": 1.0}


def test_our_own_error_with_fields_of_another_version_is_a_remote_error() -> None:
    data = encode_exception(RetryError("later", 1.0)).replace(b'"delay":', b'"pause":')
    assert isinstance(decode_exception(data), RemoteError)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b'{"module":1}', b"{}", b"\xff", b"[" * 100_000], ids=lambda data: repr(data[:8]))
def test_damaged_data_are_a_typed_error(data: bytes) -> None:
    with pytest.raises(PayloadDecodingError):
        decode_exception(data)


def test_causes_contexts_and_notes_are_told() -> None:
    outer = ValueError("outer")
    outer.__cause__ = raised(KeyError("k"))
    outer.add_note("look in the cellar")
    back = there_and_back(outer)
    assert "KeyError: 'k'" in traceback_of(back)
    assert "direct cause" in traceback_of(back)
    assert back.__notes__[0] == "look in the cellar"


def test_a_circle_of_causes_ends() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    back = there_and_back(one)
    assert traceback_of(back).count("ValueError: other") == 1


def test_an_exception_that_travels_twice_does_not_grow() -> None:
    back = there_and_back(ValueError("x"))
    again = there_and_back(back)
    assert type(again) is ValueError
    assert len(again.__notes__) == 1
    assert traceback_of(again).count("Traceback where it was raised") == 1
    thrice = there_and_back(again)
    assert len(encode_exception(raised(thrice))) < MAX_TRACEBACK


def test_a_group_comes_back_with_its_members() -> None:
    group = ExceptionGroup("all", [ValueError("a"), ExceptionGroup("inner", [CustomConstructorError(1, where="x")])])
    back = there_and_back(group)
    assert isinstance(back, ExceptionGroup)
    assert (back.message, str(back)) == ("all", str(group))
    first, inner = back.exceptions
    assert (type(first), first.args) == (ValueError, ("a",))
    assert isinstance(inner, ExceptionGroup)
    assert isinstance(inner.exceptions[0], RemoteError)
    assert "CustomConstructorError: 1 in x" in traceback_of(back)
    assert type(there_and_back(ShopGroupError("g", [ValueError()]))) is ShopGroupError


def test_a_group_with_a_process_ending_member_does_not_end_the_process() -> None:
    back = there_and_back(BaseExceptionGroup("all", [SystemExit(1), ValueError("a")]))
    assert type(back) is ExceptionGroup
    assert isinstance(back.exceptions[0], RemoteError)


@pytest.mark.parametrize(
    "group", [ExceptionGroup("wide", [ValueError()] * 60), ExceptionGroup("g", [ExceptionGroup("deep", [ValueError()])])]
)
def test_too_large_a_group_is_a_remote_error(group: ExceptionGroup[Any]) -> None:
    deep: ExceptionGroup[Any] = group
    for _ in range(5):
        deep = ExceptionGroup("outer", [deep])
    back: Any = there_and_back(deep)
    while isinstance(back, ExceptionGroup):
        back = back.exceptions[0]
    assert isinstance(back, RemoteError)


def test_sizes_are_bounded() -> None:
    error = ValueError("m" * 1_000_000)
    for number in range(100):
        error.add_note(f"{number}" + "n" * 100_000)
    data = encode_exception(raised(error))
    assert len(data) < MAX_TRACEBACK + 22 * MAX_MESSAGE
    back = decode_exception(data)
    assert isinstance(back, RemoteError)
    assert len(back.traceback) <= MAX_TRACEBACK
    assert back.message.startswith("mmm")
    assert "characters left out" in back.message


def test_the_whole_is_bounded_however_many_parts_there_are() -> None:
    group = ExceptionGroup("all", [ExceptionGroup("some", [ValueError("\x00" * 10_000) for _ in range(50)]) for _ in range(10)])
    loaded = LostError("text")
    vars(loaded).update({f"attribute{number}": "x" * 60_000 for number in range(50)})
    for error in (group, loaded):
        data = encode_exception(raised(error))
        assert len(data) <= MAX_WHOLE
        back = decode_exception(data)
        assert isinstance(back, RemoteError)
        assert back.message == str(error)


def test_a_long_traceback_keeps_its_head_and_tail() -> None:
    text = traceback_of(there_and_back(ValueError("y" * 100_000)))
    assert len(text) <= MAX_TRACEBACK
    assert text.startswith("Traceback")
    assert text.endswith("yyy\n")


@UNHURRIED
@given(st.text(), st.integers(min_value=100, max_value=500))
def test_a_cut_text_is_within_its_limit(text: str, limit: int) -> None:
    done = cut(text * 20, limit)
    assert len(done) <= limit
    assert done.startswith((text * 20)[:10])


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@UNHURRIED
@given(st.lists(PLAIN, max_size=3))
def test_any_plain_arguments_come_back(arguments: list[Any]) -> None:
    back = there_and_back(ValueError(*arguments))
    assert type(back) is ValueError
    assert repr(back.args) == repr(tuple(arguments))


@UNHURRIED
@given(st.builds(ShopError, st.text(), st.lists(st.text()).map(tuple), st.integers()))
def test_any_error_of_ours_comes_back(error: ShopError) -> None:
    back = there_and_back(error)
    assert type(back) is ShopError
    assert back.fields() == error.fields()
