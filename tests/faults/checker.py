"""Judges what became of a scenario's invocations, by the store's records and history and by the ledger."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

import attrs

from faults.ledger import Line
from pynenc_core.model import InvocationHistory, InvocationRecord
from pynenc_core.ports.state_backend import BaseStateBackend
from pynenc_core.status import FINAL, OWNED, RULES, Status

_CHUNK = 200


@attrs.frozen
class Judgement:
    """What was found; the first three must be 0 whatever happened."""

    lost: int
    """Accepted and not final, or gone."""
    overlaps: int
    """Ownerships that overlap in history, or two effects under one claim: accepted twice."""
    flips: int
    """Final invocations that were moved, or whose outcome is another one than before."""
    duplicated: int
    """Effects beyond the first of each invocation."""
    recovery: tuple[float, ...]
    """Seconds from each kill to the next effect of what the killed process ran or had claimed, sorted."""

    requeued: tuple[float, ...] = ()
    """Seconds from each kill until what the killed process ran was queued again, sorted."""

    @property
    def recovery_p99(self) -> float:
        """The time within which 99 of 100 ran again; 0 where nothing had to."""
        return _p99(self.recovery)

    @property
    def requeued_p99(self) -> float:
        """The time within which 99 of 100 were queued again; 0 where nothing had to be."""
        return _p99(self.requeued)


class Checker:
    """Looks at the accepted invocations of one store."""

    def __init__(self, state: BaseStateBackend) -> None:
        self._state = state
        self._outcomes: dict[str, InvocationRecord] = {}

    def remember(self, invocation_ids: Collection[str]) -> None:
        """Note what is final now, to see later whether it stayed so."""
        for record in self.records(invocation_ids).values():
            if record.state.final:
                self._outcomes.setdefault(record.invocation_id, record)

    def records(self, invocation_ids: Collection[str]) -> Mapping[str, InvocationRecord]:
        """Return the records that exist."""
        found: dict[str, InvocationRecord] = {}
        for chunk in _chunks(invocation_ids):
            found.update(self._state.get(chunk))
        return found

    def judge(self, accepted: Collection[str], effects: Mapping[str, Sequence[Line]], kills: Mapping[int, float]) -> Judgement:
        """Look at everything that was accepted."""
        records = self.records(accepted)
        lost = [each for each in accepted if each not in records or not records[each].state.final]
        overlapping, flipped = 0, 0
        requeued: list[float] = []
        recovery: list[float] = []
        for chunk in _chunks(accepted):
            for invocation_id, entries in self._state.history(chunk).items():
                requeued += _requeued(entries, effects.get(invocation_id, ()), kills)
                recovery += recoveries(entries, effects.get(invocation_id, ()), kills)
                overlapping += overlaps(entries)
                flipped += flips(entries)
        for invocation_id, before in self._outcomes.items():
            now = records.get(invocation_id)
            flipped += now is None or (now.state.status, now.state.outcome) != (before.state.status, before.state.outcome)
        known = [effects[each] for each in accepted if each in effects]
        overlapping += sum(len(lines) - len({line.claim for line in lines}) for lines in known)
        return Judgement(
            lost=len(lost),
            overlaps=overlapping,
            flips=flipped,
            duplicated=sum(len(lines) - 1 for lines in known),
            recovery=tuple(sorted(recovery)),
            requeued=tuple(sorted(requeued)),
        )


def overlaps(entries: Sequence[InvocationHistory]) -> int:
    """Count entries under an older claim than one before, claims of what was owned, and steps that the table forbids."""
    found, newest, status = 0, 0, None
    for entry in entries:
        record = entry.status_record
        follows = entry.seq == 1 or status is None or record.status in {status, *RULES[status].next}
        taken_twice = record.status is Status.PENDING and status in OWNED
        found += record.claim < newest or taken_twice or not follows
        newest, status = max(newest, record.claim), record.status
    return found


def flips(entries: Sequence[InvocationHistory]) -> int:
    """Count the final statuses that something follows."""
    return sum(entry.status_record.status in FINAL for entry in entries[:-1])


def recoveries(entries: Sequence[InvocationHistory], lines: Sequence[Line], kills: Mapping[int, float]) -> Iterable[float]:
    for before, after in pairwise(lines):
        killed_at = kills.get(before.pid)
        if killed_at is not None and after.at >= killed_at:
            # Who has claimed it meanwhile may have been killed as well, before it did anything: then it waits from there on.
            claimed = {entry.status_record.runner_id for entry in entries if before.claim < entry.status_record.claim < after.claim}
            later = [at for pid, at in kills.items() if any(f"-{pid}-" in each for each in claimed)]
            yield after.at - max([killed_at, *(at for at in later if at <= after.at)])


def _requeued(entries: Sequence[InvocationHistory], lines: Sequence[Line], kills: Mapping[int, float]) -> Iterable[float]:
    for line in lines:
        left = [entry.at for entry in entries if entry.status_record.claim == line.claim and entry.status_record.status is Status.REROUTED]
        if line.pid in kills and left:
            yield left[0] - kills[line.pid]


def _p99(ordered: Sequence[float]) -> float:
    return ordered[math.ceil(len(ordered) * 0.99) - 1] if ordered else 0.0


def _chunks(invocation_ids: Collection[str]) -> Iterable[list[str]]:
    everything = list(invocation_ids)
    return (everything[start : start + _CHUNK] for start in range(0, len(everything), _CHUNK))
