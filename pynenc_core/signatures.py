"""A task's signature: binding a call's arguments to parameters, encoding them, and showing them in logs."""

from __future__ import annotations

import hashlib
import inspect
import reprlib
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, NoReturn

import attrs
import msgspec

from pynenc_core.errors.serialization import ArgumentBindingError, ArgumentEncodingError, PayloadDecodingError
from pynenc_core.ports.serializer import BaseSerializer, Where
from pynenc_core.serializers.hints import describe, function_hints

_KIND = inspect.Parameter
_EMPTY: Any = inspect.Parameter.empty
_HASH_CHARACTERS = 32
_SHOWN_CHARACTERS = 80
_SECRET = "<secret>"  # noqa: S105 - what is shown instead of one
_HIDDEN = "<hidden>"


@attrs.frozen(eq=False)
class Parameter:
    """One parameter of a task, with the annotation by which its value travels."""

    name: str
    kind: Any
    """One of the kinds of `inspect.Parameter`."""
    annotation: Any
    """`tuple[item, ...]` for `*args` and `dict[str, item]` for `**kwargs`; `Any` where there is none."""
    default: Any
    """`inspect.Parameter.empty` where a value must be given."""
    where: Where


class CallSignature:
    """What a task takes and returns; made once for each task, and shared by all its calls and threads.

    `bind` turns the arguments of a call into one mapping, in parameter order and with defaults applied, which is the same
    for each way of writing the same call. `*args` is a tuple in it, `**kwargs` a dict.
    """

    def __init__(self, task_id: str, parameters: tuple[Parameter, ...], returns: Any, text: str) -> None:
        self.task_id = task_id
        self.parameters = parameters
        self.returns = returns
        """The annotation of the result; `Any` where there is none."""
        self.result_where = Where(task_id)
        self.text = text
        """As written in errors: `(x: int, *, y: str = ...)`."""
        self.by_name = {parameter.name: parameter for parameter in parameters}
        self.secret = frozenset(parameter.name for parameter in parameters if parameter.where.secret)
        """Names of the parameters whose values are never shown."""
        positional = tuple(each for each in parameters if each.kind in {_KIND.POSITIONAL_ONLY, _KIND.POSITIONAL_OR_KEYWORD})
        self._positional = tuple(each.name for each in positional)
        self._count = len(positional)
        self._positional_only = frozenset(each.name for each in positional if each.kind is _KIND.POSITIONAL_ONLY)
        self._keyword_only = tuple(each.name for each in parameters if each.kind is _KIND.KEYWORD_ONLY)
        self._var_positional = next((each.name for each in parameters if each.kind is _KIND.VAR_POSITIONAL), "")
        self._var_keyword = next((each.name for each in parameters if each.kind is _KIND.VAR_KEYWORD), "")
        self._by_keyword = (frozenset(self._positional) - self._positional_only) | frozenset(self._keyword_only)
        self._defaults = {each.name: each.default for each in parameters if each.default is not _EMPTY}
        self._simple = not (self._keyword_only or self._var_positional or self._var_keyword)

    @classmethod
    def of(cls, function: Callable[..., Any], task_id: str, *, secret: Iterable[str] = ()) -> CallSignature:
        """Read the signature of a function; `secret` are names of parameters whose values are never shown.

        Annotations whose names do not exist at run time count as absent. Raises ArgumentBindingError for a secret that
        is no parameter.
        """
        hints = function_hints(function)
        names = frozenset(secret)
        read = inspect.signature(function).parameters
        parameters = tuple(
            Parameter(
                each.name,
                each.kind,
                _carried_as(each.kind, hints.get(each.name, Any)),
                each.default,
                Where(task_id, each.name, each.name in names),
            )
            for each in read.values()
        )
        made = cls(task_id, parameters, hints.get("return", Any), _text(read.values(), hints))
        for unknown in sorted(names - read.keys()):
            made._refuse("unexpected", repr(unknown))
        return made

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the value of each parameter; raises ArgumentBindingError naming task and parameter."""
        count = len(args)
        if not kwargs and count == self._count and self._simple:
            return dict(zip(self._positional, args, strict=True))
        bound = dict(zip(self._positional, args, strict=False))
        if count > self._count and not self._var_positional:
            self._refuse("too many", str(self._count))
        used = 0
        for name in self._positional[count:]:
            if name in kwargs and name not in self._positional_only:
                bound[name] = kwargs[name]
                used += 1
            elif name in self._defaults:
                bound[name] = self._defaults[name]
            else:
                self._missing(args, kwargs)
        if self._simple:
            if used != len(kwargs):
                self._surplus(args, kwargs)
            return bound
        return self._bind_rest(bound, used, args, kwargs)

    def _bind_rest(self, bound: dict[str, Any], used: int, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Bind what only some signatures have: `*args`, keyword-only parameters and `**kwargs`."""
        if self._var_positional:
            bound[self._var_positional] = args[self._count :]
        for name in self._keyword_only:
            if name in kwargs:
                bound[name] = kwargs[name]
                used += 1
            elif name in self._defaults:
                bound[name] = self._defaults[name]
            else:
                self._missing(args, kwargs)
        if self._var_keyword:
            twice = self._by_keyword.intersection(kwargs).intersection(self._positional[: len(args)])
            if twice:
                self._refuse("multiple", repr(min(twice)))
            bound[self._var_keyword] = {name: value for name, value in kwargs.items() if name not in self._by_keyword}
        elif used != len(kwargs):
            self._surplus(args, kwargs)
        return bound

    def unbind(self, mapping: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments to call the function with; `mapping` has every parameter, as `bind` and `decode_call` give it."""
        args = tuple([mapping[name] for name in self._positional])
        if self._simple:
            return args, {}
        if self._var_positional:
            args += tuple(mapping[self._var_positional])
        kwargs = {name: mapping[name] for name in self._keyword_only}
        if self._var_keyword:
            kwargs.update(mapping[self._var_keyword])
        return args, kwargs

    def _missing(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> NoReturn:
        names = [
            repr(name)
            for name in (*self._positional[len(args) :], *self._keyword_only)
            if name not in self._defaults and (name not in kwargs or name in self._positional_only)
        ]
        self._refuse("missing", " and ".join(names))

    def _surplus(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> NoReturn:
        given = frozenset(self._positional[: len(args)]) & self._by_keyword
        for name in kwargs:
            if name in given:
                self._refuse("multiple", repr(name))
        self._refuse("unexpected", repr(next(name for name in kwargs if name not in self._by_keyword)))

    def _refuse(self, problem: str, parameter: str) -> NoReturn:
        raise ArgumentBindingError(self.task_id, parameter, problem, self.text)


def _carried_as(kind: Any, annotation: Any) -> Any:
    if kind is _KIND.VAR_POSITIONAL:
        return tuple[annotation, ...]
    if kind is _KIND.VAR_KEYWORD:
        # Unpack[SomeTypedDict] describes all of them, not each.
        return annotation if getattr(getattr(annotation, "__origin__", None), "_name", "") == "Unpack" else dict[str, annotation]
    return annotation


def _text(parameters: Iterable[inspect.Parameter], hints: Mapping[str, object]) -> str:
    """Return the signature without its defaults' values, which may be long or secret."""
    parts: list[str] = []
    previous: Any = None
    for each in parameters:
        if previous is _KIND.POSITIONAL_ONLY and each.kind is not _KIND.POSITIONAL_ONLY:
            parts.append("/")
        if each.kind is _KIND.KEYWORD_ONLY and previous not in {_KIND.KEYWORD_ONLY, _KIND.VAR_POSITIONAL}:
            parts.append("*")
        stars = "*" if each.kind is _KIND.VAR_POSITIONAL else "**" if each.kind is _KIND.VAR_KEYWORD else ""
        annotation = describe(hints.get(each.name, Any))
        parts.append(f"{stars}{each.name}{f': {annotation}' if annotation else ''}{'' if each.default is _EMPTY else ' = ...'}")
        previous = each.kind
    if previous is _KIND.POSITIONAL_ONLY:
        parts.append("/")
    return f"({', '.join(parts)})"


def encode_call(signature: CallSignature, serializer: BaseSerializer, mapping: Mapping[str, Any]) -> tuple[tuple[str, bytes], ...]:
    """Return each argument, encoded, in parameter order; raises ArgumentEncodingError naming task and parameter.

    A default that cannot be encoded (a sentinel object, None where the annotation forgets to say so) is left out when it
    is what the call has: the worker applies it again.
    """
    encode = serializer.encode
    encoded: list[tuple[str, bytes]] = []
    for parameter in signature.parameters:
        value = mapping[parameter.name]
        try:
            encoded.append((parameter.name, encode(value, parameter.annotation, where=parameter.where)))
        except ArgumentEncodingError:
            if value is not parameter.default:
                raise
    return tuple(encoded)


def decode_call(signature: CallSignature, serializer: BaseSerializer, encoded: Iterable[tuple[str, bytes]]) -> dict[str, Any]:
    """Return the arguments by parameter, as `bind` gave them. A parameter that is not stored gets its default.

    Raises PayloadDecodingError when a stored argument cannot be read, has no parameter, or a parameter has neither a
    stored value nor a default: the task has changed since the call.
    """
    stored = dict(encoded)
    mapping: dict[str, Any] = {}
    for parameter in signature.parameters:
        name = parameter.name
        if name in stored:
            mapping[name] = serializer.decode(stored.pop(name), parameter.annotation, where=parameter.where)
        elif parameter.default is not _EMPTY:
            mapping[name] = parameter.default
        elif parameter.kind is _KIND.VAR_POSITIONAL:
            mapping[name] = ()
        elif parameter.kind is _KIND.VAR_KEYWORD:
            mapping[name] = {}
        else:
            raise PayloadDecodingError(signature.task_id, name, describe(parameter.annotation), "the call has no value for it")
    for name in stored:
        raise PayloadDecodingError(signature.task_id, name, problem=f"the task has no such parameter, its signature is {signature.text}")
    return mapping


def encode_result(signature: CallSignature, serializer: BaseSerializer, value: object) -> bytes:
    """Return a result, encoded by the return annotation; raises ResultEncodingError."""
    return serializer.encode(value, signature.returns, where=signature.result_where)


def decode_result(signature: CallSignature, serializer: BaseSerializer, data: bytes) -> Any:
    """Return the result that `encode_result` gave as `data`; raises PayloadDecodingError."""
    return serializer.decode(data, signature.returns, where=signature.result_where)


_read = msgspec.json.Decoder().decode
_write_sorted = msgspec.json.Encoder(order="sorted").encode


def content_hash(encoded: Iterable[tuple[str, bytes]]) -> str:
    """Return 32 hex digits that are equal for equal encoded arguments; dicts are equal in whatever order their keys are."""
    digest = hashlib.sha256()
    for name, data in encoded:
        canonical = _canonical(data) if b"{" in data else data
        # With lengths, so that no two lists of arguments run together to the same bytes; a name holds no blank.
        digest.update(b"%s %d " % (name.encode(), len(canonical)))
        digest.update(canonical)
    return digest.hexdigest()[:_HASH_CHARACTERS]


def _canonical(data: bytes) -> bytes:
    if not data.startswith((b"{", b"[")):
        return data
    try:
        return _write_sorted(_read(data))
    except (ValueError, msgspec.MsgspecError, RecursionError):  # not JSON, but another serializer's
        return data


class Shown(StrEnum):
    """How much of arguments is shown in logs."""

    HIDDEN = "hidden"
    TRUNCATED = "truncated"
    FULL = "full"


def shown(mapping: Mapping[str, Any], mode: Shown | str = Shown.HIDDEN, *, secret: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return arguments as text for a log line: hidden by default, or cut to 80 characters each; secret ones never.

    Never raises, whatever the values' `__repr__` does.
    """
    return {name: _SECRET if name in secret else _shown_value(value, Shown(mode)) for name, value in mapping.items()}


def _shown_value(value: object, mode: Shown) -> str:
    if mode is Shown.HIDDEN:
        return _HIDDEN
    try:
        if mode is Shown.FULL:
            return repr(value)
        text = _short.repr(value)  # does not spell out what will be cut off
    except Exception as error:  # noqa: BLE001 - a log line must not fail because of what it shows
        return f"<{type(value).__qualname__}, whose repr raised {type(error).__qualname__}>"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."


_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = _SHOWN_CHARACTERS
_short.maxlist = _short.maxtuple = _short.maxdict = _short.maxset = _short.maxfrozenset = 20
