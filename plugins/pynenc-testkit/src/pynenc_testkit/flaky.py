"""Outages, simulated: wrappers around real components that cannot reach their store while told so."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Literal

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.model import Ask, Batch, Change, ClaimReply, Queued, SettleReply, Submitted
from pynenc_core.ports.broker import BaseBroker
from pynenc_core.ports.dispatcher import Dispatcher

Lost = Literal["request", "reply"]
"""What an outage loses: the request, so that nothing happened, or the reply to a call that was carried out."""


class Outage:
    """A switch; several wrappers may share one, as they would share a server."""

    def __init__(self, store: str = "flaky store") -> None:
        self._store = store
        self._lost: Lost | None = None
        self._lock = threading.Lock()
        self.refused = 0
        """How many calls failed so far."""

    @property
    def lost(self) -> Lost | None:
        """What is lost at present, or None."""
        return self._lost

    @contextmanager
    def begin(self, lost: Lost = "request") -> Generator[None]:
        """Lose every request, or every reply, until the block is left."""
        self._lost = lost
        try:
            yield
        finally:
            self._lost = None

    @contextmanager
    def around(self, call: str) -> Generator[None]:
        """Fail the call inside, if there is an outage; raises BackendUnavailableError."""
        if self._lost == "request":
            self._fail(call)
        yield
        if self._lost == "reply":
            self._fail(call)

    def _fail(self, call: str) -> None:
        with self._lock:
            self.refused += 1
        problem = f"{call} fails on purpose"
        raise BackendUnavailableError(self._store, problem)


class FlakyBroker(BaseBroker):
    """A broker that raises BackendUnavailableError during its `outage`, and otherwise does what the real one does."""

    name = "flaky"

    def __init__(self, real: BaseBroker, outage: Outage | None = None) -> None:
        super().__init__(real.app)
        self.real = real
        self.outage = outage or Outage()

    def publish(self, entries: Sequence[Queued]) -> None:
        """Publish, unless there is an outage."""
        with self.outage.around("publish"):
            self.real.publish(entries)

    def take(self, queues: Sequence[str], limit: int, timeout: float) -> tuple[str, ...]:
        """Take, unless there is an outage."""
        with self.outage.around("take"):
            return self.real.take(queues, limit, timeout)

    def wake(self) -> None:
        """Wake; works during an outage, since it needs no server."""
        self.real.wake()

    def oldest(self, queue: str) -> Queued | None:
        """Look at the oldest, unless there is an outage."""
        with self.outage.around("oldest"):
            return self.real.oldest(queue)

    def size(self, queue: str) -> int:
        """Count, unless there is an outage."""
        with self.outage.around("size"):
            return self.real.size(queue)

    def discard(self, invocation_ids: Iterable[str]) -> None:
        """Discard, unless there is an outage."""
        with self.outage.around("discard"):
            self.real.discard(invocation_ids)

    def purge(self) -> None:
        """Purge, unless there is an outage."""
        with self.outage.around("purge"):
            self.real.purge()

    def close(self) -> None:
        """Close the real one."""
        self.real.close()


class FlakyDispatcher(Dispatcher):
    """A dispatcher that raises BackendUnavailableError during its `outage`, and otherwise does what the real one does."""

    def __init__(self, real: Dispatcher, outage: Outage | None = None) -> None:
        self.real = real
        self.outage = outage or Outage()

    def submit(self, batch: Batch) -> Submitted:
        """Submit, unless there is an outage."""
        with self.outage.around("submit"):
            return self.real.submit(batch)

    def claim(self, ask: Ask) -> ClaimReply:
        """Claim, unless there is an outage."""
        with self.outage.around("claim"):
            return self.real.claim(ask)

    def settle(self, changes: Sequence[Change], *, ask: Ask | None = None) -> SettleReply:
        """Settle, unless there is an outage."""
        with self.outage.around("settle"):
            return self.real.settle(changes, ask=ask)

    def await_work(self, queues: Sequence[str], timeout: float) -> bool:
        """Wait, unless there is an outage."""
        with self.outage.around("await_work"):
            return self.real.await_work(queues, timeout)

    def wake(self) -> None:
        """Wake; works during an outage, since it needs no server."""
        self.real.wake()

    def republish(self) -> int:
        """Republish, unless there is an outage."""
        with self.outage.around("republish"):
            return self.real.republish()

    def depth(self, queue: str) -> int:
        """Count, unless there is an outage."""
        with self.outage.around("depth"):
            return self.real.depth(queue)

    def close(self) -> None:
        """Close the real one."""
        self.real.close()
