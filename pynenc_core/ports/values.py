"""How the values of an app become what its store keeps: results, exceptions, arguments and small values of workflows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pynenc_core.model import Blob, CallDTO, Payload


class ValueCodec(Protocol):
    """Encodes for and decodes from one app's store, by the annotations of the app's tasks. Thread-safe."""

    def encode_result(self, task_id: str, value: object) -> tuple[Payload, tuple[Blob, ...]]:
        """Return what stands for a result in a record, and the blobs to store with it.

        Raises UnknownTaskError where this process does not know the task, ResultEncodingError, PayloadTooLargeError.
        """
        ...

    def decode_result(self, task_id: str, payload: Payload) -> Any:
        """Return a result. Raises UnknownTaskError, PayloadDecodingError, BlobMissingError."""
        ...

    def decode_arguments(self, call: CallDTO) -> Mapping[str, Any]:
        """Return a call's arguments by parameter. Raises UnknownTaskError, PayloadDecodingError, BlobMissingError."""
        ...

    def encode_error(self, error: BaseException) -> bytes:
        """Return an exception as data: class, message, arguments, traceback text. Never raises."""
        ...

    def decode_error(self, data: bytes) -> BaseException:
        """Return the exception that `encode_error` told of, or RemoteError with its text. Raises PayloadDecodingError."""
        ...

    def pack_error(self, data: bytes) -> tuple[Payload, tuple[Blob, ...]]:
        """Return what stands for an encoded exception in a record, and the blobs to store with it."""
        ...

    def unpack_error(self, payload: Payload) -> bytes:
        """Return the encoded exception that a payload stands for. Raises BlobMissingError."""
        ...

    def encode_value(self, name: str, value: object) -> bytes:
        """Return a value without annotation, known to errors as `name`, as bytes.

        Raises ArgumentEncodingError for what would not come back equal, PayloadTooLargeError above 1 MiB.
        """
        ...

    def decode_value(self, name: str, data: bytes) -> Any:
        """Return the value that `encode_value` encoded. Raises PayloadDecodingError."""
        ...
