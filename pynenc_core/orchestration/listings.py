"""Looks at many invocations: by state, by call, by who waits for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

import msgspec

from pynenc_core.model import InvocationRecord, Query, RunnerBeat
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.recovery import Recovery
from pynenc_core.orchestration.services import ROLE, Purging, record_execution
from pynenc_core.status import CLAIMABLE, FINAL, Status

_PAGE = 200


class Listings:
    """Read-only views of an app's invocations and runners."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def iterate(self, query: Query, *, newest_first: bool = False) -> Iterator[InvocationRecord]:
        """Yield every invocation that the query fits, by id, in pages."""
        edge = ""
        find = self._engine.state.find
        while page := find(
            query, after="" if newest_first else edge, before=edge if newest_first else "", limit=_PAGE, newest_first=newest_first
        ):
            yield from page
            edge = page[-1].invocation_id

    def get_existing_invocations(self, task_id: str, *, call_id: str = "", statuses: Collection[Status] = ()) -> Iterator[InvocationRecord]:
        """Yield a task's invocations, of one call and in some statuses if given."""
        return self.iterate(Query(task_id=task_id, call_id=call_id, statuses=frozenset(statuses)))

    def filter_by_status(self, invocation_ids: Collection[str], statuses: Collection[Status]) -> tuple[str, ...]:
        """Return those of the ids, in their order, that exist and are in one of the statuses."""
        found = self._engine.state.get(invocation_ids)
        return tuple(i for i in invocation_ids if i in found and found[i].state.status in statuses)

    def filter_final(self, invocation_ids: Collection[str]) -> tuple[str, ...]:
        """Return those of the ids, in their order, that are final."""
        return self.filter_by_status(invocation_ids, FINAL)

    def count_invocations(self, *, task_id: str = "", statuses: Collection[Status] = ()) -> int:
        """Return how many invocations there are, of a task and in some statuses if given."""
        return sum(self._engine.state.count(Query(task_id=task_id, statuses=frozenset(statuses))).values())

    def get_blocking_invocations(self, limit: int) -> tuple[str, ...]:
        """Return up to `limit` claimable invocations that others wait for, those that most wait for first."""
        waiting = self.iterate(Query(statuses=frozenset({Status.PAUSED})))
        awaited = Counter(awaited for record in waiting for awaited in record.state.awaits)
        claimable = set(self.filter_by_status(tuple(awaited), CLAIMABLE))
        return tuple(i for i, _ in awaited.most_common() if i in claimable)[:limit]

    def get_active_runners(self) -> tuple[RunnerBeat, ...]:
        """Return the runners whose lease has not ended, by id."""
        now = self._engine.state.now()
        return tuple(beat for beat in self._engine.state.beats() if beat.alive_until > now)


class Upkeep:
    """What a runner may be asked to do for the whole app, one runner at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get_pending_invocations_for_recovery(self) -> tuple[InvocationRecord, ...]:
        """Return what was claimed too long ago by an owner that is not provably alive, and never started."""
        return tuple(Recovery(self._engine, "").pending_for_recovery(self._engine.state.now()))

    def get_running_invocations_for_recovery(self) -> tuple[InvocationRecord, ...]:
        """Return what is RUNNING or PAUSED under an owner that is not provably alive."""
        return tuple(Recovery(self._engine, "").running_for_recovery(self._engine.state.now()))

    def hand_on(self, runner_id: str, exit_reason: str) -> int:
        """Recover everything a dead runner owned, at once; return how many invocations."""
        return Recovery(self._engine, runner_id).hand_on(runner_id, exit_reason)

    def register_runner_heartbeats(self, runner_ids: Collection[str], *, can_run_atomic_service: bool = False) -> None:
        """Note that these runners live for one lease more."""
        self._engine.state.beat(runner_ids, self._engine.lease, may_serve=can_run_atomic_service)

    def should_run_atomic_service(self, runner_id: str) -> bool:
        """Take or renew the role of carrying out the services; return whether this runner has it now."""
        return self._engine.state.take_lease(ROLE, runner_id, self._engine.lease) is not None

    def record_atomic_service_execution(self, runner_id: str, start: float, end: float) -> None:
        """Note that this runner carried out the services, from and to the store's times given."""
        record_execution(self._engine, runner_id, start, end)

    def auto_purge(self) -> int:
        """Remove up to a thousand final invocations older than `auto_final_invocation_purge_hours`; return how many."""
        return Purging(self._engine).turn(self._engine.state.now())

    def purge(self) -> None:
        """Remove everything of this app from its store, and nothing of any other."""
        self._engine.state.purge()

    def last_service_execution(self) -> dict[str, object]:
        """Return who last carried out the services, and when; empty before the first time."""
        found = self._engine.state.get_values("service_execution", [ROLE]).get(ROLE)
        return msgspec.json.decode(found, type=dict[str, object]) if found else {}
