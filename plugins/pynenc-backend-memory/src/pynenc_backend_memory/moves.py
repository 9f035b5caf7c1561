"""Moves records on: changes, claims and marks, each within one step of the table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pynenc_backend_memory.table import OUTBOX, MemoryTable
from pynenc_core.model import (
    MOST_SET_ASIDE,
    Ask,
    Change,
    ClaimReply,
    InvocationHistory,
    InvocationRecord,
    Mark,
    Refusal,
    Signal,
    State,
    Swapped,
    applied,
    boosts,
    claimed,
    entered,
    hands_on,
    marked,
    may_claim,
    meets,
    put_aside,
    starts,
    woken,
)
from pynenc_core.status import CLAIMABLE


class MemoryMoves(MemoryTable):
    """What one app stores, and how it moves on; every method is called with `lock` held."""

    def swap(self, changes: Iterable[Change], now: float) -> Swapped:
        """Write or refuse each change, and all that follows from it."""
        return Swapped(tuple([self._swap(change, now) for change in changes]), self.made_claimable())

    def acquire(self, records: Iterable[InvocationRecord], ask: Ask, now: float) -> ClaimReply:
        """Claim claimable records, which are looked for while those before them are claimed."""
        got: list[InvocationRecord] = []
        aside = 0
        for record in records if ask.limit > 0 else ():
            invocation_id = record.invocation_id
            elsewhere = put_aside(record.invocation, now, self.full_limit_of(record))
            if elsewhere is not None:
                self._move(record, *entered(invocation_id, record.state, elsewhere[0], ask.runner_id, elsewhere[1], now), ask.runner_id)
                aside += 1
            else:
                start = starts(record.invocation, record.state, ask, len(got))
                got.append(self.replace(record, *claimed(invocation_id, record.state, ask.runner_id, now, start=start)))
            if len(got) >= ask.limit or aside >= MOST_SET_ASIDE:
                break
        due = [instant for queue in ask.queues if (instant := self.queues[queue].next_due()) is not None]
        signals = self.signals((ask.runner_id,))
        return ClaimReply(claimed=tuple(got), signals=signals, next_due=min(due, default=None), claimable=self.made_claimable())

    def named(self, invocation_ids: Iterable[str], ask: Ask, now: float) -> Iterator[InvocationRecord]:
        """Yield what is claimable of these, each as it is when it is its turn."""
        for invocation_id in invocation_ids:
            record = self.records.get(invocation_id)
            if record is not None and may_claim(record.state, record.side.boost, ask, now):
                yield record

    def first(self, ask: Ask, now: float) -> Iterator[InvocationRecord]:
        """Yield what is to be claimed first, each time anew: whoever takes a record moves it out of its queue."""
        for queue in ask.queues:
            order = self.queues[queue]
            while first := order.first(now, awaited_only=ask.awaited_only):
                yield self.records[first]

    def mark(self, mark: Mark) -> bool:
        """Write side values of an invocation, if it is known; return whether the mark is refused."""
        invocation_id = mark.invocation_id
        record = self.records.get(invocation_id)
        if record is None:
            return mark.owner is not None
        after = marked(record.state, record.side, mark)
        if after is None:
            return True
        state, side = after
        new = InvocationRecord(invocation=record.invocation, call=record.call, state=state, side=side)
        self.records[invocation_id] = new
        if not state.outbox:
            self.unlabel(OUTBOX, invocation_id)
        if side.signal and not state.final:
            self.signalled.add(invocation_id)
        if side.boost != record.side.boost and state.status in CLAIMABLE:
            self.enqueue(new)
        elif side.boost != record.side.boost and (key := self.beside_key.get(invocation_id)):
            self.beside[key].put(invocation_id, new.rank)
        return False

    def signals(self, runner_ids: Iterable[str]) -> tuple[Signal, ...]:
        """Return the requests to what these runners own."""
        if not self.signalled:
            return ()
        asked = set(runner_ids)
        records = [self.records[invocation_id] for invocation_id in sorted(self.signalled)]
        mine = [(record.side.signal, record.state) for record in records if record.state.runner_id in asked]
        return tuple([signal for signal, state in mine if signal and signal.concerns(state)])

    def _swap(self, change: Change, now: float) -> Refusal | None:
        record = self.records.get(change.invocation_id)
        if record is None:
            return Refusal(change.invocation_id, None)
        state = record.state
        if not meets(state, change.expect):
            return Refusal(change.invocation_id, state.status, state.runner_id, state.claim)
        self.put_blobs(change.blobs, now)
        for boost in boosts(change):
            if boost.invocation_id in self.records and not self.records[boost.invocation_id].state.final:
                self.mark(boost)
        self._move(self.records[change.invocation_id], *applied(change.invocation_id, state, change, now), change.by)
        return None

    def _move(self, old: InvocationRecord, state: State, entries: Iterable[InvocationHistory], by: str) -> None:
        """Replace a record's state, and wake who waits for what it leaves."""
        self.replace(old, state, entries)
        if old.invocation.limits and hands_on(old.state, state):
            for limit in old.invocation.limits:
                self._call_next(limit.key, by, state.since)

    def _call_next(self, key: str, by: str, now: float) -> None:
        beside = self.beside[key]
        while first := beside.first(now):
            record = self.records[first]
            full = self.full_limit_of(record)
            if full is None:
                self.replace(record, *woken(first, record.state, key, by, now))
                return
            if full.key == key:
                return
            self.wait_beside(full.key, record)  # another key holds it up by now
