"""Finds invocations that wait for each other in a circle."""

from __future__ import annotations

from pynenc_core.model import InvocationRecord, Query
from pynenc_core.ports.state_backend import BaseStateBackend
from pynenc_core.status import Status

_PAGE = 100


def circle_through(state: BaseStateBackend, waiter: str) -> tuple[InvocationRecord, ...]:
    """Return the circle of waiting invocations that `waiter` is part of, starting with itself; () when there is none.

    Only what is PAUSED can be part of one, and each has written what it waits for before it looks here, so of several
    that close a circle at once at least one sees it.
    """
    paused = _paused(state)
    reached_from: dict[str, str] = {}
    front = [waiter]
    while front:
        here = front.pop()
        for awaited in paused[here].state.awaits if here in paused else ():
            if awaited == waiter:
                return tuple(paused[each] for each in _path(reached_from, waiter, here))
            if awaited in paused and awaited not in reached_from:
                reached_from[awaited] = here
                front.append(awaited)
    return ()


def _paused(state: BaseStateBackend) -> dict[str, InvocationRecord]:
    paused: dict[str, InvocationRecord] = {}
    after = ""
    while page := state.find(Query(statuses=frozenset({Status.PAUSED})), after=after, limit=_PAGE):
        paused.update((record.invocation_id, record) for record in page)
        after = page[-1].invocation_id
    return paused


def _path(reached_from: dict[str, str], waiter: str, last: str) -> tuple[str, ...]:
    path = [last]
    while path[-1] != waiter:
        path.append(reached_from[path[-1]])
    return tuple(reversed(path))
