"""Large arguments and results: kept out of the records, stored once under the hash of their content."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from pynenc_core.errors.serialization import BlobMissingError, PayloadDecodingError, PayloadTooLargeError
from pynenc_core.model import Blob, Payload
from pynenc_core.ports.serializer import Where

KIB = 1024
MIB = 1024 * KIB
CHUNK = MIB
"""A larger value is stored in pieces of this size; where the client data store is disabled, it is refused."""
MAX_SIZE = 64 * MIB
WARN_SIZE = 256 * KIB
_MAX_WARNED = 10_000

Fetch = Callable[[Collection[str]], Mapping[str, bytes]]
"""Gives the contents of those of the named blobs that the store has: `RecordStorage.get_blobs`."""


class LocalCache:
    """The last used contents by key, bounded by their number and by their bytes together. Thread-safe."""

    def __init__(self, entries: int, size: int) -> None:
        self._entries = entries
        self._size = size
        self._lock = threading.Lock()
        self._contents: OrderedDict[str, bytes] = OrderedDict()
        self._used = 0

    def get(self, key: str) -> bytes | None:
        """Return a content and make it the last to be dropped."""
        with self._lock:
            data = self._contents.get(key)
            if data is not None:
                self._contents.move_to_end(key)
            return data

    def put(self, key: str, data: bytes) -> None:
        """Keep a content, and drop those unused for longest; one that would fill a quarter of the cache is not kept."""
        if self._entries < 1 or len(data) > self._size // 4:
            return
        with self._lock:
            if key in self._contents:
                self._contents.move_to_end(key)
                return
            self._contents[key] = data
            self._used += len(data)
            while len(self._contents) > self._entries or self._used > self._size:
                self._used -= len(self._contents.popitem(last=False)[1])

    @property
    def used(self) -> int:
        """How many bytes are kept now."""
        with self._lock:
            return self._used

    def __len__(self) -> int:
        with self._lock:
            return len(self._contents)


class ClientDataStore:
    """Decides where an encoded value goes, and brings it back. It talks to no store: blobs are handed over and asked for.

    - up to `min_size_to_cache` bytes: inline in the record;
    - above: a blob under the SHA-256 of its content, in pieces of 1 MiB, that travels with the call that submits or settles;
    - above 256 KiB: a warning, once for each task and parameter;
    - above 64 MiB: PayloadTooLargeError.

    Disabled, everything up to 1 MiB is inline and more is refused. Thread-safe; one per app and process.
    """

    def __init__(
        self,
        logger: logging.Logger,
        *,
        enabled: bool = True,
        min_size_to_cache: int = KIB,
        local_cache_size: int = KIB,
        local_cache_bytes: int = 64 * MIB,
    ) -> None:
        self._logger = logger
        self.enabled = enabled
        self.min_size_to_cache = min_size_to_cache
        self.local = LocalCache(local_cache_size, local_cache_bytes)
        """What this process stored or fetched last."""
        self._warned: set[tuple[str, str]] = set()

    def pack(self, data: bytes, where: Where, blobs: list[Blob], *, ttl: float, inline: bool = False) -> Payload:
        """Return what stands for `data` in a record, and append to `blobs` what must be stored with it.

        `ttl` is how many seconds a blob has to live from now on. `inline` keeps it in the record even if it is large, up
        to 1 MiB (the task option `disable_cache_args`). Raises PayloadTooLargeError.
        """
        size = len(data)
        cached = self.enabled and not inline
        limit = MAX_SIZE if cached else CHUNK
        if size > limit:
            raise PayloadTooLargeError(where.task_id, where.parameter, size, limit, cached)
        if size > WARN_SIZE:
            self._warn(where, size)
        if not cached or size <= self.min_size_to_cache:
            return Payload(data, size=size)
        key = hashlib.sha256(data).hexdigest()
        # Slicing copies, so the most common blob, of one piece, is not sliced.
        chunks = (data,) if size <= CHUNK else tuple(data[start : start + CHUNK] for start in range(0, size, CHUNK))
        blobs.append(Blob(key, chunks, ttl))
        self.local.put(key, data)
        return Payload(blob=key, size=size)

    def pack_all(
        self, encoded: Iterable[tuple[Where, bytes]], *, ttl: float, inline: Collection[str] = ()
    ) -> tuple[tuple[tuple[str, Payload], ...], tuple[Blob, ...]]:
        """Return the payload of each argument by name, and the blobs to store with them, each once; see `pack`."""
        blobs: list[Blob] = []
        payloads = tuple(
            [(where.parameter, self.pack(data, where, blobs, ttl=ttl, inline=where.parameter in inline)) for where, data in encoded]
        )
        return payloads, tuple({blob.key: blob for blob in blobs}.values()) if blobs else ()

    def unpack(self, payload: Payload, where: Where, fetch: Fetch) -> bytes:
        """Return the encoded value that a payload stands for; see `unpack_all`."""
        return self.unpack_all([(where, payload)], fetch)[0]

    def unpack_all(self, payloads: Sequence[tuple[Where, Payload]], fetch: Fetch) -> tuple[bytes, ...]:
        """Return the encoded values that payloads stand for, with at most one call of `fetch`.

        Raises BlobMissingError for what the store no longer has, PayloadDecodingError for a blob whose content is not
        what its key says.
        """
        if not any(payload.blob for _, payload in payloads):
            return tuple([payload.data for _, payload in payloads])
        contents: dict[str, bytes] = {}
        wanted: dict[str, Where] = {}
        for where, payload in payloads:
            if payload.blob:
                known = self.local.get(payload.blob)
                if known is None:
                    wanted.setdefault(payload.blob, where)
                else:
                    contents[payload.blob] = known
        if wanted:
            fetched = fetch(tuple(wanted))
            for key, where in wanted.items():
                contents[key] = _checked(key, fetched.get(key), where)
                self.local.put(key, contents[key])
        return tuple([contents[payload.blob] if payload.blob else payload.data for _, payload in payloads])

    def _warn(self, where: Where, size: int) -> None:
        place = (where.task_id, where.parameter)
        if place in self._warned or len(self._warned) >= _MAX_WARNED:
            return
        self._warned.add(place)  # two threads at once may both say it, which harms nobody
        self._logger.warning(
            "task %s: %r takes %d bytes when encoded; above %d bytes, storing it elsewhere and passing its address is faster",
            where.task_id,
            where.parameter,
            size,
            WARN_SIZE,
        )


def _checked(key: str, data: bytes | None, where: Where) -> bytes:
    if data is None:
        raise BlobMissingError(where.task_id, where.parameter, key=key)
    if hashlib.sha256(data).hexdigest() != key:
        raise PayloadDecodingError(where.task_id, where.parameter, problem=f"the content of blob {key[:16]} is not what its key says")
    return data
