"""What turns Python values into bytes and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol, Self, runtime_checkable

import attrs

RETURN_VALUE = "return value"
"""The parameter name under which a task's result is known."""


@attrs.frozen
class Where:
    """Which value of which task is at hand, so that an error can name it."""

    task_id: str
    parameter: str = RETURN_VALUE
    secret: bool = False
    """Whether nothing of the value may be said in an error, not even a key or an index."""


@runtime_checkable
class JsonSerializable(Protocol):
    """A class that says itself what JSON stands for it; used where a parameter is annotated with that very class."""

    def to_json(self) -> Any:
        """Return str, int, float, bool, None, or lists and dicts (with str keys) of them."""
        ...

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Return the object for which `to_json` gave `data`."""
        ...


class BaseSerializer(ABC):
    """Encodes arguments and results, each by the annotation of its parameter. Thread-safe, and one per app."""

    name: str
    """Stored with each call, so that a reader knows what to decode with."""

    @abstractmethod
    def encode(self, value: object, annotation: object, *, where: Where) -> bytes:
        """Return `value` as bytes from which `decode`, with the same annotation, makes an equal one.

        Equal values give equal bytes wherever that is possible. `annotation` is a resolved type, or `Any`.
        Raises ArgumentEncodingError, or ResultEncodingError when `where` is a return value.
        """

    @abstractmethod
    def decode(self, data: bytes, annotation: object, *, where: Where) -> object:
        """Return the value that `data` stands for; runs and imports nothing that the data names.

        Raises PayloadDecodingError.
        """
