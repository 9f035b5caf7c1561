"""Exceptions as data: what a task raised in one process, told in another without importing or running what the data name."""

# Values of any type are looked at here, and `type(x) is list` tells nothing of the items:
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

import binascii
import sys
import traceback
import types
from math import isfinite
from typing import Any

import attrs
import msgspec

from pynenc_core.errors.base import PynencError
from pynenc_core.errors.serialization import PayloadDecodingError, RemoteError
from pynenc_core.serializers.codec import Misfit

MAX_TRACEBACK = 64 * 1024
MAX_MESSAGE = 16 * 1024
MAX_NOTES = 20
MAX_GROUP = 50
MAX_GROUP_DEPTH = 5
MAX_VALUE_DEPTH = 20
MAX_REPR = 1024
MAX_NAME = 500
MAX_STATE = 64 * 1024
MAX_WHOLE = 512 * 1024
"""In characters, items, levels, and the last in bytes, so that an error can be stored even where there is no place for
large values. Arguments beyond their bound are kept as text, and the exception becomes a RemoteError."""

_NOTE_TITLE = "Traceback where it was raised:\n"
_RESERVED = {"__notes__", "remote_traceback"}
_NEVER_RAISED_HERE = (StopIteration, StopAsyncIteration)
"""Raised again in a generator or coroutine these would mean something else."""


@attrs.frozen
class Told:
    """What is kept of one exception."""

    module: str
    name: str
    message: str = ""
    text: str = ""
    """The traceback, chained causes included; empty within a group, whose own text has it."""
    notes: tuple[str, ...] = ()
    exact: bool = False
    """Whether `args` are the arguments; else they are too many or nothing JSON carries, and each is its `repr`."""
    args: tuple[Any, ...] = ()
    fields: dict[str, Any] | None = None
    """Of our own errors: what they are rebuilt from, in place of `args`."""
    state: dict[str, Any] = attrs.field(factory=dict)
    """Attributes that JSON carries."""
    lost: tuple[str, ...] = ()
    """Names of the other attributes."""
    group: tuple[Told, ...] | None = None


_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(Told).decode


def cut(text: str, limit: int) -> str:
    """Return text of at most `limit` characters (and a line that says so), keeping its head and its tail."""
    clean = text.encode("utf-8", "backslashreplace").decode()
    if len(clean) <= limit:
        return clean
    half = max(limit - 60, 2) // 2  # the line between them counts too
    return f"{clean[:half]}\n... {len(clean) - 2 * half:,} characters left out ...\n{clean[-half:]}"


def encode_exception(error: BaseException) -> bytes:
    """Return an exception as JSON: class, message, arguments, attributes, notes, traceback text. Never raises."""
    try:
        told = _told(error, _traceback_text(error), MAX_GROUP_DEPTH)
        data = _write(told)
        # Each part has its bound, but a group or an object may have very many of them.
        return data if len(data) <= MAX_WHOLE else _write(Told(told.module, told.name, told.message, told.text))
    except Exception as failure:  # noqa: BLE001 - an exception may be of any making, and its invocation must end all the same
        kind = type(error)
        text = f"(it could not be looked into: {type(failure).__name__})"
        return _write(Told(cut(str(kind.__module__), MAX_NAME), cut(kind.__qualname__, MAX_NAME), text, text))


def decode_exception(data: bytes) -> BaseException:
    """Return the exception that `encode_exception` told of: as its own class, or as RemoteError with the same text.

    Our own errors are rebuilt by name. Others only if their class is loaded in this process already, is an `Exception`,
    and gives an object with the same message; nothing is ever imported. It has the traceback's text as the attribute
    `remote_traceback` and as a note. Exceptions that would end a process (SystemExit, KeyboardInterrupt) or a generator
    always become RemoteError. Raises PayloadDecodingError when `data` is not of this form.
    """
    try:
        told = _read(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadDecodingError("(unknown)", "exception", problem=str(error)) from None
    return _raised(told)


# --- telling ---


def _traceback_text(error: BaseException) -> str:
    try:
        return cut("".join(traceback.format_exception(error)), MAX_TRACEBACK)
    except Exception as failure:  # noqa: BLE001 - `traceback` calls what the exception's class defines
        return f"(its traceback could not be formatted: {type(failure).__name__})\n"


def _message(error: BaseException) -> str:
    try:
        return cut(str(error), MAX_MESSAGE)
    except Exception as failure:  # noqa: BLE001 - a broken __str__ is the user's, the report is ours
        return f"(its message could not be made: {type(failure).__name__})"


def _told(error: BaseException, text: str, depth: int) -> Told:
    kind = type(error)
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    group = tuple(_told(member, "", depth - 1) for member in members) if depth and len(members) <= MAX_GROUP else ()
    fields = error.fields() if isinstance(error, PynencError) and kind.__init__ is PynencError.__init__ and error.fields() else None
    arguments, exact = _carried((error.message,) if isinstance(error, BaseExceptionGroup) else _arguments(error))
    plain_fields, exact_fields = _carried(tuple((fields or {}).values()))
    state = {} if fields is not None else {key: value for key, value in vars(error).items() if key not in _RESERVED}
    carried = {key: plain[0] for key, value in state.items() for plain, whole in [_carried((value,))] if whole}
    notes = [note for note in vars(error).get("__notes__") or () if isinstance(note, str) and not note.startswith(_NOTE_TITLE)]
    return Told(
        module=kind.__module__,
        name=kind.__qualname__,
        message=_message(error),
        text=text,
        notes=tuple(cut(note, MAX_MESSAGE) for note in notes[:MAX_NOTES]),
        exact=exact and len(group) == len(members) and exact_fields,
        args=arguments,
        fields=dict(zip(fields, plain_fields, strict=True)) if fields is not None and exact_fields else None,
        state=carried,
        lost=tuple(cut(str(key), MAX_NAME) for key in state if key not in carried),
        group=group if members else None,
    )


def _arguments(error: BaseException) -> tuple[Any, ...]:
    """Return what its class is called with to make it again; `args` is not the whole of it for OSError, JSONDecodeError, ..."""
    try:
        reduced: Any = error.__reduce__()
        made_by, arguments = reduced[:2]
    except Exception:  # noqa: BLE001 - anybody may define __reduce__
        return error.args
    return arguments if made_by is type(error) and isinstance(arguments, tuple) else error.args


def _carried(values: tuple[Any, ...]) -> tuple[tuple[Any, ...], bool]:
    """Return values as JSON carries them, or their `repr`; and which of the two it is."""
    try:
        plain = tuple(_marked(value, MAX_VALUE_DEPTH) for value in values)
        if len(_write(plain)) <= MAX_STATE:
            return plain, True
    except (Misfit, UnicodeEncodeError, ValueError):
        pass
    return tuple(_repr(value) for value in values[:MAX_NOTES]), False


def _marked(value: Any, depth: int) -> Any:
    """Return a value with its containers marked for what they are; exact types only."""
    kind = type(value)
    if value is None or kind in {str, bool, int} or (kind is float and isfinite(value)):
        return value
    if kind is bytes:
        return {"bytes": binascii.b2a_base64(value, newline=False).decode()}
    if depth:
        if kind in {list, tuple}:
            return {kind.__name__: [_marked(item, depth - 1) for item in value]}
        if kind is dict and all(type(key) is str for key in value):
            return {"dict": {key: _marked(item, depth - 1) for key, item in value.items()}}
    raise Misfit("not carried")


def _repr(value: object) -> str:
    try:
        return cut(repr(value), MAX_REPR)
    except Exception as failure:  # noqa: BLE001 - as for __str__
        return f"(its repr could not be made: {type(failure).__name__})"


# --- raising again ---


def _unmarked(data: Any) -> Any:
    if type(data) is not dict:
        return data
    ((mark, inner),) = data.items()
    if mark == "bytes":
        return binascii.a2b_base64(inner)
    if mark == "dict":
        return {key: _unmarked(item) for key, item in inner.items()}
    items = [_unmarked(item) for item in inner]
    return tuple(items) if mark == "tuple" else items


def _raised(told: Told) -> BaseException:
    made = _rebuilt(told)
    if made is None:
        made = RemoteError(told.name if told.module == "builtins" else f"{told.module}.{told.name}", told.message, told.text)
    try:
        own = vars(made)
        own["remote_traceback"] = told.text
        own["__notes__"] = [*told.notes, *([f"{_NOTE_TITLE}{told.text.rstrip()}"] if told.text else [])]
    except TypeError:  # a class that hides its __dict__
        return RemoteError(told.name, told.message, told.text)
    return made


def _rebuilt(told: Told) -> Exception | None:
    """Return an equal exception of the same class, or None."""
    kind = _loaded_class(told)
    if kind is None or not told.exact:
        return None
    try:
        made: Any
        if told.group is not None:
            made = kind(_unmarked(told.args[0]), [_raised(member) for member in told.group])
        elif told.fields is not None:
            made = kind(**{key: _unmarked(value) for key, value in told.fields.items()})
        else:
            made = kind(*[_unmarked(argument) for argument in told.args])
        if type(made) is not kind or not all(name in vars(made) for name in told.lost):
            return None
        vars(made).update({key: _unmarked(value) for key, value in told.state.items()})
        same = cut(str(made), MAX_MESSAGE) == told.message
    except Exception:  # noqa: BLE001 - its constructor takes something else than it keeps, or data were tampered with
        return None
    return made if same else None


def _loaded_class(told: Told) -> Any:
    """Return the exception class of that name if this process has it already, and it may be raised anywhere."""
    found: Any = sys.modules.get(told.module)
    for part in told.name.split("."):
        # Not getattr, which may run a module's __getattr__, and that may import.
        found = vars(found).get(part) if isinstance(found, (types.ModuleType, type)) else None
    if found is BaseExceptionGroup:
        return ExceptionGroup  # its members are rebuilt as Exceptions
    if not isinstance(found, type) and told.fields is not None:
        found = _ours(told.name)
    if not (isinstance(found, type) and issubclass(found, Exception)) or issubclass(found, _NEVER_RAISED_HERE):
        return None
    return found


def _ours(name: str) -> Any:
    """Return the error of ours with that name, wherever its module is in this version."""
    waiting: list[Any] = [PynencError]
    while waiting:
        kind = waiting.pop()
        if kind.__qualname__ == name and vars(sys.modules.get(kind.__module__, types)).get(name) is kind:
            return kind
        waiting.extend(kind.__subclasses__())
    return None
