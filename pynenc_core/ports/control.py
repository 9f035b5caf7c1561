"""What a runner and its worker processes tell each other: lines of JSON over one socket."""

from __future__ import annotations

import msgspec

from pynenc_core.model import InvocationRecord, Signal


class Resume(msgspec.Struct, omit_defaults=True):
    """Go on: to a worker whose invocation waits."""

    number: int
    """Which of its waits this answers."""
    arrived: list[str] = []
    """Which of the awaited invocations are final; none at the timeout, or when a request has come for the waiting one."""
    refused_above: int = 0
    """Not 0: it was not allowed to wait, since so many do already."""


class Control(msgspec.Struct, omit_defaults=True):
    """One line to a worker."""

    stop: float | None = None
    """End within so many seconds, hand back the rest, and exit."""
    claim: bool = True
    """False: claim nothing from now on; what runs goes on."""
    signals: list[Signal] | None = None
    """Requests for what runs here, or none: the line comes with each heartbeat that the runner gives, and renews the lease."""
    run: InvocationRecord | None = None
    """Run this invocation, which was claimed for this worker, and exit."""
    resume: Resume | None = None


class Hold(msgspec.Struct, omit_defaults=True):
    """An invocation is PAUSED, its process has no connection open, and reads until it is told to go on."""

    number: int
    """Counts the waits of this process: several threads of one invocation may wait at once."""
    awaits: list[str]
    timeout: float | None = None
    """Seconds after which to go on all the same."""
    linger: float = 0.0
    """Seconds to gather more after the first of them is final."""
    heard: int = 0
    """How many lines of control it has read: if more were sent, it is about to do something, and must not be stopped."""
    may_stop: bool = True
    """Whether nothing else runs in the process."""


class Report(msgspec.Struct, omit_defaults=True):
    """One line from a worker."""

    ready: bool = False
    """The app is imported; it can run something now."""
    hold: Hold | None = None
    goes_on: int = 0
    """The wait of this number is over without an answer: a request has come for the invocation."""


CONTROL = msgspec.json.Decoder(Control)
REPORT = msgspec.json.Decoder(Report)


def line(message: Control | Report) -> bytes:
    """Return a message as one line."""
    return msgspec.json.encode(message) + b"\n"
