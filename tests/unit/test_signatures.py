"""Binding: one mapping for each way of writing the same call; encoding of whole calls; what logs show of arguments."""

from __future__ import annotations

import functools
import inspect
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypedDict, Unpack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_core.errors.serialization import ArgumentBindingError, ArgumentEncodingError, PayloadDecodingError, ResultEncodingError
from pynenc_core.serializers.hints import Unresolved
from pynenc_core.serializers.json_serializer import JsonSerializer
from pynenc_core.serializers.pickle_serializer import PickleSerializer
from pynenc_core.signatures import (
    CallSignature,
    Shown,
    content_hash,
    decode_call,
    decode_result,
    encode_call,
    encode_result,
    shown,
)

UNHURRIED = settings(deadline=None)  # the machine may be busy with other tests
JSON = JsonSerializer()
MISSING: Any = object()
FORGOTTEN: Any = None
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


class Options(TypedDict, total=False):
    retries: int
    when: datetime


def nothing() -> None: ...


def simple(x: int, y: int = 2) -> int:
    return x + y


def every(a: int, /, b: str, *c: float, d: Decimal = Decimal(1), **e: list[int]) -> tuple[int, ...]:
    return (a, len(b), len(c), int(d), len(e))


def keywords(*, a: int, b: int = 5) -> None: ...


def positional(a: int, b: int = 1, /) -> None: ...


def same_name(a: int, /, **rest: int) -> None: ...


def bare(x, *items, **more): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN003, ANN201 - without annotations on purpose


def sentinel(x: int = MISSING, y: int = FORGOTTEN, when: datetime = NEW_YEAR) -> None: ...


def unpacked(x: int, **options: Unpack[Options]) -> None: ...


def unknown(x: NotThere, y: datetime) -> NotThere: ...  # type: ignore[name-defined]  # noqa: F821 - as if imported for type checkers only


async def later(x: int) -> Decimal:
    return Decimal(x)


FUNCTIONS = [nothing, simple, every, keywords, positional, same_name, bare, sentinel, unpacked, later]


def of(function: Callable[..., Any], **options: Any) -> CallSignature:
    return CallSignature.of(function, f"m:{function.__name__}", **options)


# --- binding ---


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((1, 2), {}), ((1,), {}), ((1,), {"y": 2}), ((), {"x": 1}), ((), {"y": 2, "x": 1})],
    ids=["positional", "default", "mixed", "keyword", "reversed"],
)
def test_every_way_of_writing_a_call_gives_the_same_mapping_and_id(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    signature = of(simple)
    bound = signature.bind(args, kwargs)
    assert list(bound.items()) == [("x", 1), ("y", 2)]
    assert content_hash(encode_call(signature, JSON, bound)) == content_hash(encode_call(signature, JSON, {"x": 1, "y": 2}))


def test_every_kind_of_parameter_arrives_intact() -> None:
    signature = of(every)
    bound = signature.bind((1, "b", 2.0, 3.5), {"d": Decimal(4), "z": [1], "a": [2]})
    assert bound == {"a": 1, "b": "b", "c": (2.0, 3.5), "d": Decimal(4), "e": {"z": [1], "a": [2]}}
    assert list(bound) == ["a", "b", "c", "d", "e"]
    assert signature.unbind(bound) == ((1, "b", 2.0, 3.5), {"d": Decimal(4), "z": [1], "a": [2]})
    assert signature.bind((1,), {"b": "b"}) == {"a": 1, "b": "b", "c": (), "d": Decimal(1), "e": {}}


ARGS = st.lists(st.integers(0, 9), max_size=4).map(tuple)
KWARGS = st.dictionaries(st.sampled_from(["x", "y", "a", "b", "c", "d", "e", "z", "rest", "items"]), st.integers(0, 9), max_size=4)


@UNHURRIED
@given(st.sampled_from(FUNCTIONS), ARGS, KWARGS)
def test_binds_whatever_python_binds_and_refuses_whatever_python_refuses(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    signature = of(function)
    try:
        expected = inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        with pytest.raises(ArgumentBindingError):
            signature.bind(args, kwargs)
        return
    expected.apply_defaults()
    bound = signature.bind(args, kwargs)
    assert bound == expected.arguments
    assert list(bound) == [parameter.name for parameter in signature.parameters]
    again_args, again_kwargs = signature.unbind(bound)
    assert signature.bind(again_args, again_kwargs) == bound


ALL = "(a: int, /, b: str, *c: float, d: Decimal = ..., **e: list[int])"
REFUSED: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], str]] = [
    (simple, (), {}, "task m:simple lacks a value for 'x'; its signature is (x: int, y: int = ...)"),
    (simple, (1, 2, 3), {}, "task m:simple takes no more than 2 positional arguments; its signature is (x: int, y: int = ...)"),
    (simple, (1,), {"x": 2}, "task m:simple got more than one value for 'x'; its signature is (x: int, y: int = ...)"),
    (simple, (1,), {"z": 2}, "task m:simple does not take an argument named 'z'; its signature is (x: int, y: int = ...)"),
    (every, (), {"a": 1}, f"task m:every lacks a value for 'a' and 'b'; its signature is {ALL}"),
    (every, (1, "b"), {"b": "c"}, f"task m:every got more than one value for 'b'; its signature is {ALL}"),
    (keywords, (), {"b": 1}, "task m:keywords lacks a value for 'a'; its signature is (*, a: int, b: int = ...)"),
    (keywords, (1,), {"a": 1}, "task m:keywords takes no more than 0 positional arguments; its signature is (*, a: int, b: int = ...)"),
    (keywords, (), {"a": 1, "c": 1}, "task m:keywords does not take an argument named 'c'; its signature is (*, a: int, b: int = ...)"),
    (positional, (1,), {"b": 2}, "task m:positional does not take an argument named 'b'; its signature is (a: int, b: int = ..., /)"),
    (nothing, (), {"a": 1}, "task m:nothing does not take an argument named 'a'; its signature is ()"),
]


@pytest.mark.parametrize(("function", "args", "kwargs", "message"), REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_arguments_that_do_not_fit_are_named(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentBindingError) as caught:
        of(function).bind(args, kwargs)
    assert str(caught.value) == message
    assert isinstance(caught.value, TypeError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == message  # noqa: S301 - made here


def test_a_positional_only_name_may_also_be_a_keyword_of_its_own() -> None:
    assert of(same_name).bind((1,), {"a": 2}) == {"a": 1, "rest": {"a": 2}}


# --- annotations ---


def test_annotations_that_do_not_exist_at_run_time_do_not_affect_the_others() -> None:
    signature = of(unknown)
    assert [parameter.annotation for parameter in signature.parameters] == [Unresolved("NotThere"), datetime]
    assert signature.returns == Unresolved("NotThere")
    encoded = encode_call(signature, JSON, signature.bind(([1], NEW_YEAR), {}))
    assert decode_call(signature, JSON, encoded) == {"x": [1], "y": NEW_YEAR}
    with pytest.raises(ArgumentEncodingError, match="import them outside TYPE_CHECKING"):
        encode_call(signature, JSON, signature.bind(((1,), NEW_YEAR), {}))


def test_a_name_of_the_enclosing_function_is_found_when_the_task_uses_it() -> None:
    class Local(TypedDict):
        a: int

    def task(x: Local) -> Local:
        return Local(a=x["a"])

    assert of(task).returns is Local


def test_a_decorated_function_keeps_its_signature() -> None:
    @functools.wraps(every)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return every(*args, **kwargs)

    assert of(wrapper).text == ALL
    assert of(wrapper).returns == tuple[int, ...]


def test_an_async_function_has_the_annotation_of_what_it_returns() -> None:
    signature = of(later)
    assert decode_result(signature, JSON, encode_result(signature, JSON, Decimal("1.5"))) == Decimal("1.5")
    with pytest.raises(ResultEncodingError, match="task m:later: its return value, annotated `Decimal`, cannot be stored: it is a str"):
        encode_result(signature, JSON, "1.5")


# --- calls as bytes ---


def test_a_call_is_decoded_to_its_annotations() -> None:
    signature = of(every)
    bound = signature.bind((1, "b", 2, 3.5), {"d": Decimal("4.0"), "z": [1]})
    encoded = encode_call(signature, JSON, bound)
    assert encoded == (("a", b"1"), ("b", b'"b"'), ("c", b"[2.0,3.5]"), ("d", b'"4.0"'), ("e", b'{"z":[1]}'))
    assert decode_call(signature, JSON, encoded) == bound


@pytest.mark.parametrize(
    ("args", "kwargs", "parameter", "path"),
    [((1, "b", 2.0, "x"), {}, "c", "[1]"), ((1, "b"), {"z": [1, "a"]}, "e", "['z'][1]"), ((1, 2), {}, "b", "")],
    ids=["args", "kwargs", "plain"],
)
def test_a_wrong_type_is_an_error_at_the_call(args: tuple[Any, ...], kwargs: dict[str, Any], parameter: str, path: str) -> None:
    signature = of(every)
    with pytest.raises(ArgumentEncodingError) as caught:
        encode_call(signature, JSON, signature.bind(args, kwargs))
    assert (caught.value.task_id, caught.value.parameter, caught.value.path) == ("m:every", parameter, path)


def test_a_default_that_cannot_be_encoded_is_applied_again_by_the_worker() -> None:
    signature = of(sentinel)
    encoded = encode_call(signature, JSON, signature.bind((), {}))
    assert encoded == (("when", b'"2026-01-01T00:00:00+00:00"'),)
    decoded = decode_call(signature, JSON, encoded)
    assert decoded["x"] is MISSING
    assert decoded["y"] is None
    with pytest.raises(ArgumentEncodingError):
        encode_call(signature, JSON, signature.bind((object(),), {}))


def test_un_annotated_parameters_take_plain_data() -> None:
    signature = of(bare)
    bound = signature.bind(([1], "a", None), {"k": {"v": 1.5}})
    assert decode_call(signature, JSON, encode_call(signature, JSON, bound)) == bound
    with pytest.raises(ArgumentEncodingError, match=r"argument 'items', annotated `tuple\[Any, ...\]`, cannot be sent at \[1\]"):
        encode_call(signature, JSON, signature.bind((1, 2, (3,)), {}))


def test_unpacked_options_are_typed_one_by_one() -> None:
    signature = of(unpacked)
    bound = signature.bind((1,), {"when": NEW_YEAR})
    assert decode_call(signature, JSON, encode_call(signature, JSON, bound)) == bound
    with pytest.raises(ArgumentEncodingError) as caught:
        encode_call(signature, JSON, signature.bind((1,), {"retries": "3"}))
    assert (caught.value.parameter, caught.value.path) == ("options", ".retries")


CHANGED: list[tuple[Callable[..., Any], tuple[tuple[str, bytes], ...], str]] = [
    (simple, (("y", b"2"),), "for 'x', annotated `int`, cannot be read back: the call has no value for it"),
    (simple, (("x", b"1"), ("z", b"2")), "for 'z', which has no annotation, cannot be read back: the task has no such parameter"),
    (simple, (("x", b'"1"'),), "for 'x', annotated `int`, cannot be read back: `int` cannot be made from the stored str"),
]


@pytest.mark.parametrize(("function", "stored", "message"), CHANGED, ids=["missing", "unknown", "type"])
def test_stored_arguments_that_no_longer_fit_are_a_typed_error(
    function: Callable[..., Any], stored: tuple[tuple[str, bytes], ...], message: str
) -> None:
    with pytest.raises(PayloadDecodingError) as caught:
        decode_call(of(function), JSON, stored)
    assert message in str(caught.value)


def test_a_parameter_added_with_a_default_is_filled_in() -> None:
    assert decode_call(of(simple), JSON, (("x", b"1"),)) == {"x": 1, "y": 2}
    assert decode_call(of(every), JSON, (("a", b"1"), ("b", b'""'))) == {"a": 1, "b": "", "c": (), "d": Decimal(1), "e": {}}


# --- content hash ---


def test_equal_calls_have_one_hash_and_different_ones_do_not() -> None:
    hashes = [
        content_hash(encoded)
        for encoded in [
            (),
            (("a", b"1"),),
            (("a", b'"1"'),),
            (("b", b"1"),),
            (("a", b"1"), ("b", b"1")),
            (("a", b"1b1"),),
            (("a", b'{"x":1,"y":2}'),),
            (("a", b'{"x":2,"y":1}'),),
            (("a", b'["{"]'),),
            (("a", b"pickle-1.1.{"),),
        ]
    ]
    assert len(set(hashes)) == len(hashes)
    assert all(len(each) == 32 and int(each, 16) >= 0 for each in hashes)


def test_the_order_of_keys_makes_no_other_call() -> None:
    one = content_hash((("a", b'[{"x":1,"y":{"p":1,"q":2}}]'),))
    assert one == content_hash((("a", b'[{"y":{"q":2,"p":1},"x":1}]'),))
    signature = of(bare)
    calls = [signature.bind((1,), {"b": 1, "a": 2}), signature.bind((1,), {"a": 2, "b": 1})]
    assert len({content_hash(encode_call(signature, JSON, call)) for call in calls}) == 1


def test_other_serializers_are_hashed_as_they_are() -> None:
    signature, serializer = of(bare), PickleSerializer("k" * 32)
    encoded = encode_call(signature, serializer, signature.bind(({"{": (1,)},), {}))
    assert content_hash(encoded) == content_hash(encoded)
    assert decode_call(signature, serializer, encoded) == {"x": {"{": (1,)}, "items": (), "more": {}}


# --- what is shown ---


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError


def test_arguments_are_hidden_unless_asked_for() -> None:
    mapping = {"x": "hush" * 100, "y": 1}
    assert shown(mapping) == {"x": "<hidden>", "y": "<hidden>"}
    assert shown(mapping, Shown.FULL) == {"x": repr("hush" * 100), "y": "1"}
    short = shown(mapping, "truncated")
    assert (len(short["x"]) <= 80, short["x"][:5], short["y"]) == (True, "'hush", "1")


@pytest.mark.parametrize("mode", list(Shown))
def test_secret_arguments_are_never_shown(mode: Shown) -> None:
    signature = of(simple, secret=["y"])
    assert signature.secret == {"y"}
    assert shown({"x": 1, "y": 77}, mode, secret=signature.secret)["y"] == "<secret>"


def test_a_secret_that_is_no_parameter_is_refused() -> None:
    with pytest.raises(ArgumentBindingError, match="task m:simple does not take an argument named 'password'"):
        of(simple, secret=["password"])


def test_nothing_of_a_secret_argument_is_in_an_error() -> None:
    signature = of(every, secret=["e"])
    with pytest.raises(ArgumentEncodingError) as caught:
        encode_call(signature, JSON, signature.bind((1, "b"), {"hush": ["x"]}))
    assert "hush" not in str(caught.value)


def test_a_broken_repr_breaks_no_log_line() -> None:
    for mode in (Shown.TRUNCATED, Shown.FULL):
        text = shown({"x": Unspeakable(), "y": [Unspeakable()]}, mode)
        assert all("Unspeakable" in each or "RuntimeError" in each for each in text.values())


@UNHURRIED
@given(st.recursive(st.text() | st.integers() | st.binary(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_truncated_is_at_most_80_characters(value: object) -> None:
    assert len(shown({"x": value}, Shown.TRUNCATED)["x"]) <= 80
