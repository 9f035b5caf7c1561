"""Ends a process at a chosen write, as a power cut or SIGKILL would: without cleaning up, flushing or saying goodbye.

For child processes only. A parent runs one operation again and again in new children, each killed at the next write,
until one survives; after each it looks what is left:

    for point in kill_points(run_a_child):   # run_a_child(point) -> exit code
        check(...)

In the child `point.over(...)` counts calls of a driver's choke point, `point.arm(backend)` the writing verbs of a backend.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import attrs
import pytest

from pynenc_core.ports.dispatcher import Dispatcher
from pynenc_core.ports.state_backend import BaseStateBackend
from pynenc_testkit.interleaver import choked

EXIT_CODE = 137
"""What a process ends with here: the code a shell shows for one that SIGKILL ended."""
VARIABLE = "PYNENC_TEST_KILL_AT"
"""The environment variable that carries a kill point to a child: `3`, `3:after`; `0` only counts."""

STATE_WRITES = (
    "add_batch",
    "swap",
    "acquire",
    "mark",
    "put_blobs",
    "sweep",
    "purge",
    "put_value",
    "drop_values",
    "beat",
    "forget_runners",
    "take_lease",
    "drop_lease",
)
DISPATCHER_WRITES = ("submit", "claim", "settle", "republish")


@attrs.define
class KillPoint:
    """Ends this process before its n-th write, or with `after` when that is done; the first write is 1, and 0 is never."""

    at: int
    after: bool = False
    writes: int = attrs.field(default=0, init=False)
    """How many writes there were so far."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the kill point that the parent chose; none when it chose nothing."""
        number, _, when = environ.get(VARIABLE, "0").partition(":")
        return cls(int(number), when == "after")

    def to_environ(self) -> dict[str, str]:
        """Return what a parent adds to its child's environment."""
        return {VARIABLE: f"{self.at}:after" if self.after else str(self.at)}

    def begin(self) -> None:
        """Count a write that is about to happen, and end the process if it is the one."""
        self.writes += 1
        if self.writes == self.at and not self.after:
            os._exit(EXIT_CODE)

    def end(self) -> None:
        """End the process if the write that has just happened is the one."""
        if self.writes == self.at and self.after:
            os._exit(EXIT_CODE)

    def over(self, *chokes: str) -> AbstractContextManager[None]:
        """Count every call of these callables, each named `package.module:Class.method`, as a write, within a block."""
        return choked(chokes, self.begin, self.end)

    def arm(self, subject: BaseStateBackend | Dispatcher, verbs: Sequence[str] = ()) -> None:
        """Count every call of these verbs of one object; without any, of all its port's verbs that write."""
        chosen = verbs or (DISPATCHER_WRITES if isinstance(subject, Dispatcher) else STATE_WRITES)
        for verb in chosen:
            setattr(subject, verb, self._around(getattr(subject, verb)))

    def _around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.begin()
            result = call(*args, **kwargs)
            self.end()
            return result

        return counted


def kill_points(run: Callable[[KillPoint], int], limit: int = 500) -> Iterator[KillPoint]:
    """Yield each point at which a child was killed, before and after each of its writes, once the child is gone.

    `run` starts a child with a kill point and returns its exit code. Fails the test when a child fails of itself, or
    when more than `limit` writes are made.
    """
    for at in range(1, limit):
        for after in (False, True):
            point = KillPoint(at, after)
            code = run(point)
            if code == 0:
                return
            assert code == EXIT_CODE, f"the child ended with {code}, not by its kill point {point}"
            yield point
    pytest.fail(f"the child makes more than {limit} writes")
