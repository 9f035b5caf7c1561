"""Encoded values: small ones inline in the record, large ones as blobs addressed by their content."""

from __future__ import annotations

import attrs


@attrs.frozen
class Payload:
    """One encoded argument, result or error: either `data` inline, or the key of the blob that holds it."""

    data: bytes = b""
    blob: str = ""
    size: int = 0
    """Bytes of the whole encoded value, wherever it is kept."""


@attrs.frozen
class Blob:
    """A large encoded value, stored once under the hash of its content."""

    key: str
    """SHA-256 of the content, in hex."""
    chunks: tuple[bytes, ...]
    """The content in pieces of at most 1 MiB."""
    ttl: float
    """Seconds it must live from this reference on; a later reference moves its expiry forward, never back."""
