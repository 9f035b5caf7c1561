"""Values as the kit's app encodes them: plain JSON, all of it inline, whatever the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pynenc_core.model import Blob, CallDTO, Payload
from pynenc_core.serializers.exceptions import decode_exception, encode_exception


class PlainValues:
    """A `ValueCodec` without tasks, serializer and client data store."""

    def encode_result(self, task_id: str, value: object) -> tuple[Payload, tuple[Blob, ...]]:
        """Return the value as JSON."""
        del task_id
        return self.pack_error(msgspec.json.encode(value))

    def decode_result(self, task_id: str, payload: Payload) -> Any:
        """Return the value that JSON gives back."""
        del task_id
        return msgspec.json.decode(payload.data)

    def decode_arguments(self, call: CallDTO) -> Mapping[str, Any]:
        """Return each argument as JSON gives it back."""
        return {name: msgspec.json.decode(payload.data) for name, payload in call.arguments}

    def encode_error(self, error: BaseException) -> bytes:
        """Return an exception as the core tells it."""
        return encode_exception(error)

    def decode_error(self, data: bytes) -> BaseException:
        """Return the exception that `encode_error` told of."""
        return decode_exception(data)

    def pack_error(self, data: bytes) -> tuple[Payload, tuple[Blob, ...]]:
        """Return the data inline."""
        return Payload(data, size=len(data)), ()

    def unpack_error(self, payload: Payload) -> bytes:
        """Return the data."""
        return payload.data

    def encode_value(self, name: str, value: object) -> bytes:
        """Return the value as JSON."""
        del name
        return msgspec.json.encode(value)

    def decode_value(self, name: str, data: bytes) -> Any:
        """Return the value that JSON gives back."""
        del name
        return msgspec.json.decode(data)
