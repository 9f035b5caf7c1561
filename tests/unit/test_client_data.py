"""Where large values go: inline, to a blob, in pieces, or nowhere."""

from __future__ import annotations

import hashlib
import logging
import pickle
import threading
from collections.abc import Collection, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_core.client_data import CHUNK, KIB, MAX_SIZE, MIB, WARN_SIZE, ClientDataStore, LocalCache
from pynenc_core.errors.serialization import BlobMissingError, PayloadDecodingError, PayloadTooLargeError
from pynenc_core.model import Blob, Payload
from pynenc_core.ports.serializer import Where

UNHURRIED = settings(deadline=None)  # the machine may be busy with other tests
WHERE = Where("shop:pay", "x")
LOGGER = logging.getLogger("pynenc.test_client_data")
HOUR = 3600.0


class Shelf:
    """What a store does with blobs, and how often it was asked."""

    def __init__(self, *blobs: Blob) -> None:
        self.contents = {blob.key: b"".join(blob.chunks) for blob in blobs}
        self.asked: list[tuple[str, ...]] = []

    def fetch(self, keys: Collection[str]) -> Mapping[str, bytes]:
        self.asked.append(tuple(keys))
        return {key: self.contents[key] for key in keys if key in self.contents}


def packed(store: ClientDataStore, data: bytes, *, inline: bool = False) -> tuple[Payload, list[Blob]]:
    blobs: list[Blob] = []
    return store.pack(data, WHERE, blobs, ttl=HOUR, inline=inline), blobs


@pytest.mark.parametrize("size", [0, 1, KIB], ids=str)
def test_small_values_stay_in_the_record(size: int) -> None:
    payload, blobs = packed(ClientDataStore(LOGGER), b"x" * size)
    assert payload == Payload(b"x" * size, "", size)
    assert blobs == []


@pytest.mark.parametrize(
    ("size", "pieces"),
    [(KIB + 1, 1), (CHUNK, 1), (CHUNK + 1, 2), (3 * CHUNK, 3), (MAX_SIZE, 64)],
    ids=["kib", "one", "two", "three", "most"],
)
def test_larger_values_become_blobs_in_pieces_of_a_mib(size: int, pieces: int) -> None:
    data = bytes(size)
    payload, (blob,) = packed(ClientDataStore(LOGGER), data)
    assert payload == Payload(b"", hashlib.sha256(data).hexdigest(), size)
    assert (blob.key, len(blob.chunks), max(map(len, blob.chunks)) <= CHUNK, blob.ttl) == (payload.blob, pieces, True, HOUR)
    assert hashlib.sha256(b"".join(blob.chunks)).hexdigest() == blob.key


def test_above_64_mib_is_refused() -> None:
    with pytest.raises(PayloadTooLargeError) as caught:
        packed(ClientDataStore(LOGGER), bytes(MAX_SIZE + 1))
    assert str(caught.value) == (
        "task shop:pay: 'x' takes 67,108,865 bytes when encoded, and 67,108,864 is the most that is stored; "
        "store it elsewhere and pass its address"
    )
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - made here


@pytest.mark.parametrize("enabled", [True, False], ids=["inline", "disabled"])
def test_without_the_store_up_to_a_mib_stays_inline_and_more_is_refused(*, enabled: bool) -> None:
    store = ClientDataStore(LOGGER, enabled=enabled)
    payload, blobs = packed(store, bytes(MIB), inline=enabled)
    assert (len(payload.data), payload.blob, blobs) == (MIB, "", [])
    with pytest.raises(PayloadTooLargeError) as caught:
        packed(store, bytes(MIB + 1), inline=enabled)
    assert str(caught.value) == (
        "task shop:pay: 'x' takes 1,048,577 bytes when encoded, and 1,048,576 is the most that is stored; "
        "enable the client data store for it, which takes larger ones, or store it elsewhere and pass its address"
    )


@UNHURRIED
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60)), max_size=6), st.integers(0, 40))
def test_what_is_packed_is_unpacked_by_another_process(parts: list[tuple[str, int]], threshold: int) -> None:
    values = [(Where("shop:pay", f"p{number}"), (letter * size).encode()) for number, (letter, size) in enumerate(parts)]
    payloads, blobs = ClientDataStore(LOGGER, min_size_to_cache=threshold).pack_all(values, ttl=HOUR)
    shelf = Shelf(*blobs)
    other = ClientDataStore(LOGGER, min_size_to_cache=threshold)
    wanted = [(Where("shop:pay", name), payload) for name, payload in payloads]
    assert other.unpack_all(wanted, shelf.fetch) == tuple(data for _, data in values)
    assert len(shelf.asked) == (1 if blobs else 0)
    assert len({blob.key for blob in blobs}) == len(blobs)
    assert [name for name, _ in payloads] == [where.parameter for where, _ in values]
    assert all(bool(payload.blob) == (payload.size > threshold) for _, payload in payloads)


def test_arguments_that_are_not_to_be_cached_stay_inline() -> None:
    values = [(Where("t", "a"), b"x" * 2000), (Where("t", "b"), b"x" * 2000)]
    payloads, blobs = ClientDataStore(LOGGER).pack_all(values, ttl=HOUR, inline=("a",))
    assert [bool(payload.blob) for _, payload in payloads] == [False, True]
    assert len(blobs) == 1


def test_what_was_stored_or_fetched_here_is_not_fetched_again() -> None:
    store = ClientDataStore(LOGGER)
    payload, blobs = packed(store, b"x" * 5000)
    shelf = Shelf(*blobs)
    assert store.unpack(payload, WHERE, shelf.fetch) == b"x" * 5000
    assert shelf.asked == []
    other = ClientDataStore(LOGGER)
    for _ in range(3):
        assert other.unpack(payload, WHERE, shelf.fetch) == b"x" * 5000
    assert shelf.asked == [(payload.blob,)]


def test_a_blob_that_is_gone_is_a_typed_error() -> None:
    payload, _ = packed(ClientDataStore(LOGGER), b"x" * 5000)
    with pytest.raises(BlobMissingError) as caught:
        ClientDataStore(LOGGER).unpack(payload, WHERE, Shelf().fetch)
    assert str(caught.value) == (
        f"task shop:pay: the store has no blob {payload.blob[:16]} for 'x': its life span is over, or it was purged; call the task again"
    )
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - made here


def test_a_blob_with_another_content_is_a_typed_error_and_not_kept() -> None:
    payload, blobs = packed(ClientDataStore(LOGGER), b"x" * 5000)
    shelf = Shelf(*blobs)
    shelf.contents[payload.blob] = b"y" * 5000
    store = ClientDataStore(LOGGER)
    with pytest.raises(PayloadDecodingError, match=r"the content of blob .* is not what its key says"):
        store.unpack(payload, WHERE, shelf.fetch)
    shelf.contents[payload.blob] = b"x" * 5000
    assert store.unpack(payload, WHERE, shelf.fetch) == b"x" * 5000


def test_a_large_value_is_warned_about_once_for_each_parameter(caplog: pytest.LogCaptureFixture) -> None:
    store = ClientDataStore(LOGGER)
    with caplog.at_level(logging.WARNING, LOGGER.name):
        for where in (WHERE, WHERE, Where("shop:pay", "y")):
            store.pack(bytes(WARN_SIZE), where, [], ttl=HOUR)
            store.pack(bytes(WARN_SIZE + 1), where, [], ttl=HOUR)
    assert caplog.messages == [
        f"task shop:pay: {name!r} takes 262145 bytes when encoded; "
        "above 262144 bytes, storing it elsewhere and passing its address is faster"
        for name in ("x", "y")
    ]


@UNHURRIED
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 30)), max_size=60), st.integers(0, 5), st.integers(0, 100))
def test_the_local_cache_stays_within_both_bounds(steps: list[tuple[int, int]], entries: int, size: int) -> None:
    cache = LocalCache(entries, size)
    kept: dict[str, bytes] = {}
    for name, length in steps:
        kept.setdefault(str(name), bytes(length))
        cache.put(str(name), kept[str(name)])
        assert len(cache) <= entries
        assert cache.used <= size
        assert cache.used == sum(len(found) for key in kept if (found := cache.get(key)) is not None)


def test_the_local_cache_drops_what_was_unused_for_longest() -> None:
    cache = LocalCache(2, 1000)
    cache.put("a", b"1")
    cache.put("b", b"2")
    assert cache.get("a") == b"1"
    cache.put("c", b"3")
    assert [cache.get(key) for key in "abc"] == [b"1", None, b"3"]


def test_threads_share_one_store() -> None:
    store = ClientDataStore(LOGGER, local_cache_size=3, min_size_to_cache=10)
    values = [bytes([number]) * 50 for number in range(20)]
    shelf = Shelf(*(blob for value in values for blob in packed(ClientDataStore(LOGGER, min_size_to_cache=10), value)[1]))
    start = threading.Barrier(4)
    wrong: list[object] = []

    def work() -> None:
        start.wait()
        for _ in range(100):
            for value in values:
                payload, _ = packed(store, value)
                if store.unpack(payload, WHERE, shelf.fetch) != value:
                    wrong.append(value)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert store.local.used == 150
