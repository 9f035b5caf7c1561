"""Who runs, and who did until lately: what heartbeats, contexts and ends tell together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Literal

import attrs

from pynenc_core.model import Query, RunnerBeat, RunnerContext
from pynenc_core.orchestration.reporting.endings import RECENT, RunnerEnd, recent_ends
from pynenc_core.ports.lookups import batches
from pynenc_core.ports.state_backend import BaseStateBackend
from pynenc_core.status import OWNED

_PAGE, _MOST_PAGES = 1000, 5  # of owned invocations, which are counted by their owners


@attrs.frozen(kw_only=True)
class RunnerEntry:
    """One runner or child process. Times are seconds since 1970 by the store's clock."""

    runner_id: str
    state: Literal["alive", "stopping", "dead"]
    """`stopping`: it lives and has begun to stop. A child whose parent is dead counts as dead: nobody speaks for it."""
    depth: int = 0
    """How many parents it is listed under."""
    parent_id: str = ""
    class_name: str = ""
    """Empty, as host and pid are, where its context is not known any more."""
    host: str = ""
    pid: int = 0
    started_at: float | None = None
    """When it was first heard of, or said that it began; None where neither is known any more."""
    heard_at: float | None = None
    """When its last heartbeat came."""
    owned: int = 0
    """How many invocations it has: those that run or wait there, or are about to start."""
    ended_at: float | None = None
    reason: str = ""
    """Why it stopped or died, if somebody said."""


@attrs.frozen(kw_only=True)
class Roster:
    """The runners of an app, each followed by its children; the living ones first."""

    now: float
    entries: tuple[RunnerEntry, ...]
    counted: bool
    """False when there were more owned invocations than were looked at, so that counts may be too low."""


def roster(state: BaseStateBackend) -> Roster:
    """Return the living runners and those that ended within the last hour. At most 20 calls to the store, however much it holds."""
    now = state.now()
    ends = recent_ends(state)
    beats = {beat.runner_id: beat for beat in state.beats() if beat.alive_until > now - RECENT}
    owned, counted = _owned(state)
    contexts = state.get_runner_contexts({*ends, *beats})
    for context in tuple(contexts.values()):
        contexts.update({one.runner_id: one for one in context.lineage() if one.runner_id not in contexts})
    alive = {name for name in beats if _lives(name, contexts, beats, now)}
    entries = {name: _entry(name, contexts.get(name), beats.get(name), ends.get(name), alive) for name in {*contexts, *beats, *ends}}
    with_counts = {name: attrs.evolve(entry, owned=owned[name]) for name, entry in entries.items()}
    return Roster(now=now, entries=tuple(_in_order(with_counts)), counted=counted)


def _lives(name: str, contexts: Mapping[str, RunnerContext], beats: Mapping[str, RunnerBeat], now: float) -> bool:
    """Return whether the leases of a runner and all its parents run."""
    context = contexts.get(name)
    lineage = [one.runner_id for one in context.lineage()] if context else [name]
    return all(each in beats and beats[each].alive_until > now for each in lineage)


def _entry(name: str, context: RunnerContext | None, beat: RunnerBeat | None, end: RunnerEnd | None, alive: Collection[str]) -> RunnerEntry:
    state: Literal["alive", "stopping", "dead"] = "dead" if name not in alive else "stopping" if end else "alive"
    lost = state == "dead" and end is None and beat is not None
    return RunnerEntry(
        runner_id=name,
        state=state,
        parent_id=context.parent.runner_id if context and context.parent else "",
        class_name=context.class_name if context else "",
        host=context.host if context else "",
        pid=context.pid if context else 0,
        started_at=beat.first_at if beat else end.started_at if end else None,
        heard_at=beat.last_at if beat else None,
        ended_at=end.at if end else None,
        reason=end.reason if end else "its heartbeats ended" if lost else "",
    )


def _owned(state: BaseStateBackend) -> tuple[Counter[str], bool]:
    counts: Counter[str] = Counter()
    for number, page in enumerate(batches(state, Query(statuses=OWNED), size=_PAGE), 1):
        counts.update(record.state.runner_id for record in page)
        if len(page) < _PAGE:
            break
        if number == _MOST_PAGES:
            return counts, False
    return counts, True


def _in_order(entries: Mapping[str, RunnerEntry]) -> Iterator[RunnerEntry]:
    children: dict[str, list[RunnerEntry]] = defaultdict(list)
    for entry in entries.values():
        children[entry.parent_id if entry.parent_id in entries else ""].append(entry)

    def walk(parent: str, depth: int) -> Iterator[RunnerEntry]:
        for entry in sorted(children[parent], key=lambda each: (each.state == "dead", each.started_at or 0.0, each.runner_id)):
            yield attrs.evolve(entry, depth=depth)
            yield from walk(entry.runner_id, depth + 1)

    return walk("", 0)
