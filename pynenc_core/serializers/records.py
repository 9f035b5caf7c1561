"""Codecs of classes made of named fields: dataclasses, attrs, NamedTuple, TypedDict, msgspec structs, and own formats."""

# Values of any type are looked at here, and `type(x) is list` tells nothing of the items:
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import msgspec

from pynenc_core.serializers.codec import ANY_KIND, DICT, Codec, Misfit, refuse_data, refuse_value, said_by
from pynenc_core.serializers.plain import plain_codec


@attrs.frozen
class Shape:
    """How objects of one class are taken apart and put together, without the types of its fields."""

    init: tuple[tuple[str, str], ...]
    """Attribute and constructor parameter of each field that the constructor takes."""
    after: tuple[str, ...] = ()
    """Attributes set again once the object is made: not taken by the constructor, or changed by a converter."""
    optional: frozenset[str] = frozenset()
    """Fields that stored data may lack, because the class has a default."""
    construct: bool = True
    """Whether to call the constructor; without, all fields are set on a bare object."""


def attrs_shape(kind: type) -> Shape:
    """Return the shape of a class that attrs made."""
    fields = attrs.fields(kind)
    optional = frozenset(field.name for field in fields if field.default is not attrs.NOTHING)
    if "__attrs_init__" in vars(kind):  # its constructor is handwritten
        return Shape((), tuple(field.name for field in fields), construct=False)
    return Shape(
        tuple((field.name, field.alias or field.name) for field in fields if field.init),
        tuple(field.name for field in fields if (field.eq and not field.init) or field.converter is not None),
        optional,
    )


def dataclass_shape(kind: type) -> Shape:
    """Return the shape of a dataclass."""
    fields = dataclasses.fields(kind)
    own_init = not getattr(kind, "__dataclass_params__").init  # noqa: B009 - not in the stubs
    # An InitVar is not kept, so the constructor cannot be called again.
    if own_init or any(str(getattr(field, "_field_type", "")) == "_FIELD_INITVAR" for field in vars(kind)["__dataclass_fields__"].values()):
        return Shape((), tuple(field.name for field in fields), construct=False)
    return Shape(
        tuple((field.name, field.name) for field in fields if field.init),
        tuple(field.name for field in fields if field.compare and not field.init),
        frozenset(
            field.name for field in fields if field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        ),
    )


def struct_shape(kind: type) -> Shape:
    """Return the shape of a `msgspec.Struct`."""
    fields = msgspec.structs.fields(kind)
    return Shape(tuple((field.name, field.name) for field in fields), (), frozenset(field.name for field in fields if not field.required))


def named_tuple_shape(kind: Any) -> Shape:
    """Return the shape of a NamedTuple."""
    return Shape(tuple((name, name) for name in kind._fields), (), frozenset(kind._field_defaults))


def record_codec(label: str, kind: type, shape: Shape, codecs: Mapping[str, Codec]) -> Codec:
    """Return the codec of a class of that shape; `codecs` by field. A subclass's object is refused: its own fields would be lost."""
    names = tuple(dict.fromkeys((*(name for name, _ in shape.init), *shape.after)))
    # Codecs are called through their attribute: a class that contains itself gets its functions only afterwards.
    writers = tuple((name, codecs[name]) for name in names)
    readers = {name: (parameter, codecs[name]) for name, parameter in shape.init}
    later = tuple((name, codecs[name]) for name in shape.after)

    def to_plain(value: Any) -> dict[str, Any]:
        if type(value) is not kind:
            refuse_value(value, label)
        try:
            return {name: codec.to_plain(getattr(value, name)) for name, codec in writers}
        except (Misfit, AttributeError):
            return {name: _field(name, codec.to_plain, lambda name: getattr(value, name)) for name, codec in writers}

    def from_plain(data: Any) -> Any:
        if type(data) is not dict:
            refuse_data(data, label)
        arguments = {
            parameter: _field(name, codec.from_plain, data.__getitem__)
            for name, (parameter, codec) in readers.items()
            if name in data or _required(name, label, shape)
        }
        made = _make(label, kind, arguments, construct=shape.construct)
        for name, codec in later:
            if name in data or _required(name, label, shape):
                object.__setattr__(made, name, _field(name, codec.from_plain, data.__getitem__))
        return made

    return Codec(label, frozenset({DICT}), (kind,), to_plain, from_plain)


def _required(name: str, label: str, shape: Shape) -> bool:
    """Refuse data without a field that has no default; return False for one that has."""
    if name in shape.optional:
        return False
    raise Misfit("the stored `{label}` lacks `{name}`", name=name, label=label)


def _make(label: str, kind: Any, arguments: dict[str, Any], *, construct: bool) -> Any:
    if not construct:
        return object.__new__(kind)
    try:
        return kind(**arguments)
    except Exception as error:  # it is user code, and the path to it matters more than its kind
        raise Misfit(
            "`{label}` refuses the stored fields with {error}", detail=said_by(error), error=type(error).__qualname__, label=label
        ) from error


def _field(name: str, function: Callable[[Any], Any], get: Callable[[str], Any]) -> Any:
    try:
        value = get(name)
    except AttributeError:
        raise Misfit("its field `{name}` was never set", name=name) from None
    try:
        return function(value)
    except Misfit as error:
        raise error.under(f".{name}") from error.__cause__


def typed_dict_codec(label: str, required: frozenset[str], codecs: Mapping[str, Codec]) -> Codec:
    """Return the codec of a TypedDict: a dict with just these keys, those in `required` always."""

    def convert(parts: dict[Any, Any], stored: bool) -> dict[str, Any]:
        for name in required:
            if name not in parts:
                raise Misfit("it lacks the key {name!r} of `{label}`", name=name, label=label)
        done: dict[str, Any] = {}
        for name in parts:
            codec = codecs.get(name) if type(name) is str else None
            if codec is None:
                if stored:
                    continue  # written by a version that knows more keys
                raise Misfit("it has a key that `{label}` does not declare", detail=repr(name), label=label)
            done[name] = _field(name, codec.from_plain if stored else codec.to_plain, parts.__getitem__)
        return done

    def to_plain(value: Any) -> dict[str, Any]:
        return convert(value, False) if type(value) is dict else refuse_value(value, label)

    def from_plain(data: Any) -> dict[str, Any]:
        return convert(data, True) if type(data) is dict else refuse_data(data, label)

    return Codec(label, frozenset({DICT}), (dict,), to_plain, from_plain)


def own_format_codec(label: str, kind: Any) -> Codec:
    """Return the codec of a class with `to_json` and `from_json`, whose data are checked to be what JSON gives back."""
    plain = plain_codec()

    def to_plain(value: Any) -> Any:
        if type(value) is not kind:
            refuse_value(value, label)
        try:
            data = value.to_json()
        except Exception as error:  # it is user code, and the path to it matters more than its kind
            raise Misfit("its `to_json` raised {error}", detail=said_by(error), error=type(error).__qualname__) from error
        try:
            return plain.to_plain(data)
        except Misfit as error:
            error.remedy = "`to_json` must return str, int, float, bool, None, or lists and dicts with str keys of them"
            raise error.under(".to_json()") from None

    def from_plain(data: Any) -> Any:
        try:
            return kind.from_json(data)
        except Exception as error:  # it is user code, and the path to it matters more than its kind
            raise Misfit(
                "`{label}.from_json` raised {error}", detail=said_by(error), error=type(error).__qualname__, label=label
            ) from error

    return Codec(label, ANY_KIND, (kind,), to_plain, from_plain)


def pydantic_codec(label: str, kind: Any) -> Codec:
    """Return the codec of a pydantic model, which knows its own JSON; it is read back at once, to see that it is equal."""
    read = msgspec.json.Decoder().decode
    write = msgspec.json.Encoder().encode

    def to_plain(value: Any) -> Any:
        if type(value) is not kind:
            refuse_value(value, label)
        try:
            text = value.model_dump_json(by_alias=True, round_trip=True)
            same = kind.model_validate_json(text) == value
        except Exception as error:  # it is user code, and the path to it matters more than its kind
            raise Misfit("pydantic raised {error}", detail=said_by(error), error=type(error).__qualname__) from error
        if not same:
            raise Misfit("`{label}` does not give an equal object back from its own JSON", label=label)
        return read(text)

    def from_plain(data: Any) -> Any:
        try:
            return kind.model_validate_json(write(data))
        except Exception as error:  # it is user code, and the path to it matters more than its kind
            raise Misfit(
                "`{label}` refuses the stored fields with {error}", detail=said_by(error), error=type(error).__qualname__, label=label
            ) from error

    return Codec(label, ANY_KIND, (kind,), to_plain, from_plain)
