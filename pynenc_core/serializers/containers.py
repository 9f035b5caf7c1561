"""Codecs of lists, tuples, sets and dicts of values that have codecs of their own."""

# Values of any type are looked at here, and `type(x) is list` tells nothing of the items:
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from pynenc_core.serializers.codec import ANY_KIND, DICT, LIST, STR, Codec, Misfit, described, first_misfit, refuse_data, refuse_value

_write = msgspec.json.Encoder(order="sorted").encode
_read = msgspec.json.Decoder().decode


def list_codec(label: str, item: Codec) -> Codec:
    """Return the codec of `list[item]`."""
    encode, decode = item.to_plain, item.from_plain

    def to_plain(value: Any) -> list[Any]:
        if type(value) is not list:
            refuse_value(value, label)
        try:
            return [encode(each) for each in value]
        except Misfit:
            first_misfit(encode, value)

    def from_plain(data: Any) -> list[Any]:
        if type(data) is not list:
            refuse_data(data, label)
        try:
            return [decode(each) for each in data]
        except Misfit:
            first_misfit(decode, data)

    return Codec(label, frozenset({LIST}), (list,), to_plain, from_plain)


def tuple_codec(label: str, item: Codec) -> Codec:
    """Return the codec of `tuple[item, ...]`."""
    encode, decode = item.to_plain, item.from_plain

    def to_plain(value: Any) -> list[Any]:
        if type(value) is not tuple:
            refuse_value(value, label)
        try:
            return [encode(each) for each in value]
        except Misfit:
            first_misfit(encode, value)

    def from_plain(data: Any) -> tuple[Any, ...]:
        if type(data) is not list:
            refuse_data(data, label)
        try:
            return tuple([decode(each) for each in data])
        except Misfit:
            first_misfit(decode, data)

    return Codec(label, frozenset({LIST}), (tuple,), to_plain, from_plain)


def fixed_tuple_codec(label: str, items: tuple[Codec, ...]) -> Codec:
    """Return the codec of a tuple of so many items, each of a type of its own."""
    count = len(items)

    def each(parts: Any, functions: tuple[Callable[[Any], Any], ...]) -> list[Any]:
        done: list[Any] = []
        for function, part in zip(functions, parts, strict=True):
            try:
                done.append(function(part))
            except Misfit as error:
                raise error.under(f"[{len(done)}]") from error.__cause__
        return done

    encoders = tuple(item.to_plain for item in items)
    decoders = tuple(item.from_plain for item in items)

    def to_plain(value: Any) -> list[Any]:
        if type(value) is not tuple:
            refuse_value(value, label)
        if len(value) != count:
            raise Misfit("it has {found} items where `{label}` has {count}", found=len(value), count=count, label=label)
        return each(value, encoders)

    def from_plain(data: Any) -> tuple[Any, ...]:
        if type(data) is not list:
            refuse_data(data, label)
        if len(data) != count:
            raise Misfit("{found} items are stored where `{label}` has {count}", found=len(data), count=count, label=label)
        return tuple(each(data, decoders))

    return Codec(label, frozenset({LIST}), (tuple,), to_plain, from_plain)


def set_codec(label: str, kind: type, item: Codec) -> Codec:
    """Return the codec of a `set` or `frozenset`; items travel in an order that depends on nothing but them."""
    encode, decode = item.to_plain, item.from_plain

    def to_plain(value: Any) -> list[Any]:
        if type(value) is not kind:
            refuse_value(value, label)
        plain: list[Any] = []
        items: Any = value
        for each in items:
            try:
                plain.append(encode(each))
            except Misfit as error:
                raise error.under("{...}") from error.__cause__
        try:
            plain.sort()
        except TypeError:  # of several kinds, or dicts
            plain.sort(key=_write)
        return plain

    def from_plain(data: Any) -> Any:
        if type(data) is not list:
            refuse_data(data, label)
        try:
            return kind([decode(each) for each in data])
        except Misfit:
            first_misfit(decode, data)
        except TypeError as error:
            raise Misfit("a stored item is not hashable") from error

    return Codec(label, frozenset({LIST}), (kind,), to_plain, from_plain)


def _key_functions(key: Codec) -> tuple[Callable[[Any], str], Callable[[str], Any]]:
    """Return how keys become the str that JSON wants: as they are, or the JSON text of what they become."""
    encode, decode = key.to_plain, key.from_plain
    if key.kinds == ANY_KIND and not key.accepts:
        return _check_key, str
    if key.kinds == frozenset({STR}):
        return encode, decode

    def to_text(value: Any) -> str:
        return _write(encode(value)).decode()

    def from_text(text: str) -> Any:
        try:
            data = _read(text)
        except (ValueError, msgspec.MsgspecError, RecursionError) as error:
            raise Misfit("the stored key is not valid JSON") from error
        return decode(data)

    return to_text, from_text


def _check_key(key: Any) -> str:
    # Without an annotation JSON's own rule holds: keys are str, and only those come back as they were.
    if type(key) is not str:
        raise Misfit(
            "one of its keys is {it}, and the annotation does not say so", remedy="annotate the type of its keys", it=described(key)
        )
    return key


def _pair_by_pair(parts: Any, on_key: Callable[[Any], Any], on_item: Callable[[Any], Any]) -> dict[Any, Any]:
    """Convert a dict so slowly that a Misfit knows where it happened."""
    done: dict[Any, Any] = {}
    for name, each in parts.items():
        try:
            new = on_key(name)
        except Misfit as error:
            raise error.under("{key}") from error.__cause__
        try:
            done[new] = on_item(each)
        except Misfit as error:
            raise error.under(f"[{name!r}]") from error.__cause__
    return done


def dict_codec(label: str, kind: type, key: Codec, item: Codec) -> Codec:
    """Return the codec of a `dict` or `OrderedDict`; keys of any kind are carried, in their order."""
    encode, decode = item.to_plain, item.from_plain
    write_key, read_key = _key_functions(key)

    def to_plain(value: Any) -> dict[str, Any]:
        if type(value) is not kind:
            refuse_value(value, label)
        pairs: Any = value
        try:
            return {write_key(name): encode(each) for name, each in pairs.items()}
        except Misfit:
            return _pair_by_pair(pairs, write_key, encode)

    def from_plain(data: Any) -> Any:
        if type(data) is not dict:
            refuse_data(data, label)
        try:
            done = {read_key(name): decode(each) for name, each in data.items()}
        except Misfit:
            done = _pair_by_pair(data, read_key, decode)
        except TypeError as error:
            raise Misfit("a stored key is not hashable") from error
        return done if kind is dict else OrderedDict(done)

    return Codec(label, frozenset({DICT}), (kind,), to_plain, from_plain)
