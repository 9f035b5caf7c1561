"""What may go wrong between Python values and the bytes that stand for them: binding, encoding, decoding, size."""

from __future__ import annotations

from pynenc_core.errors.base import PynencError


def _annotated(annotation: str) -> str:
    return f"annotated `{annotation}`" if annotation else "which has no annotation"


def _at(path: str) -> str:
    return f" at {path}" if path else ""


def _then(remedy: str) -> str:
    return f"; {remedy}" if remedy else ""


class SerializationError(PynencError):
    """A value of one task could not be bound, encoded or decoded; `parameter` is "return value" for results."""

    task_id: str
    parameter: str


class ArgumentBindingError(SerializationError, TypeError):
    """The arguments do not fit the task's signature; a TypeError too, as for the same mistake with a plain function."""

    problem: str
    """One of `missing`, `unexpected`, `multiple`, `too many`."""
    signature: str = ""

    def __str__(self) -> str:
        said = {
            "missing": f"lacks a value for {self.parameter}",
            "unexpected": f"does not take an argument named {self.parameter}",
            "multiple": f"got more than one value for {self.parameter}",
            "too many": f"takes no more than {self.parameter} positional arguments",
        }[self.problem]
        return f"task {self.task_id} {said}; its signature is {self.signature}"


class ArgumentEncodingError(SerializationError):
    """An argument cannot be sent as its annotation (or the lack of one) promises; nothing was submitted."""

    annotation: str
    """As written in errors; empty when there is none."""
    problem: str
    path: str = ""
    """Where inside the value, such as `[2].price`."""
    remedy: str = ""

    def __str__(self) -> str:
        return (
            f"task {self.task_id}: argument {self.parameter!r}, {_annotated(self.annotation)}, cannot be sent{_at(self.path)}: "
            f"{self.problem}{_then(self.remedy)}"
        )


class ResultEncodingError(SerializationError):
    """A task returned what its return annotation (or the lack of one) cannot carry."""

    annotation: str
    problem: str
    path: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        return (
            f"task {self.task_id}: its return value, {_annotated(self.annotation)}, cannot be stored{_at(self.path)}: "
            f"{self.problem}{_then(self.remedy)}"
        )


class PayloadDecodingError(SerializationError):
    """Stored bytes are not what the task's annotation describes: damaged, foreign, or written by other code."""

    annotation: str = ""
    problem: str = ""
    path: str = ""

    def __str__(self) -> str:
        return (
            f"task {self.task_id}: what is stored for {self.parameter!r}, {_annotated(self.annotation)}, cannot be read back"
            f"{_at(self.path)}: {self.problem}; it was damaged, or written by a different version of the task"
        )


class PayloadSignatureError(PayloadDecodingError):
    """A payload that must be signed is not, or not with a key known here; it was not opened."""

    def __str__(self) -> str:
        return (
            f"task {self.task_id}: what is stored for {self.parameter!r} was not opened: {self.problem}; "
            "give every process the same signing key, and keep an old key until nothing signed with it is left"
        )


class BlobMissingError(PayloadDecodingError):
    """The store no longer has a large value that a record refers to."""

    key: str = ""

    def __str__(self) -> str:
        return (
            f"task {self.task_id}: the store has no blob {self.key[:16]} for {self.parameter!r}: its life span is over, or it was purged; "
            "call the task again"
        )


class PayloadTooLargeError(SerializationError):
    """An encoded value is larger than may be stored."""

    size: int
    limit: int
    """Both in bytes."""
    cached: bool = True
    """Whether large values may go to the client data store here."""

    def __str__(self) -> str:
        remedy = (
            "store it elsewhere and pass its address"
            if self.cached
            else "enable the client data store for it, which takes larger ones, or store it elsewhere and pass its address"
        )
        return (
            f"task {self.task_id}: {self.parameter!r} takes {self.size:,} bytes when encoded, "
            f"and {self.limit:,} is the most that is stored; {remedy}"
        )


class SigningKeyError(PynencError):
    """Pickle was asked for without a key that could protect it."""

    key_id: str
    problem: str
    """One of `missing`, `short`, `id`."""
    size: int = 0
    """Bytes of the key."""

    def __str__(self) -> str:
        said = {
            "missing": "there is none",
            "short": f"it has {self.size} bytes, and 32 is the least",
            "id": "its id must be 1 to 32 letters, digits, `_` or `-`",
        }[self.problem]
        return (
            f"PickleSerializer refuses to work with signing key {self.key_id!r}: {said}; pickled data runs code when it is opened, so only "
            "what carries our signature is: give a secret of at least 32 bytes, the same in every process, or use the JSON serializer"
        )


class RemoteError(PynencError):
    """An exception that happened elsewhere and whose class is not available, or not rebuildable, in this process."""

    type_name: str
    """Module and qualified name of its class."""
    message: str = ""
    traceback: str = ""
    """The text of its traceback, chained causes included."""

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}" if self.message else self.type_name
