"""Calls, results and errors as they are stored: encoded by the serializer, placed by the client data store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Any

import attrs

from pynenc_core.client_data import ClientDataStore
from pynenc_core.errors.serialization import PayloadDecodingError
from pynenc_core.identifiers import call_id
from pynenc_core.model import Blob, CallDTO, Payload
from pynenc_core.orchestration.registry import TaskDefinition
from pynenc_core.ports.serializer import BaseSerializer, Where
from pynenc_core.serializers.exceptions import decode_exception, encode_exception
from pynenc_core.signatures import content_hash, decode_call, decode_result, encode_call, encode_result

_ALL = "*"
_OWN = "pynenc_core."
_ERROR = Where("(any task)", "exception")


@attrs.frozen
class EncodedCall:
    """A call as it is submitted, with the blobs to store in the same step."""

    call: CallDTO
    blobs: tuple[Blob, ...]


class CallCodec:
    """Encodes for and decodes from one app's store."""

    def __init__(
        self,
        serializer: BaseSerializer,
        data: ClientDataStore,
        fetch: Callable[[Collection[str]], Mapping[str, bytes]],
        keep: float,
        tell: Callable[[BaseException], bytes] = encode_exception,
        read: Callable[[bytes], BaseException] = decode_exception,
    ) -> None:
        """`fetch` gets blobs from the store; `keep` is for how many seconds a blob has to live after it was last referenced.

        `tell` and `read` are the store's own way to keep exceptions as data.
        """
        self.serializer = serializer
        self.data = data
        self._fetch = fetch
        self._keep = keep
        self._tell = tell
        self._read = read

    def encode_call(self, definition: TaskDefinition, arguments: Mapping[str, Any], ahead: float = 0.0) -> EncodedCall:
        """Encode bound arguments of a call that is due in `ahead` seconds. Raises ArgumentEncodingError, PayloadTooLargeError."""
        signature, options = definition.signature, definition.options
        encoded = encode_call(signature, self.serializer, arguments)
        inline = options.disable_cache_args
        if _ALL in inline:
            inline = tuple([name for name, _ in encoded])
        by_name = signature.by_name
        placed = [(by_name[name].where, data) for name, data in encoded]
        payloads, blobs = self.data.pack_all(placed, ttl=self._keep + ahead, inline=inline)
        identity = call_id(definition.task_id, content_hash(encoded))
        return EncodedCall(
            CallDTO(call_id=identity, task_id=definition.task_id, arguments=payloads, serializer=self.serializer.name), blobs
        )

    def decode_arguments(self, definition: TaskDefinition, call: CallDTO) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what to call the function with. Raises PayloadDecodingError, BlobMissingError."""
        if call.serializer != self.serializer.name:
            problem = f"it was encoded by serializer {call.serializer!r}, this app uses {self.serializer.name!r}"
            raise PayloadDecodingError(call.task_id, "arguments", problem=problem)
        signature = definition.signature
        places = signature.by_name
        payloads = [(places[name].where if name in places else Where(call.task_id, name), payload) for name, payload in call.arguments]
        contents = self.data.unpack_all(payloads, self._fetch)
        stored = zip((name for name, _ in call.arguments), contents, strict=True)
        return signature.unbind(decode_call(signature, self.serializer, stored))

    def encode_result(self, definition: TaskDefinition, value: object) -> tuple[Payload, tuple[Blob, ...]]:
        """Encode a result by the return annotation. Raises ResultEncodingError, PayloadTooLargeError."""
        return self._place(encode_result(definition.signature, self.serializer, value), definition.signature.result_where)

    def decode_result(self, definition: TaskDefinition, payload: Payload) -> Any:
        """Return a result. Raises PayloadDecodingError, BlobMissingError."""
        data = self.data.unpack(payload, definition.signature.result_where, self._fetch)
        return decode_result(definition.signature, self.serializer, data)

    def encode_error(self, error: BaseException) -> tuple[Payload, tuple[Blob, ...]]:
        """Encode an exception as data, its traceback from the task's own code on; never fails."""
        error.__traceback__ = _from_the_task_on(error.__traceback__)
        try:
            data = self._tell(error)
        except Exception:  # noqa: BLE001 - a backend's own way may fail; the invocation has to end all the same
            data = encode_exception(error)
        return self.pack_error(data)

    def decode_error(self, payload: Payload) -> BaseException:
        """Return an exception from data. Raises PayloadDecodingError, BlobMissingError."""
        return self._read(self.unpack_error(payload))

    def pack_error(self, data: bytes) -> tuple[Payload, tuple[Blob, ...]]:
        """Return what stands for an encoded exception in a record, and the blobs to store with it."""
        return self._place(data, _ERROR)

    def unpack_error(self, payload: Payload) -> bytes:
        """Return the encoded exception that a payload stands for. Raises BlobMissingError."""
        return self.data.unpack(payload, _ERROR, self._fetch)

    def _place(self, data: bytes, where: Where) -> tuple[Payload, tuple[Blob, ...]]:
        blobs: list[Blob] = []
        return self.data.pack(data, where, blobs, ttl=self._keep), tuple(blobs)


def _from_the_task_on(traceback: TracebackType | None) -> TracebackType | None:
    """Leave out how we came to call the task; all of it stays when nothing but our own code is in it."""
    own = traceback
    while own is not None and str(own.tb_frame.f_globals.get("__name__", "")).startswith(_OWN):
        own = own.tb_next
    return own or traceback
