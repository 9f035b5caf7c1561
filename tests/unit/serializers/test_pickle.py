"""Pickle: refused without a key, and nothing is opened that does not carry a signature of ours."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_core.errors.serialization import (
    ArgumentEncodingError,
    PayloadDecodingError,
    PayloadSignatureError,
    ResultEncodingError,
    SigningKeyError,
)
from pynenc_core.ports.serializer import Where
from pynenc_core.serializers.pickle_serializer import PickleSerializer

UNHURRIED = settings(deadline=None)  # the machine may be busy with other tests
WHERE = Where("shop:pay", "x")
KEY = "k" * 32
OPENED: list[str] = []


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return OPENED.append, ("boom",)


class Unopenable:
    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number: hush",)


@UNHURRIED
@given(st.recursive(st.integers() | st.text() | st.binary(), lambda inner: st.tuples(inner) | st.frozensets(inner)))
def test_comes_back(value: object) -> None:
    serializer = PickleSerializer(KEY)
    back = serializer.decode(serializer.encode(value, Any, where=WHERE), Any, where=WHERE)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    ("key", "key_id", "message"),
    [
        ("", "1", "PickleSerializer refuses to work with signing key '1': there is none; pickled data runs code"),
        ("short", "1", "it has 5 bytes, and 32 is the least"),
        (KEY, "a.b", "its id must be 1 to 32 letters, digits, `_` or `-`"),
    ],
    ids=["none", "short", "id"],
)
def test_is_refused_without_a_good_key(key: str, key_id: str, message: str) -> None:
    with pytest.raises(SigningKeyError) as caught:
        PickleSerializer(key, key_id=key_id)
    assert message in str(caught.value)
    assert "short" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - made here


def signed_by(key: str, key_id: str = "1") -> bytes:
    return PickleSerializer(key, key_id=key_id).encode(Trap(), Any, where=WHERE)


FORGED = {
    "unsigned": (pickle.dumps(Trap()), "it is not signed"),
    "empty": (b"", "it is not signed"),
    "json": (b'{"a":1}', "it is not signed"),
    "other key": (signed_by("o" * 32), "its signature is wrong"),
    "other key id": (signed_by(KEY, "2"), "it is signed with a key that is not known here"),
    "renamed key": (signed_by(KEY, "2").replace(b".2.", b".1."), "its signature is wrong"),
    "no signature": (b"pickle-1.1.." + pickle.dumps(Trap()), "its signature is wrong"),
    "odd signature": (b"pickle-1.1.\xff." + pickle.dumps(Trap()), "its signature is wrong"),
    "cut": (signed_by(KEY)[:-1], "its signature is wrong"),
    "swapped": (signed_by(KEY)[:75] + b"." + pickle.dumps(Trap(), 4), "its signature is wrong"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_payload_is_never_opened(name: str) -> None:
    data, problem = FORGED[name]
    with pytest.raises(PayloadSignatureError) as caught:
        PickleSerializer(KEY).decode(data, Any, where=WHERE)
    assert str(caught.value) == (
        f"task shop:pay: what is stored for 'x' was not opened: {problem}; "
        "give every process the same signing key, and keep an old key until nothing signed with it is left"
    )
    assert OPENED == []


def test_any_flipped_bit_is_noticed() -> None:
    data = PickleSerializer(KEY).encode({"a": 1}, Any, where=WHERE)
    for index in range(len(data)):
        flipped = data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]
        with pytest.raises(PayloadSignatureError):
            PickleSerializer(KEY).decode(flipped, Any, where=WHERE)


def test_keys_can_be_rotated() -> None:
    old = PickleSerializer(KEY).encode([1], Any, where=WHERE)
    rotated = PickleSerializer(b"n" * 32, key_id="2026", older_keys={"1": KEY})
    assert rotated.decode(old, Any, where=WHERE) == [1]
    new = rotated.encode([2], Any, where=WHERE)
    assert new.startswith(b"pickle-1.2026.")
    with pytest.raises(PayloadSignatureError):
        PickleSerializer(KEY).decode(new, Any, where=WHERE)


def test_what_pickle_refuses_is_an_error_at_the_call() -> None:
    with pytest.raises(ArgumentEncodingError, match="argument 'x', annotated `int`, cannot be sent: pickle refuses it with TypeError"):
        PickleSerializer(KEY).encode(threading.Lock(), int, where=WHERE)
    with pytest.raises(ResultEncodingError, match="its return value, which has no annotation, cannot be stored: pickle refuses it"):
        PickleSerializer(KEY).encode(lambda: None, Any, where=Where("shop:pay"))


def test_a_signed_pickle_that_cannot_be_opened_is_a_decoding_error() -> None:
    serializer = PickleSerializer(KEY)
    data = serializer.encode(Unopenable(), Any, where=WHERE)
    with pytest.raises(PayloadDecodingError, match=r"its pickle cannot be opened: ValueError .*hush"):
        serializer.decode(data, Any, where=WHERE)
    with pytest.raises(PayloadDecodingError) as caught:
        serializer.decode(data, Any, where=Where("shop:pay", "x", secret=True))
    assert "hush" not in str(caught.value)
