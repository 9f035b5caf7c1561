"""The default serializer: typed JSON, in which no class, module or function is ever named for us to find."""

from __future__ import annotations

from typing import Any

import msgspec

from pynenc_core.errors.serialization import ArgumentEncodingError, PayloadDecodingError, ResultEncodingError
from pynenc_core.ports.serializer import RETURN_VALUE, BaseSerializer, Where
from pynenc_core.serializers.codec import Codec, Misfit, said_by
from pynenc_core.serializers.compiler import Compiler, refusing_codec
from pynenc_core.serializers.hints import describe

_MAX_CODECS = 4096
"""Annotations come from code, so there are few; whoever makes new ones for each call pays for compiling them."""
_DETAIL = 300
"""Characters of a value, or of the path to it, that an error may quote."""
_DEEP = "it is nested too deeply, or contains itself"


class JsonSerializer(BaseSerializer):
    """Encodes values as JSON by their annotation, and decodes them to it; refuses at once what would not come back equal.

    Standard types, enums, dataclasses, attrs classes, NamedTuple, TypedDict, msgspec structs, pydantic models, generic
    containers and unions of all these are carried; so is each class with `to_json` and `from_json`. Without an annotation:
    str, int, finite float, bool, None, and lists and dicts with str keys of them.
    """

    name = "json"

    def __init__(self) -> None:
        # By identity, which is faster than hashing a generic alias; the annotation is kept, so its id is not used again.
        self._codecs: dict[int, tuple[object, Codec]] = {}
        self._write = msgspec.json.Encoder().encode
        self._read = msgspec.json.Decoder().decode

    def encode(self, value: object, annotation: object, *, where: Where) -> bytes:
        """Return `value` as JSON text; see `BaseSerializer.encode`."""
        found = self._codecs.get(id(annotation))
        codec = found[1] if found else self._compile(annotation)
        try:
            return self._write(codec.to_plain(value))
        except Misfit as error:
            raise _encoding_error(error, annotation, where) from (None if where.secret else error.__cause__)
        except RecursionError:
            raise _encoding_error(Misfit(_DEEP), annotation, where) from None
        except UnicodeEncodeError:
            unpaired = Misfit("it holds text with a lone surrogate, which is no Unicode", remedy="pass bytes, annotated as `bytes`")
            raise _encoding_error(unpaired, annotation, where) from None
        except Exception as error:  # noqa: BLE001 - it becomes a typed error that names the place
            # A property, a descriptor or a comparison of the value's own class failed.
            failed = Misfit("looking into it raised {error}", detail=said_by(error), error=type(error).__qualname__)
            raise _encoding_error(failed, annotation, where) from (None if where.secret else error)

    def decode(self, data: bytes, annotation: object, *, where: Where) -> object:
        """Return the value that the JSON text stands for; see `BaseSerializer.decode`."""
        found = self._codecs.get(id(annotation))
        codec = found[1] if found else self._compile(annotation)
        try:
            return codec.from_plain(self._read(data))
        except Misfit as error:
            raise _decoding_error(error, annotation, where) from (None if where.secret else error.__cause__)
        except RecursionError:
            raise _decoding_error(Misfit(_DEEP), annotation, where) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _decoding_error(Misfit("it is not JSON", detail=said_by(error)), annotation, where) from None
        except Exception as error:  # noqa: BLE001 - it becomes a typed error that names the place
            failed = Misfit("putting it together raised {error}", detail=said_by(error), error=type(error).__qualname__)
            raise _decoding_error(failed, annotation, where) from (None if where.secret else error)

    def _compile(self, annotation: object) -> Codec:
        try:
            codec = Compiler().codec(annotation)
        except Exception as error:  # noqa: BLE001 - a class may refuse to be looked into
            codec = refusing_codec(describe(annotation), said_by(error))
        if len(self._codecs) >= _MAX_CODECS:
            self._codecs.clear()
        self._codecs[id(annotation)] = (annotation, codec)
        return codec


def _said(error: Misfit, where: Where) -> tuple[str, str]:
    """Return problem and path, without anything that quotes the value if that is secret."""
    if where.secret:
        return error.problem, ""
    return f"{error.problem} ({error.detail[:_DETAIL]})" if error.detail else error.problem, error.path[:_DETAIL]


def _encoding_error(error: Misfit, annotation: object, where: Where) -> ArgumentEncodingError | ResultEncodingError:
    problem, path = _said(error, where)
    which: Any = ResultEncodingError if where.parameter == RETURN_VALUE else ArgumentEncodingError
    made: ArgumentEncodingError | ResultEncodingError = which(
        where.task_id, where.parameter, describe(annotation), problem, path, error.remedy
    )
    return made


def _decoding_error(error: Misfit, annotation: object, where: Where) -> PayloadDecodingError:
    problem, path = _said(error, where)
    return PayloadDecodingError(where.task_id, where.parameter, describe(annotation), problem, path)
