"""What may go wrong with reading what is kept of an invocation."""

from __future__ import annotations

from pynenc_core.errors.invocations import InvocationError


class RecordUnreadableError(InvocationError):
    """What is stored of an invocation cannot be decoded."""

    def __str__(self) -> str:
        return (
            f"the record of invocation {self.invocation_id} cannot be decoded: it was damaged, or written by another program; "
            "it names no task any more, so it is never run: call the task again"
        )


class OutcomeMissingError(InvocationError):
    """A result or an exception was asked for that the invocation does not have."""

    status: str
    wanted: str
    """`result` or `exception`."""

    def __str__(self) -> str:
        return (
            f"invocation {self.invocation_id} is {self.status} and has no {self.wanted}: a result is stored with SUCCESS, "
            "an exception with FAILED or QUARANTINED; `Invocation.get_result` waits until there is one"
        )
