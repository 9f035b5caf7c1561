"""What a store is given of an app's values: encoded by the tasks' annotations, large ones apart."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from pynenc_core import Pynenc
from pynenc_core.client_data import ClientDataStore
from pynenc_core.errors.runners import UnknownTaskError
from pynenc_core.errors.serialization import (
    ArgumentEncodingError,
    BlobMissingError,
    PayloadDecodingError,
    PayloadTooLargeError,
    ResultEncodingError,
)
from pynenc_core.model import Blob, CallDTO
from pynenc_core.orchestration.codec import CallCodec
from pynenc_core.orchestration.values import TaskValues
from pynenc_core.serializers.exceptions import decode_exception, encode_exception
from pynenc_core.serializers.json_serializer import JsonSerializer

HOUR = 3600.0
app = Pynenc(app_id="values")


@app.task
def pack(items: set[str], *more: bytes, deep: dict[str, tuple[int, ...]] | None = None) -> frozenset[str]:
    del more, deep
    return frozenset(items)


PACK = f"{__name__}.pack"


class Shelf:
    """Where blobs are kept, and the app's values over it."""

    def __init__(
        self, tell: Callable[[BaseException], bytes] = encode_exception, read: Callable[[bytes], BaseException] = decode_exception
    ) -> None:
        self.contents: dict[str, bytes] = {}
        self.codec = CallCodec(
            JsonSerializer(), ClientDataStore(logging.getLogger("pynenc.values"), local_cache_size=0), self.fetch, HOUR, tell, read
        )
        self.values = TaskValues("values", self.codec, app.tasks)

    def fetch(self, keys: object) -> dict[str, bytes]:
        assert isinstance(keys, tuple)
        return {key: self.contents[key] for key in keys if key in self.contents}

    def put(self, blobs: tuple[Blob, ...]) -> None:
        self.contents |= {blob.key: b"".join(blob.chunks) for blob in blobs}


def test_a_result_comes_back_as_its_annotation_says() -> None:
    shelf = Shelf()
    payload, blobs = shelf.values.encode_result(PACK, frozenset({"a", "b"}))
    assert (blobs, payload.blob) == ((), "")
    assert shelf.values.decode_result(PACK, payload) == frozenset({"a", "b"})


def test_a_large_result_is_a_blob() -> None:
    shelf = Shelf()
    value = frozenset({"x" * 5000})
    payload, blobs = shelf.values.encode_result(PACK, value)
    assert [(blob.key, blob.ttl) for blob in blobs] == [(payload.blob, HOUR)]
    with pytest.raises(BlobMissingError):
        shelf.values.decode_result(PACK, payload)
    shelf.put(blobs)
    assert shelf.values.decode_result(PACK, payload) == value


def test_a_result_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ResultEncodingError):
        Shelf().values.encode_result(PACK, 3)


def test_arguments_come_back_by_parameter() -> None:
    shelf = Shelf()
    definition = app.tasks.get(PACK)
    assert definition is not None
    bound = definition.signature.bind(({"a"}, b"\x00", b"\x01"), {"deep": {"k": (1, 2)}})
    encoded = shelf.codec.encode_call(definition, bound)
    assert dict(shelf.values.decode_arguments(encoded.call)) == {"items": {"a"}, "more": (b"\x00", b"\x01"), "deep": {"k": (1, 2)}}


def test_a_task_that_is_unknown_here_is_named() -> None:
    values = Shelf().values
    for ask in (
        lambda: values.encode_result("shop.gone", 1),
        lambda: values.decode_result("shop.gone", values.encode_result(PACK, frozenset())[0]),
        lambda: values.decode_arguments(CallDTO(call_id="c", task_id="shop.gone")),
    ):
        with pytest.raises(UnknownTaskError) as unknown:
            ask()
        assert unknown.value.fields() == {"task_id": "shop.gone", "app_id": "values"}


def test_an_exception_goes_and_comes_as_data() -> None:
    shelf = Shelf()
    payload, blobs = shelf.values.pack_error(shelf.values.encode_error(LookupError("x" * 5000, 3)))
    assert payload.blob
    shelf.put(blobs)
    back = shelf.values.decode_error(shelf.values.unpack_error(payload))
    assert (type(back), back.args) == (LookupError, ("x" * 5000, 3))


def test_a_store_may_tell_exceptions_in_its_own_way() -> None:
    shelf = Shelf(tell=lambda error: f"told {error}".encode(), read=lambda data: LookupError(data.decode()))
    payload, _ = shelf.codec.encode_error(ValueError("v"))
    assert payload.data == b"told v"
    assert repr(shelf.codec.decode_error(payload)) == "LookupError('told v')"


def test_a_store_that_fails_to_tell_leaves_it_to_the_core() -> None:
    def fail(error: BaseException) -> bytes:
        raise RuntimeError from error

    shelf = Shelf(tell=fail)
    payload, _ = shelf.codec.encode_error(ValueError("v"))
    assert repr(shelf.codec.decode_error(payload)) == "ValueError('v')"


@pytest.mark.parametrize("value", [None, 0, "", [1, {"a": [None, 2.5]}], True], ids=repr)
def test_a_plain_value_comes_back_equal(value: object) -> None:
    values = Shelf().values
    assert values.decode_value("v", values.encode_value("v", value)) == value


@pytest.mark.parametrize("value", [{1}, (1,), b"x", {1: 2}, object()], ids=lambda value: type(value).__name__)
def test_a_value_that_would_come_back_otherwise_is_refused_by_name(value: object) -> None:
    with pytest.raises(ArgumentEncodingError) as refused:
        Shelf().values.encode_value("workflow data total", value)
    assert refused.value.parameter == "workflow data total"


def test_a_value_has_at_most_a_mib() -> None:
    values = Shelf().values
    assert len(values.encode_value("v", "x" * (1024 * 1024 - 2))) == 1024 * 1024
    with pytest.raises(PayloadTooLargeError) as large:
        values.encode_value("v", "x" * (1024 * 1024 - 1))
    assert (large.value.parameter, large.value.size, large.value.limit) == ("v", 1024 * 1024 + 1, 1024 * 1024)


def test_a_damaged_value_is_named() -> None:
    with pytest.raises(PayloadDecodingError) as damaged:
        Shelf().values.decode_value("workflow data total", b"{")
    assert damaged.value.parameter == "workflow data total"
