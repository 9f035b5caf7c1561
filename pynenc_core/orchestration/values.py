"""What a state backend needs of an app's serializer, client data store and tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pynenc_core.client_data import CHUNK
from pynenc_core.errors.runners import UnknownTaskError
from pynenc_core.errors.serialization import PayloadTooLargeError
from pynenc_core.model import Blob, CallDTO, Payload
from pynenc_core.orchestration.codec import CallCodec
from pynenc_core.orchestration.registry import TaskDefinition, TaskRegistry
from pynenc_core.ports.serializer import Where
from pynenc_core.serializers.exceptions import decode_exception, encode_exception

_NO_TASK = "(any task)"


class TaskValues:
    """The `ValueCodec` of one app."""

    def __init__(self, app_id: str, codec: CallCodec, tasks: TaskRegistry) -> None:
        self._app_id = app_id
        self._codec = codec
        self._tasks = tasks

    def encode_result(self, task_id: str, value: object) -> tuple[Payload, tuple[Blob, ...]]:
        """Return what stands for a result in a record, and the blobs to store with it."""
        return self._codec.encode_result(self._definition(task_id), value)

    def decode_result(self, task_id: str, payload: Payload) -> Any:
        """Return a result."""
        return self._codec.decode_result(self._definition(task_id), payload)

    def decode_arguments(self, call: CallDTO) -> Mapping[str, Any]:
        """Return a call's arguments by parameter."""
        definition = self._definition(call.task_id)
        args, kwargs = self._codec.decode_arguments(definition, call)
        return definition.signature.bind(args, kwargs)

    def encode_error(self, error: BaseException) -> bytes:
        """Return an exception as data."""
        return encode_exception(error)

    def decode_error(self, data: bytes) -> BaseException:
        """Return the exception that `encode_error` told of."""
        return decode_exception(data)

    def pack_error(self, data: bytes) -> tuple[Payload, tuple[Blob, ...]]:
        """Return what stands for an encoded exception in a record, and the blobs to store with it."""
        return self._codec.pack_error(data)

    def unpack_error(self, payload: Payload) -> bytes:
        """Return the encoded exception that a payload stands for."""
        return self._codec.unpack_error(payload)

    def encode_value(self, name: str, value: object) -> bytes:
        """Return a value without annotation as bytes."""
        data = self._codec.serializer.encode(value, Any, where=Where(_NO_TASK, name))
        if len(data) > CHUNK:
            raise PayloadTooLargeError(_NO_TASK, name, len(data), CHUNK)
        return data

    def decode_value(self, name: str, data: bytes) -> Any:
        """Return the value that `encode_value` encoded."""
        return self._codec.serializer.decode(data, Any, where=Where(_NO_TASK, name))

    def _definition(self, task_id: str) -> TaskDefinition:
        found = self._tasks.get(task_id)
        if found is None:
            raise UnknownTaskError(task_id, self._app_id)
        return found
