"""Pickle for who must have it: opt-in, and only under a signature, because opening a pickle runs what it says."""

from __future__ import annotations

import hashlib
import hmac
import pickle  # nothing is opened before its signature is checked
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from pynenc_core.errors.serialization import (
    ArgumentEncodingError,
    PayloadDecodingError,
    PayloadSignatureError,
    ResultEncodingError,
    SigningKeyError,
)
from pynenc_core.ports.serializer import RETURN_VALUE, BaseSerializer, Where
from pynenc_core.serializers.hints import describe

_PREFIX = b"pickle-1"
_PROTOCOL = 5
_MIN_KEY_BYTES = 32
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


class PickleSerializer(BaseSerializer):
    """Carries whatever pickle carries, signed with HMAC-SHA256; bytes without a valid signature are never opened.

    A payload is `pickle-1.<key id>.<signature in hex>.<pickle>`. It is signed with `key`; those signed with one of
    `older_keys` (by key id) are still read, so that keys can be rotated. Keys are shared by every process of an app and
    should be random; they are at least 32 bytes and appear in no message. The signature covers the key id and the
    pickle, not the place: who can write to the store may put one signed value in the place of another.

    Annotations are not checked. Equal values may have different pickles, so their calls may have different ids.

    Raises SigningKeyError without a key, with a short one, or with a key id that is not 1 to 32 letters, digits, `_`, `-`.
    """

    name = "pickle"

    def __init__(self, key: bytes | str = b"", *, key_id: str = "1", older_keys: Mapping[str, bytes | str] | None = None) -> None:
        self._key_id = key_id
        self._keys = {name: _checked(name, secret) for name, secret in {**(older_keys or {}), key_id: key}.items()}

    def encode(self, value: object, annotation: object, *, where: Where) -> bytes:
        """Return the signed pickle of `value`; see `BaseSerializer.encode`."""
        try:
            body = pickle.dumps(value, protocol=_PROTOCOL)
        except RecursionError:
            raise _refused(value, annotation, where, "it is nested too deeply for pickle") from None
        except Exception as error:  # noqa: BLE001 - it becomes a typed error that names the place
            detail = "" if where.secret else f" ({error})"
            problem = f"pickle refuses it with {type(error).__qualname__}{detail}"
            raise _refused(value, annotation, where, problem) from (None if where.secret else error)
        head = b"%s.%s" % (_PREFIX, self._key_id.encode())
        return b"%s.%s.%s" % (head, _signature(self._keys[self._key_id], head, body), body)

    def decode(self, data: bytes, annotation: object, *, where: Where) -> object:
        """Check the signature, then return what was pickled.

        Raises PayloadSignatureError when it is not signed, or not with a key known here; PayloadDecodingError when a
        rightly signed pickle cannot be opened, for instance because a class of it is gone.
        """
        body = self._verified(data, where)
        try:
            return pickle.loads(body)  # noqa: S301 - we signed it
        except Exception as error:  # noqa: BLE001 - it becomes a typed error that names the place
            detail = "" if where.secret else f" ({error})"
            problem = f"its pickle cannot be opened: {type(error).__qualname__}{detail}"
            raise PayloadDecodingError(where.task_id, where.parameter, describe(annotation), problem) from (None if where.secret else error)

    def _verified(self, data: bytes, where: Where) -> bytes:
        parts = data.split(b".", 3)
        if len(parts) != 4 or parts[0] != _PREFIX:
            _unsigned(where, "it is not signed")
        _, key_id, signature, body = parts
        key = self._keys.get(key_id.decode("ascii", "replace"))
        if key is None:
            _unsigned(where, "it is signed with a key that is not known here")
        if not hmac.compare_digest(_signature(key, b"%s.%s" % (_PREFIX, key_id), body), signature):
            _unsigned(where, "its signature is wrong")
        return body


def _checked(key_id: str, secret: bytes | str) -> bytes:
    key = secret.encode() if isinstance(secret, str) else bytes(secret)
    if not _KEY_ID.fullmatch(key_id):
        raise SigningKeyError(key_id, "id")
    if not key:
        raise SigningKeyError(key_id, "missing")
    if len(key) < _MIN_KEY_BYTES:
        raise SigningKeyError(key_id, "short", len(key))
    return key


def _signature(key: bytes, head: bytes, body: bytes) -> bytes:
    mac = hmac.new(key, head, hashlib.sha256)
    mac.update(b".")
    mac.update(body)
    return mac.hexdigest().encode()


def _unsigned(where: Where, problem: str) -> NoReturn:
    raise PayloadSignatureError(where.task_id, where.parameter, problem=problem)


def _refused(value: object, annotation: object, where: Where, problem: str) -> ArgumentEncodingError | ResultEncodingError:
    which: Any = ResultEncodingError if where.parameter == RETURN_VALUE else ArgumentEncodingError
    remedy = f"pass something pickle can carry instead of {type(value).__qualname__}"
    made: ArgumentEncodingError | ResultEncodingError = which(where.task_id, where.parameter, describe(annotation), problem, "", remedy)
    return made
