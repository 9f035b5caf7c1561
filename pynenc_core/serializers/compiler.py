"""From an annotation to its codec."""

# Values of any type are looked at here, and `type(x) is list` tells nothing of the items:
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

import collections
import dataclasses
import sys
import types
import typing
from collections import abc
from collections.abc import Mapping
from enum import Enum, Flag
from typing import Any, TypeVar

import msgspec

from pynenc_core.serializers.codec import ANY_KIND, DICT, LIST, Codec, Misfit
from pynenc_core.serializers.containers import dict_codec, fixed_tuple_codec, list_codec, set_codec, tuple_codec
from pynenc_core.serializers.hints import Unresolved, describe, field_hints, substitute
from pynenc_core.serializers.plain import plain_codec, unresolved_codec
from pynenc_core.serializers.records import (
    Shape,
    attrs_shape,
    dataclass_shape,
    named_tuple_shape,
    own_format_codec,
    pydantic_codec,
    record_codec,
    struct_shape,
    typed_dict_codec,
)
from pynenc_core.serializers.scalars import SCALARS, enum_codec, flag_codec, literal_codec, text_codec
from pynenc_core.serializers.unions import union_codec

_QUALIFIERS = {"Annotated", "Required", "NotRequired", "ReadOnly", "Final"}
_DICTS: dict[object, type] = {dict: dict, abc.Mapping: dict, abc.MutableMapping: dict, collections.OrderedDict: collections.OrderedDict}
_ABSTRACT: dict[object, tuple[type, ...]] = {
    abc.Sequence: (list, tuple),
    abc.MutableSequence: (list,),
    abc.Set: (set, frozenset),
    abc.MutableSet: (set,),
    abc.Collection: (list, tuple, set, frozenset),
    abc.Iterable: (list, tuple, set, frozenset),
    abc.Reversible: (list, tuple),
}
"""What may be passed where an annotation names only what the value can do; each comes back as what it was."""


class Compiler:
    """Makes codecs, and keeps those under construction, so that a type may contain itself. For one thread and one annotation."""

    def __init__(self) -> None:
        self._done: dict[object, Codec] = {}
        self._building: dict[object, Codec] = {}

    def codec(self, annotation: object) -> Codec:
        """Return the codec of an annotation. Never raises: what cannot be carried gets a codec that refuses each value."""
        try:
            hash(annotation)
        except TypeError:  # Annotated with something mutable
            return self._make(annotation)
        if annotation in self._done:
            return self._done[annotation]
        if annotation in self._building:
            return self._building[annotation]
        done = self._done
        kinds, accepts = _foreseen(typing.get_origin(annotation) or annotation)
        self._building[annotation] = Codec(
            describe(annotation),
            kinds,
            accepts,
            lambda value: done[annotation].to_plain(value),  # noqa: PLW0108 - it does not exist yet
            lambda data: done[annotation].from_plain(data),  # noqa: PLW0108 - likewise
        )
        codec = self._make(annotation)
        done[annotation] = codec
        del self._building[annotation]
        return codec

    def _make(self, annotation: Any) -> Codec:  # noqa: PLR0911 - a case a line
        if annotation is Any or annotation is object:
            return plain_codec()
        if isinstance(annotation, (Unresolved, str, typing.ForwardRef)):
            return unresolved_codec(getattr(annotation, "__forward_arg__", describe(annotation)))
        if annotation is None or (isinstance(annotation, type) and annotation in SCALARS):
            return SCALARS[annotation]
        origin = typing.get_origin(annotation)
        if origin is not None:
            return self._generic(annotation, origin, typing.get_args(annotation))
        if isinstance(annotation, TypeVar):
            members = annotation.__constraints__ or (annotation.__bound__ or Any,)
            return self._union(describe(annotation), members)
        inner = getattr(annotation, "__supertype__", None) or getattr(annotation, "__value__", None)
        if inner is not None and not isinstance(annotation, type):  # NewType, and `type X = ...`
            return self.codec(inner)
        if isinstance(annotation, type):
            return self._collection(annotation, annotation, (), describe(annotation)) or self._class(annotation)
        return refusing_codec(describe(annotation))

    def _generic(self, annotation: Any, origin: Any, arguments: tuple[Any, ...]) -> Codec:  # noqa: PLR0911 - a case a line
        label = describe(annotation)
        if getattr(origin, "__name__", getattr(origin, "_name", "")) in _QUALIFIERS:
            return self.codec(arguments[0])
        if origin is typing.Literal:
            return literal_codec(label, arguments)
        if origin in {typing.Union, types.UnionType}:
            return self._union(label, arguments)
        if origin is typing.Unpack:  # **kwargs: Unpack[SomeTypedDict]
            return self.codec(arguments[0])
        if hasattr(origin, "__value__"):  # a generic `type X[T] = ...`
            return self.codec(substitute(origin.__value__, dict(zip(origin.__type_params__, arguments, strict=False))))
        found = self._collection(annotation, origin, arguments, label)
        if found is not None:
            return found
        return self._class(origin, dict(zip(getattr(origin, "__parameters__", ()), arguments, strict=False)), label)

    def _union(self, label: str, members: tuple[Any, ...]) -> Codec:
        if len(members) == 1:
            return self.codec(members[0])
        return union_codec(label, tuple(self.codec(member) for member in members))

    def _collection(self, annotation: Any, origin: Any, arguments: tuple[Any, ...], label: str) -> Codec | None:  # noqa: PLR0911 - a case a line
        if origin is tuple:
            if arguments and arguments[-1] is not ...:
                if any(typing.get_origin(each) is typing.Unpack or getattr(each, "__unpacked__", False) for each in arguments):
                    return refusing_codec(label)
                return fixed_tuple_codec(label, tuple(self.codec(each) for each in arguments))
            if annotation == tuple[()]:
                return fixed_tuple_codec(label, ())
            return tuple_codec(label, self._item(arguments))
        if origin is list:
            return list_codec(label, self._item(arguments))
        if origin in {set, frozenset}:
            return set_codec(label, origin, self._item(arguments))
        if origin in _DICTS:
            key, item = arguments or (Any, Any)
            return dict_codec(label, _DICTS[origin], self.codec(key), self.codec(item))
        if origin in _ABSTRACT:
            item = arguments[0] if arguments else Any
            members = [types.GenericAlias(kind, (item, ...) if kind is tuple else (item,)) for kind in _ABSTRACT[origin]]
            return self._union(label, tuple(members))
        return None

    def _item(self, arguments: tuple[Any, ...]) -> Codec:
        return self.codec(arguments[0] if arguments else Any)

    def _class(self, kind: Any, filled: Mapping[object, object] = types.MappingProxyType({}), label: str = "") -> Codec:  # noqa: PLR0911 - a case a line
        label = label or describe(kind)
        if not isinstance(kind, type):
            return refusing_codec(label)
        if issubclass(kind, Enum):
            return flag_codec(kind) if issubclass(kind, Flag) else enum_codec(kind)
        if getattr(kind, "_is_protocol", False):
            return refusing_codec(label)
        if callable(getattr(kind, "to_json", None)) and callable(getattr(kind, "from_json", None)):
            return own_format_codec(label, kind)
        pydantic: Any = sys.modules.get("pydantic")  # whoever made a model of it has imported it
        if pydantic is not None and issubclass(kind, getattr(pydantic, "BaseModel", ())):
            return pydantic_codec(label, kind)
        if typing.is_typeddict(kind):
            codecs = self._fields(kind, filled)
            return typed_dict_codec(label, _required_keys(kind), codecs)
        shape = _shape(kind)
        if shape is not None:
            return record_codec(label, kind, shape, self._fields(kind, filled, shape))
        return text_codec(kind) or refusing_codec(label)

    def _fields(self, kind: type, filled: Mapping[object, object], shape: Shape | None = None) -> dict[str, Codec]:
        hints = field_hints(kind)
        names = hints if shape is None else (*(name for name, _ in shape.init), *shape.after)
        return {name: self.codec(substitute(_bare(hints.get(name, Any)), filled)) for name in names}


def _bare(hint: object) -> object:
    """Return what a field is annotated with, apart from what that says about the field itself."""
    return hint if hint is not typing.Final else Any


def _foreseen(kind: Any) -> tuple[frozenset[str], tuple[type, ...]]:
    """Return the kinds and accepted types of a codec that is not made yet, because it contains itself."""
    if kind in {list, tuple, set, frozenset}:
        return frozenset({LIST}), (kind,)
    if kind in _DICTS or typing.is_typeddict(kind):
        return frozenset({DICT}), (_DICTS.get(kind, dict),)
    if isinstance(kind, type) and _shape(kind) is not None:
        return frozenset({DICT}), (kind,)
    return ANY_KIND, ()


def _required_keys(kind: Any) -> frozenset[str]:
    # With postponed annotations `__required_keys__` does not see NotRequired and Required: look at the resolved hints.
    required = set(kind.__required_keys__)
    for name, hint in field_hints(kind).items():
        origin = typing.get_origin(hint)
        while origin is typing.Annotated:
            hint = typing.get_args(hint)[0]  # noqa: PLW2901 - looks inside
            origin = typing.get_origin(hint)
        mark = getattr(origin, "_name", "")
        if mark == "NotRequired":
            required.discard(name)
        elif mark == "Required":
            required.add(name)
    return frozenset(required)


def _shape(kind: type) -> Shape | None:
    own = vars(kind)  # not inherited: a plain subclass of a record may have attributes that nothing declares
    if "__attrs_attrs__" in own:
        return attrs_shape(kind)
    if "__dataclass_fields__" in own and dataclasses.is_dataclass(kind):
        return dataclass_shape(kind)
    if issubclass(kind, msgspec.Struct):
        return struct_shape(kind)
    if issubclass(kind, tuple) and "_fields" in own:
        return named_tuple_shape(kind)
    return None


def refusing_codec(label: str, why: str = "") -> Codec:
    """Return the codec of an annotation that nothing carries: it refuses each value."""

    def to_plain(_value: Any) -> Any:
        raise Misfit(
            "`{label}` is nothing JSON could carry",
            remedy="make it a dataclass or attrs class, give it `to_json` and `from_json`, or pass what it is made of",
            detail=why,
            label=label,
        )

    def from_plain(_data: Any) -> Any:
        raise Misfit("`{label}` is nothing JSON could have carried", detail=why, label=label)

    return Codec(label, frozenset(), (), to_plain, from_plain)
