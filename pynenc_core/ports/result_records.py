"""Results and exceptions under their public names, over the storage verbs."""

from __future__ import annotations

from typing import Any

from pynenc_core.errors.records import OutcomeMissingError
from pynenc_core.model import Blob, InvocationRecord, Payload
from pynenc_core.ports.lookups import record_of
from pynenc_core.ports.runtime import StoreView
from pynenc_core.ports.storage import RecordStorage
from pynenc_core.ports.transitions import owned_change, raise_refusal, reason_of
from pynenc_core.status import Owner, Status


class ResultRecords(RecordStorage):
    """What became of invocations. A result or an exception is written in one step with the final status, and never changes.

    `owner` says under which claim somebody writes. Without it, it is the claim under which this thread or coroutine
    executes that very invocation (`StoreView.acting_owner`); outside of such an execution nobody owns it, and the write
    is refused. A runner settles through the orchestrator, which also wakes at once what waits for the freed slot.
    """

    app: StoreView

    def set_result(self, invocation_id: str, result: object, *, owner: Owner | None = None) -> None:
        """End a RUNNING invocation as SUCCESS with this result; None is a result too.

        Raises InvocationNotFoundError, InvocationStatusOwnershipError for who does not own it,
        InvocationStatusTransitionError when it is not RUNNING, UnknownTaskError, ResultEncodingError, PayloadTooLargeError.
        """
        record = record_of(self, invocation_id, self.app.app_id)
        outcome, blobs = self.app.values.encode_result(record.invocation.task_id, result)
        self._set_result(invocation_id, outcome, blobs, owner=owner)

    def _set_result(self, invocation_id: str, outcome: Payload, blobs: tuple[Blob, ...] = (), *, owner: Owner | None = None) -> None:
        """Do as `set_result`, with an encoded result."""
        self._end(invocation_id, Status.SUCCESS, owner, outcome=outcome, blobs=blobs)

    def get_result(self, invocation_id: str) -> Any:
        """Return the result of a SUCCESS; never waits.

        Raises InvocationNotFoundError, OutcomeMissingError, UnknownTaskError, PayloadDecodingError, BlobMissingError.
        """
        record = record_of(self, invocation_id, self.app.app_id)
        return self.app.values.decode_result(record.invocation.task_id, _outcome(record, "result", Status.SUCCESS))

    def _get_result(self, invocation_id: str) -> Payload:
        """Do as `get_result`, and return the encoded result."""
        return _outcome(record_of(self, invocation_id, self.app.app_id), "result", Status.SUCCESS)

    def set_exception(self, invocation_id: str, exception: BaseException, *, owner: Owner | None = None) -> None:
        """End a RUNNING or PAUSED invocation as FAILED with this exception; counts an attempt.

        Raises as `set_result`, except that every exception can be encoded.
        """
        outcome, blobs = self.app.values.pack_error(self.serialize_exception(exception))
        self._set_exception(invocation_id, outcome, blobs, reason=reason_of(exception), owner=owner)

    def _set_exception(
        self, invocation_id: str, outcome: Payload, blobs: tuple[Blob, ...] = (), *, reason: str = "", owner: Owner | None = None
    ) -> None:
        """Do as `set_exception`, with an encoded exception and the line that history shows of it."""
        self._end(invocation_id, Status.FAILED, owner, outcome=outcome, blobs=blobs, reason=reason, attempts=1)

    def get_exception(self, invocation_id: str) -> BaseException:
        """Return, not raise, the exception of a FAILED or QUARANTINED invocation; never waits.

        Raises InvocationNotFoundError, OutcomeMissingError, PayloadDecodingError, BlobMissingError.
        """
        return self.deserialize_exception(self.app.values.unpack_error(self._get_exception(invocation_id)))

    def _get_exception(self, invocation_id: str) -> Payload:
        """Do as `get_exception`, and return the encoded exception."""
        record = record_of(self, invocation_id, self.app.app_id)
        return _outcome(record, "exception", Status.FAILED, Status.QUARANTINED)

    def serialize_exception(self, exception: BaseException) -> bytes:
        """Return an exception as data: class, message, arguments, traceback text.

        Everything that ends in FAILED goes through here, so a backend may override it together with its twin. What an
        override raises is ignored, and the exception is kept as the core tells it.
        """
        return self.app.values.encode_error(exception)

    def deserialize_exception(self, data: bytes) -> BaseException:
        """Return the exception that `serialize_exception` told of.

        Our own errors are rebuilt by name, others only if their class is loaded in this process already and an exception
        type (it is looked up, never imported); else it is a RemoteError with the same text. Raises PayloadDecodingError.
        """
        return self.app.values.decode_error(data)

    def _end(self, invocation_id: str, to: Status, owner: Owner | None, **details: Any) -> None:
        record = record_of(self, invocation_id, self.app.app_id)
        asked = owned_change(record, to, owner or self.app.acting_owner(invocation_id), **details)
        refused = self.swap([asked]).refused[0]
        if refused is not None:
            raise_refusal(self.app.app_id, asked, refused)


def _outcome(record: InvocationRecord, wanted: str, *statuses: Status) -> Payload:
    state = record.state
    if state.status not in statuses or state.outcome is None:
        raise OutcomeMissingError(record.invocation_id, str(state.status), wanted)
    return state.outcome
