"""What may go wrong with one invocation: looking it up, moving it on, waiting for it."""

from __future__ import annotations

from pynenc_core.errors.base import PynencError


class InvocationError(PynencError):
    """Something about one invocation, named by `invocation_id`."""

    invocation_id: str


class InvocationNotFoundError(InvocationError):
    """The store has no such invocation: it was never registered under this app, or it was purged."""

    app_id: str = ""

    def __str__(self) -> str:
        return (
            f"app {self.app_id!r} has no invocation {self.invocation_id!r}: it was never registered in this store, or it was purged; "
            "`pynenc invocation list` shows what is stored"
        )


class InvocationStatusTransitionError(InvocationError):
    """The status table does not allow this transition."""

    status: str
    to: str
    allowed: tuple[str, ...]

    def __str__(self) -> str:
        allowed = ", ".join(self.allowed) or "nothing, it is final"
        return f"invocation {self.invocation_id} cannot go from {self.status} to {self.to}; allowed from {self.status}: {allowed}"


class InvocationStatusOwnershipError(InvocationError):
    """The invocation belongs to somebody else now; nothing was written."""

    status: str
    to: str
    owner: str
    owner_claim: int
    by: str
    by_claim: int

    def __str__(self) -> str:
        holder = f"{self.owner} (claim {self.owner_claim})" if self.owner else "nobody"
        asked = f"{self.by} (claim {self.by_claim})" if self.by else "somebody who owns nothing"
        return (
            f"invocation {self.invocation_id} is {self.status} and belongs to {holder}; {asked} may not move it to {self.to}; "
            "it was recovered or claimed anew in the meantime, and the new owner's outcome counts"
        )


class InvocationTimeoutError(InvocationError, TimeoutError):
    """A bounded wait ended before the invocation was final; it goes on all the same."""

    status: str
    timeout: float

    def __str__(self) -> str:
        return (
            f"invocation {self.invocation_id} is still {self.status} after {self.timeout:g} s; it goes on: wait again, "
            "or check with `pynenc doctor` that a runner works on its queue"
        )


class SoftTimeoutError(InvocationError, TimeoutError):
    """Raised inside a running task whose `soft_timeout` is over; uncaught, it is the failure of the attempt."""

    task_id: str
    limit: float

    def __str__(self) -> str:
        return (
            f"invocation {self.invocation_id} of task {self.task_id} has run for {self.limit:g} s, its `soft_timeout`: "
            "catch this to end in order, or give the task more time"
        )


class HardTimeoutError(InvocationError, TimeoutError):
    """The outcome of an attempt that ran longer than its `timeout`; never raised inside the task."""

    task_id: str
    limit: float

    def __str__(self) -> str:
        return (
            f"invocation {self.invocation_id} of task {self.task_id} ran longer than {self.limit:g} s, its `timeout`, and was stopped: "
            "give the task more time, or let it do less at once"
        )


class InvocationCancelledError(InvocationError):
    """The invocation was cancelled, so it has no result."""

    reason: str = ""

    def __str__(self) -> str:
        return f"invocation {self.invocation_id} was cancelled{f' ({self.reason})' if self.reason else ''}, so it has no result"


class InvocationQuarantinedError(InvocationError):
    """The invocation was set aside for good, so it has no result."""

    reason: str = ""

    def __str__(self) -> str:
        return (
            f"invocation {self.invocation_id} is quarantined: {self.reason or 'no reason was recorded'}; "
            f"see `pynenc invocation show {self.invocation_id}`"
        )


class InvocationDroppedError(InvocationError):
    """Concurrency control dropped the invocation, so it has no result."""

    reason: str = ""

    def __str__(self) -> str:
        because = f": {self.reason}" if self.reason else ""
        return f"invocation {self.invocation_id} was dropped by concurrency control{because}; it never ran and has no result"


class WaitDepthError(InvocationError):
    """A chain of invocations that wait for each other is deeper than one worker may hold."""

    limit: int

    def __str__(self) -> str:
        return (
            f"invocation {self.invocation_id} may not wait: {self.limit} invocations are paused in this worker already; "
            "raise `max_paused_per_worker` in [tool.pynenc.runner], or make the chain of waiting tasks shorter"
        )


class ConcurrencyDeadlockError(InvocationError):
    """Invocations wait for each other in a circle; the youngest waiter is ended."""

    circle: tuple[str, ...]

    def __str__(self) -> str:
        return f"invocation {self.invocation_id} waits in a circle: {' -> '.join(self.circle)}; none of them could ever finish"


class RetryError(PynencError):
    """Raise it in a task to be tried again; counts as an attempt, allowed `max_retries` times."""

    reason: str = ""
    delay: float | None = None
    """Seconds to wait before the next attempt; None leaves it to the task's backoff."""

    def __str__(self) -> str:
        when = "" if self.delay is None else f" in {self.delay:g} s"
        return f"the task asks to be tried again{when}{f': {self.reason}' if self.reason else ''}"
