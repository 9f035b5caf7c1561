"""Finds invocations that wait for each other in a circle: for results, or for a place beside a key that another one holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs

from pynenc_core.model import InvocationRecord, Limit, Mark, Query, Signal, SignalKind
from pynenc_core.ports.state_backend import BaseStateBackend
from pynenc_core.status import OWNED, Status

_PAGE = 100
_PAUSED = frozenset({Status.PAUSED})


@attrs.frozen
class Circle:
    """Invocations none of which can ever go on: each waits for the next one, the last for the first."""

    members: tuple[str, ...]
    youngest_waiter: str
    """Of those that wait inside their task, the one to be ended."""
    claim: int
    """The claim under which that one waits: whoever owns it later is innocent."""


def circle_through(state: BaseStateBackend, waiter: str) -> Circle | None:
    """Return the circle that `waiter`, which is PAUSED, is part of; None when there is none.

    Each has written what it waits for before it looks here, so of several that close a circle by waiting at least one
    sees it. One that closes because the store kept an awaited one from starting is seen at a later look.
    """
    paused = _paused(state)
    if waiter not in paused:
        return None
    edges: dict[str, tuple[str, ...]] = {each: record.state.awaits for each, record in paused.items()}
    reached_from: dict[str, str] = {}
    front = [waiter]
    while front:
        here = front.pop()
        if here not in edges:
            edges[here] = _who_keeps_it(state, here, paused)
        for ahead in edges[here]:
            if ahead == waiter:
                members = _path(reached_from, waiter, here)
                youngest = max(member for member in members if member in paused)  # ids sort by age
                return Circle(members, youngest, paused[youngest].state.claim)
            if ahead not in reached_from:
                reached_from[ahead] = here
                front.append(ahead)
    return None


def ask_youngest(state: BaseStateBackend, circle: Circle, by: str) -> None:
    """Tell the youngest waiter of a circle that it is to give up; its owner ends it."""
    told = Signal(invocation_id=circle.youngest_waiter, kind=SignalKind.DEADLOCK, claim=circle.claim, by=by, circle=circle.members)
    state.mark([Mark(invocation_id=circle.youngest_waiter, signal=told)])


def _paused(state: BaseStateBackend) -> dict[str, InvocationRecord]:
    found: dict[str, InvocationRecord] = {}
    after = ""
    while page := state.find(Query(statuses=_PAUSED), after=after, limit=_PAGE):
        found.update((record.invocation_id, record) for record in page)
        after = page[-1].invocation_id
    return found


def _who_keeps_it(state: BaseStateBackend, invocation_id: str, paused: Collection[str]) -> tuple[str, ...]:
    """Return the paused holders of a key beside which this one has to wait; () when it is not that, or may go on without them."""
    record = state.get([invocation_id]).get(invocation_id)
    if record is None or record.state.status is not Status.CONCURRENCY_CONTROLLED:
        return ()
    keeping: list[str] = []
    for limit in record.invocation.limits:
        holders = _holders(state, limit)
        # With several places, one of them may become free by somebody outside of the circle: then this is none.
        if limit.most == 1 and all(holder in paused for holder in holders):
            keeping += holders
    return tuple(keeping)


def _holders(state: BaseStateBackend, limit: Limit) -> list[str]:
    return [record.invocation_id for record in state.find(Query(limit_key=limit.key, statuses=OWNED), limit=_PAGE)]


def _path(reached_from: Mapping[str, str], waiter: str, last: str) -> tuple[str, ...]:
    path = [last]
    while path[-1] != waiter:
        path.append(reached_from[path[-1]])
    return tuple(reversed(path))
