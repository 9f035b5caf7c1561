"""Who waits in this process, and how it is told: by what this process writes, by a change stream, or by looking now and then."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Protocol

from pymongo.errors import PyMongoError

from pynenc_core.ports.clock import Clock

SHORTEST = 0.005
"""Seconds to the first look of who begins to wait."""
SHARE = 0.1
"""Who has waited for a time looks again after this share of it."""
_SAFETY_NET = 5.0  # seconds between two looks beside a change stream
_BREATH = 1.0  # seconds before a broken stream is begun anew
_STREAM_TURN = 1000  # milliseconds for which the server holds a request for changes


class Listener(Protocol):
    """Somebody who wants to know what became final."""

    def tell(self, invocation_id: str) -> None:
        """Learn, with the bell's lock held, that an invocation is final or gone."""
        ...


class Bell:
    """One process's notifications of one app's store."""

    def __init__(self, clock: Clock, longest: float) -> None:
        self._clock = clock
        self._longest = longest
        self.changed = threading.Condition()
        self.work = 0
        """How often this process learned that something became claimable, or that it should look."""
        self.closed = 0
        """How often the store was closed here."""
        self.listeners: defaultdict[str, set[Listener]] = defaultdict(set)
        self.told_by_stream = False
        """Whether a change stream tells of what others write."""
        self._following: Any = None

    def pause(self, waited: float) -> float:
        """Return after how many seconds to look again, for who has waited for so many."""
        if self.told_by_stream:
            return _SAFETY_NET
        return min(max(SHORTEST, waited * SHARE), self._longest)

    def tell_work(self) -> None:
        """Let who waits for work look."""
        with self.changed:
            self.work += 1
            self.changed.notify_all()

    def tell_final(self, invocation_ids: Iterable[str]) -> None:
        """Let who watches these know."""
        with self.changed:
            for invocation_id in invocation_ids:
                for listener in self.listeners.pop(invocation_id, ()):
                    listener.tell(invocation_id)
            self.changed.notify_all()

    def close(self) -> None:
        """Let everybody who waits look around: the connection was closed."""
        with self.changed:
            self._following = None
            self.closed += 1
            self.work += 1
            self.changed.notify_all()

    def follow(self, invocations: Any) -> None:
        """Listen to a collection's changes in a thread of its own, until `close`."""
        self._following = invocations
        threading.Thread(target=self._listen, args=(invocations,), name="pynenc-mongo-changes", daemon=True).start()

    def _listen(self, invocations: Any) -> None:
        """Pass on what the stream tells, until `close`; one that breaks for good is begun anew."""
        wanted = {"$or": [{"operationType": {"$in": ["insert", "delete"]}}, {"updateDescription.updatedFields.phase": {"$exists": True}}]}
        while self._following is invocations:
            try:
                with invocations.watch([{"$match": wanted}], max_await_time_ms=_STREAM_TURN) as stream:
                    self.told_by_stream = True
                    self.tell_work()  # what came before the stream began must be looked for
                    while self._following is invocations:
                        change = stream.try_next()
                        if change is not None:
                            self._pass_on(change)
            except PyMongoError:
                self.told_by_stream = False  # who waits looks by itself meanwhile
                self.tell_work()
                with self.changed:
                    self.changed.wait_for(lambda: self._following is not invocations, _BREATH)
        self.told_by_stream = False

    def _pass_on(self, change: dict[str, Any]) -> None:
        phase = change.get("updateDescription", {}).get("updatedFields", {}).get("phase", "")
        if change["operationType"] == "delete" or phase == "final":
            self.tell_final([change["documentKey"]["_id"]])
        elif phase in {"", "ready", "later"}:
            self.tell_work()


class Waiting:
    """What threads of this process wait for in turn, looking and blocking: for work, or for a broker's entries."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None
        self._looked, self._seen = float("-inf"), 0
        """When somebody looked last, and how often the bell had told of work by then."""
        self._blocked = 0
        self._woken = False

    def over(self) -> None:
        """Note that there was something: who waits next looks again soon."""
        self._since = None

    def looks(self, bell: Bell) -> None:
        """Note that somebody is about to look."""
        self._looked, self._seen = self._clock.monotonic(), bell.work

    def has_news(self, bell: Bell) -> bool:
        """Return whether the bell has told of work since the last look."""
        return bell.work != self._seen

    def should_look(self, bell: Bell) -> bool:
        """Return whether there is news, or it is time to look again."""
        return self.has_news(bell) or self._clock.monotonic() >= self._looks_again(bell)

    def wake(self, bell: Bell) -> None:
        """Let everybody who blocks return."""
        with bell.changed:
            self._woken = True
            bell.changed.notify_all()

    def was_woken(self, bell: Bell) -> bool:
        """Return whether somebody called `wake`, which counts for all who blocked then, or for the next one."""
        with bell.changed:
            woken = self._woken
            self._woken = woken and self._blocked > 0
            return woken

    def block(self, bell: Bell, ends: float) -> None:
        """Block until there is news, a wake, or it is time to look again, or to end."""
        self._since = self._since or self._clock.monotonic()
        again = min(self._looks_again(bell), ends)
        with bell.changed:
            self._blocked += 1
            bell.changed.wait_for(lambda: self.has_news(bell) or self._woken, max(0.0, again - self._clock.monotonic()))
            self._blocked -= 1

    def _looks_again(self, bell: Bell) -> float:
        waited = 0.0 if self._since is None else self._clock.monotonic() - self._since
        return self._looked + bell.pause(waited)
