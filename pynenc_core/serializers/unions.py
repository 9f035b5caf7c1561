"""Codecs of unions: a member is told by the kind of its JSON data, or by its name where that would not tell."""

# Values of any type are looked at here, and `type(x) is list` tells nothing of the items:
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

from typing import Any

from pynenc_core.serializers.codec import DICT, KIND_OF, NULL, Codec, Misfit, described, refuse_data

_TAG = "$type"
_VALUE = "value"


def _names(members: tuple[Codec, ...]) -> tuple[str, ...]:
    """Return a name for each member, unique in this union and independent of the order of its members."""
    labels = [member.label for member in members]
    return tuple(
        label if labels.count(label) == 1 else f"{label} {'/'.join(sorted(kind.__module__ for kind in member.accepts))}"
        for label, member in zip(labels, members, strict=True)
    )


def _disjoint(members: tuple[Codec, ...]) -> bool:
    return sum(len(member.kinds) for member in members) == len(frozenset[str]().union(*(member.kinds for member in members)))


def union_codec(label: str, members: tuple[Codec, ...]) -> Codec:
    """Return the codec of a union. None always travels as null; data names a member only as one of these, never a class to find."""
    if _disjoint(members):
        return _untagged(label, members)
    return _tagged(label, members)


class _Choice:
    """Finds the members that may take a value: those that name its exact type first, `float` last (it takes ints too)."""

    def __init__(self, label: str, members: tuple[Codec, ...]) -> None:
        self._label = label
        self._by_type: dict[type, list[int]] = {}
        self._open = [index for index, member in enumerate(members) if not member.accepts]
        for index in sorted(range(len(members)), key=lambda index: members[index].label == "float"):
            for kind in members[index].accepts:
                self._by_type.setdefault(kind, []).append(index)
        self._encoders = [member.to_plain for member in members]

    def encode(self, value: Any) -> tuple[int, Any]:
        """Return the index of the member that takes `value`, and its plain form."""
        candidates = self._by_type.get(type(value), [])
        last: Misfit | None = None
        for index in (*candidates, *self._open):
            try:
                return index, self._encoders[index](value)
            except Misfit as error:
                last = error
        if last is not None and len(candidates) + len(self._open) == 1:
            raise last
        raise Misfit("it is {it}, which fits no member of `{label}`", it=described(value), label=self._label) from last


def _untagged(label: str, members: tuple[Codec, ...]) -> Codec:
    choice = _Choice(label, members)
    encode = choice.encode
    by_kind = {kind: member.from_plain for member in members for kind in member.kinds}
    for member in members:
        if member.label == "float":  # a whole number may have lost its point on the way through other tools
            by_kind.setdefault("int", member.from_plain)

    def to_plain(value: Any) -> Any:
        return encode(value)[1]

    def from_plain(data: Any) -> Any:
        decode = by_kind.get(KIND_OF[type(data)])
        return refuse_data(data, label) if decode is None else decode(data)

    kinds = frozenset[str]().union(*(member.kinds for member in members))
    return Codec(label, kinds, _accepts(members), to_plain, from_plain)


def _tagged(label: str, members: tuple[Codec, ...]) -> Codec:
    choice = _Choice(label, members)
    encode = choice.encode
    names = _names(members)
    nullable = any(NULL in member.kinds and (not member.accepts or type(None) in member.accepts) for member in members)
    decoders = {name: member.from_plain for name, member in zip(names, members, strict=True)}

    def to_plain(value: Any) -> Any:
        index, plain = encode(value)
        if value is None and plain is None:
            return None
        return {_TAG: names[index], _VALUE: plain}

    def from_plain(data: Any) -> Any:
        if data is None and nullable:
            return None
        if type(data) is not dict or data.keys() != {_TAG, _VALUE}:
            refuse_data(data, label)
        decode = decoders.get(data[_TAG]) if type(data[_TAG]) is str else None
        if decode is None:
            raise Misfit("the stored value names no member of `{label}`", label=label)
        return decode(data[_VALUE])

    kinds = frozenset({DICT, NULL}) if nullable else frozenset({DICT})
    return Codec(label, kinds, _accepts(members), to_plain, from_plain)


def _accepts(members: tuple[Codec, ...]) -> tuple[type, ...]:
    if not all(member.accepts for member in members):
        return ()
    return tuple(dict.fromkeys(kind for member in members for kind in member.accepts))
