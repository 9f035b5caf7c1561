"""Claims: what is at the head of a queue is owned, or put aside where it finds a limit full or comes too late.

What has no limits is claimed together, in one call, which also carries the changes of the settle that the claim came with.
"""

from __future__ import annotations

from collections.abc import Sequence

from pynenc_backend_mongo.documents import Held
from pynenc_backend_mongo.transitions import Fresh, Transitions
from pynenc_backend_mongo.writes import Pending
from pynenc_core.model import MOST_SET_ASIDE, Ask, InvocationRecord, State, claimed, entered, may_claim, put_aside, starts
from pynenc_core.status import Status


class Claims:
    """One claim of several, under way."""

    def __init__(self, transitions: Transitions, ask: Ask, fresh: Fresh, first: Sequence[Pending] = ()) -> None:
        """What is to be written `first` is written with the first claims."""
        self._transitions = transitions
        transitions.writes.claimers.add(ask.runner_id)
        self.ask = ask
        self.fresh = fresh
        """What the call made claimable and left so, by id."""
        self._first = list(first)
        self.first_written: list[Held | None] = []
        """What became of the writes that were to be the first ones, once there was one call of this."""
        self._started = 0
        self.aside = 0
        """How many were put aside."""
        self.lost = 0
        """How many somebody else took first."""
        self.got: list[InvocationRecord] = []

    @property
    def moves(self) -> tuple[int, int, int]:
        """How many were claimed, put aside, and lost to others."""
        return len(self.got), self.aside, self.lost

    @property
    def satisfied(self) -> bool:
        """Whether there is all that was asked for."""
        return len(self.got) >= self.ask.limit > 0

    @property
    def go_on(self) -> bool:
        """Whether more may be taken."""
        return len(self.got) < self.ask.limit and self.aside < MOST_SET_ASIDE

    def take_in(self, page: Sequence[Held], *, in_order: bool) -> None:
        """Claim of a page what may be claimed, and put aside what may not, until there is enough.

        With `in_order` also only until one is put aside, which may have let another one in before the rest of the page.
        """
        plain: list[Held] = []
        for held in page:
            if len(self.got) + len(plain) >= self.ask.limit:
                break
            if self._is_plain(held):
                plain.append(held)
                continue
            self._take_together(plain)
            plain, lost = [], self.lost
            if not self.go_on or (not self._take(held) and self.lost == lost and in_order):
                break
        self._take_together(plain)

    def write_first(self) -> None:
        """Write what was to be written first, unless that was done."""
        first, self._first = self._first, []
        self.first_written += self._transitions.writes.write_all(first)

    def _is_plain(self, held: Held) -> bool:
        now = self._transitions.database.now()
        return not held.limits and may_claim(held.state, held.side.boost, self.ask, now) and put_aside(held.fixed[0], now, None) is None

    def _take_together(self, plain: Sequence[Held]) -> None:
        """Claim what has no limits, in one call; what somebody else has written meanwhile is looked at again."""
        if not plain:
            return
        now, started = self._transitions.database.now(), self._started
        first, self._first = self._first, []
        pending: list[Pending] = []
        for held in plain:
            start = starts(held.fixed[0], held.state, self.ask, started)
            started += start
            pending.append((held, *claimed(held.invocation_id, held.state, self.ask.runner_id, now, start=start)))
        written = self._transitions.writes.write_all([*first, *pending])
        self.first_written += written[: len(first)]
        missed: list[Held] = []
        for (held, state, _), new in zip(pending, written[len(first) :], strict=True):
            if new is None:
                missed.append(held)
            else:
                self._note(new, state)
        for held in missed:
            self.lost += 1
            again = self._transitions.writes.read(held.invocation_id)
            if again is not None and self.go_on:
                self._take(again)

    def _take(self, held: Held | None) -> bool:
        """Claim an invocation, or put it aside, if it may be claimed; return whether it was claimed."""
        transitions, ask = self._transitions, self.ask
        while held is not None:
            now = transitions.database.now()
            if not may_claim(held.state, held.side.boost, ask, now):
                return False
            elsewhere = put_aside(held.fixed[0], now, None)
            if elsewhere is None and held.limits:
                full = transitions.slots.full(held.limits) or transitions.slots.take(held)
                elsewhere = put_aside(held.fixed[0], now, full)
            if elsewhere is None:
                if self._claim(held, now):
                    return True
            elif transitions.move(
                held, *entered(held.invocation_id, held.state, elsewhere[0], ask.runner_id, elsewhere[1], now), self.fresh
            ):
                self.aside += 1
                return False
            self.lost += 1
            held = transitions.writes.read(held.invocation_id)
        return False

    def _claim(self, held: Held, now: float) -> bool:
        start = starts(held.fixed[0], held.state, self.ask, self._started)
        state, entries = claimed(held.invocation_id, held.state, self.ask.runner_id, now, start=start)
        written = self._transitions.writes.write(held, state, entries)
        if written is None:
            return False
        self._note(written, state)
        return True

    def _note(self, written: Held, state: State) -> None:
        self._started += state.status is Status.RUNNING
        self.fresh.pop(written.invocation_id, None)
        self.got.append(written.record(state))
