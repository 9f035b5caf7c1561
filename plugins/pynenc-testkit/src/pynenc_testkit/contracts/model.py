"""A model of a store, simple enough to be right, for a real one to be compared with step by step."""

from __future__ import annotations

from collections import Counter

import attrs

from pynenc_core.status import FINAL, OWNED, Status


@attrs.define
class ModelInvocation:
    """What the model knows of one invocation."""

    name: str
    queue: str
    rank: float
    key: str = ""
    """A limit key of which at most `ModelStore.most` may be held."""
    unique: str = ""
    due: float | None = None
    status: Status = Status.REGISTERED
    owner: str = ""
    claim: int = 0
    attempts: int = 0
    crashes: int = 0
    path: list[Status] = attrs.field(factory=list[Status])
    """The statuses it went through: its history."""

    def enter(self, *through: Status) -> None:
        """Go through these statuses."""
        self.path += through
        self.status = through[-1]
        if self.status not in OWNED:
            self.owner = ""


class ModelStore:
    """A dictionary with the rules of a store, one call after the other."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.invocations: dict[str, ModelInvocation] = {}

    def submit(self, new: ModelInvocation) -> str:
        """Add an invocation, unless its unique key stands for another; return the id that stands for it."""
        for other in self.invocations.values():
            if new.unique and other.unique == new.unique and other.status not in FINAL:
                return other.name
        new.enter(Status.REGISTERED if new.due is None else Status.SCHEDULED)
        self.invocations[new.name] = new
        return new.name

    def claim(self, runner: str, queues: tuple[str, ...], limit: int, start: int, now: float) -> list[str]:
        """Claim as a dispatcher does; return the ids in order."""
        got: list[str] = []
        for queue in queues:
            for each in sorted(self._claimable(queue, now), key=lambda each: each.rank):
                if len(got) == limit:
                    return got
                if each.key and self.holders(each.key) >= self.most:
                    each.enter(Status.CONCURRENCY_CONTROLLED)
                    continue
                each.owner, each.claim, each.due = runner, each.claim + 1, None
                each.enter(*((Status.PENDING, Status.RUNNING) if len(got) < start else (Status.PENDING,)))
                got.append(each.name)
        return got

    def release(self, name: str, *through: Status) -> None:
        """Carry an invocation on; where that frees a slot, or a turn at one, the first beside its key is woken."""
        each = self.invocations[name]
        held = each.status in OWNED or each.status is Status.REROUTED
        each.enter(*through)
        if each.key and held and each.status not in OWNED:
            self._wake(each.key)

    def holders(self, key: str) -> int:
        """Return how many hold a slot of this key."""
        return sum(each.key == key and each.status in OWNED for each in self.invocations.values())

    def counts(self) -> dict[Status, int]:
        """Return how many invocations there are of each status."""
        return dict(Counter(each.status for each in self.invocations.values()))

    def of(self, *statuses: Status) -> list[str]:
        """Return the ids of those in these statuses."""
        return sorted(each.name for each in self.invocations.values() if each.status in statuses)

    def _claimable(self, queue: str, now: float) -> list[ModelInvocation]:
        ready = (Status.REGISTERED, Status.RETRY, Status.REROUTED)
        return [
            each
            for each in self.invocations.values()
            if each.queue == queue and (each.status in ready or (each.status is Status.SCHEDULED and (each.due or 0.0) <= now))
        ]

    def _wake(self, key: str) -> None:
        waiting = [each for each in self.invocations.values() if each.key == key and each.status is Status.CONCURRENCY_CONTROLLED]
        if waiting and self.holders(key) < self.most:
            min(waiting, key=lambda each: each.rank).enter(Status.REROUTED)
