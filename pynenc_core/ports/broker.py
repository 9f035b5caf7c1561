"""What a broker implements: it hands out invocation ids, as a hint and never as the truth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

from pynenc_core.model import Queued
from pynenc_core.ports.runtime import StoreView


class BaseBroker(ABC):
    """Queues of invocation ids of one app. It may hand an id out twice and may forget one; nothing is lost by either.

    Every method may be called from any thread, and raises BackendUnavailableError when the store cannot be reached.
    """

    name: ClassVar[str]
    """The name of the spec it is offered under."""

    def __init__(self, app: StoreView) -> None:
        self.app = app

    @abstractmethod
    def publish(self, entries: Sequence[Queued]) -> None:
        """Add entries, all in one call; wakes who blocks in `take`. Publishing an id again moves it to the new rank."""

    @abstractmethod
    def take(self, queues: Sequence[str], limit: int, timeout: float) -> tuple[str, ...]:
        """Remove and return up to `limit` ids that are due, lowest `(queue, rank)` first, in the order of `queues`.

        Blocks up to `timeout` seconds while there is none; 0 does not block. Returns () then, and after `wake`.
        """

    @abstractmethod
    def wake(self) -> None:
        """Let every `take` that blocks in this process return at once; the next one that would block as well, if none does."""

    @abstractmethod
    def oldest(self, queue: str) -> Queued | None:
        """Return the entry of lowest rank, leaving it where it is; None when the queue is empty. Whoever looks for lost entries asks."""

    @abstractmethod
    def size(self, queue: str) -> int:
        """Return how many entries the queue holds, due or not."""

    @abstractmethod
    def discard(self, invocation_ids: Iterable[str]) -> None:
        """Remove entries, wherever they are; unknown ids are passed over. Only tidies up: an entry left behind loses the claim."""

    @abstractmethod
    def purge(self) -> None:
        """Remove every entry of this app, and of no other."""

    @abstractmethod
    def close(self) -> None:
        """Release every connection; a later call connects anew. Tolerant of being called twice."""
