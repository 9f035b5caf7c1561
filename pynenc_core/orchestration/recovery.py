"""Brings back what the dead have left: one rule for a child that its parent saw die, and for a host whose lease is over."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.model import CLEAN_EXIT, Change, InvocationRecord, Query, SignalKind, full_limit
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.reporting.endings import note_end
from pynenc_core.ports.transitions import change
from pynenc_core.status import OWNED, Status

_PAGE = 200
_STRANDED = frozenset({Status.KILLED, Status.PENDING_RECOVERY, Status.RUNNING_RECOVERY})
_PARKED = frozenset({Status.PARKED})
_LIMITED = frozenset({Status.CONCURRENCY_CONTROLLED})
_MAY_LACK_A_RUNNER = OWNED | _PARKED
_MAY_NEED_HELP = OWNED | _STRANDED | _PARKED | _LIMITED
_DEATHS = "runner_death"
_KNOWN_TASKS = "runner_tasks"
_REMEMBER = 3600.0  # seconds for which a death is remembered: much longer than recovering what it left takes


class Recovery:
    """Finds invocations whose owner is gone, or that nothing would ever move on, and moves them on."""

    def __init__(self, engine: Engine, by: str) -> None:
        """`by` is the runner context id that history names for what is done here."""
        self._engine = engine
        self._by = by

    def turn(self, now: float) -> int:
        """Recover whatever needs it at the store's time `now`; return how many invocations were moved on."""
        present = _present(self._engine)
        alive = self.alive(now) if present & _MAY_LACK_A_RUNNER else frozenset[str]()
        steps: tuple[tuple[frozenset[Status], Callable[[], int]], ...] = (
            (OWNED, lambda: self._recover_the_dead(alive, now)),
            (_STRANDED, self._unstrand),
            (_PARKED, lambda: self._unpark(alive, now)),
            (_LIMITED, self._wake_limited),
        )
        done = sum(self._tolerant("a part of the sweep", step) for statuses, step in steps if present & statuses)
        return done + self._tolerant("a part of the sweep", self._engine.dispatcher.republish)

    def hand_on(self, runner_id: str, reason: str) -> int:
        """Recover at once all that a runner owned which is known to be dead; return how many invocations."""
        owned = list(self._pages(Query(runner_id=runner_id, statuses=OWNED)))
        count = self._recover_of(runner_id, owned, reason, None)
        self._engine.state.forget_runners([runner_id])
        if reason != CLEAN_EXIT:
            note_end(self._engine.state, runner_id, reason)
        return count

    def alive(self, now: float) -> frozenset[str]:
        """Return the runners that are provably alive: all others count as dead, also those without any record."""
        return frozenset(beat.runner_id for beat in self._engine.state.beats() if beat.alive_until > now)

    def pending_for_recovery(self, now: float) -> Iterator[InvocationRecord]:
        """Yield what was claimed, not started for `max_pending_seconds`, by an owner that is not provably alive."""
        alive, longest = self.alive(now), self._engine.orchestrator_settings.max_pending_seconds
        for record in self._pages(Query(statuses=frozenset({Status.PENDING}))):
            if record.state.runner_id not in alive and now - record.state.since > longest:
                yield record

    def running_for_recovery(self, now: float) -> Iterator[InvocationRecord]:
        """Yield what is RUNNING or PAUSED under an owner that is not provably alive."""
        alive = self.alive(now)
        for record in self._pages(Query(statuses=frozenset({Status.RUNNING, Status.PAUSED}))):
            if record.state.runner_id not in alive:
                yield record

    def _recover_the_dead(self, alive: Collection[str], now: float) -> int:
        dead = self._of_the_dead(alive)
        begun = self.alive(now) if dead else ()  # who gave a first heartbeat and claimed after the others were read is not dead
        missed = {runner: records for runner, records in dead.items() if runner not in begun}
        return sum(self._recover_of(runner, records, "its lease was over", now) for runner, records in missed.items())

    def _of_the_dead(self, alive: Collection[str]) -> dict[str, list[InvocationRecord]]:
        dead: dict[str, list[InvocationRecord]] = defaultdict(list)
        for record in self._pages(Query(statuses=OWNED)):
            if record.state.runner_id not in alive:
                dead[record.state.runner_id].append(record)
        return dead

    def _recover_of(self, runner_id: str, records: Sequence[InvocationRecord], reason: str, now: float | None) -> int:
        suspects = self._suspects(runner_id, [r.invocation_id for r in records if r.state.status is Status.RUNNING])
        longest = self._engine.orchestrator_settings.max_pending_seconds
        old_enough = [
            record for record in records if now is None or record.state.status is not Status.PENDING or now - record.state.since > longest
        ]
        reason = f"its runner {runner_id} is gone: {reason}"
        return self._move(old_enough, lambda record: self._recovered(record, suspects, reason))

    def _suspects(self, runner_id: str, running: Sequence[str]) -> frozenset[str]:
        """Return all that ran in a process when it died, also if another sweep has recovered some of it already."""
        if not running:
            return frozenset()
        state = self._engine.state
        state.put_value(_DEATHS, runner_id, msgspec.json.encode(running), if_absent=True, ttl=_REMEMBER)
        known = state.get_values(_DEATHS, [runner_id]).get(runner_id)
        return frozenset(_names(known) if known else ()) | frozenset(running)

    def _recovered(self, record: InvocationRecord, suspects: Collection[str], reason: str) -> Change:
        ran = record.state.status is Status.RUNNING
        into = Status.PENDING_RECOVERY if record.state.status is Status.PENDING else Status.RUNNING_RECOVERY
        signal = record.side.signal
        if signal is not None and signal.kind is SignalKind.CANCEL:
            return change(record, (into, Status.CANCELLED), by=self._by, reason=signal.reason or reason)
        if not ran:
            return change(record, (into, Status.REROUTED), by=self._by, reason=reason)
        if len(suspects) > 1 and record.invocation_id in suspects:
            return change(record, (into, Status.REROUTED), by=self._by, reason=reason, suspect=True)
        if record.state.crashes + 1 >= self._engine.orchestrator_settings.max_crashes:
            reason = f"crashed its worker {record.state.crashes + 1} times; the last time: {reason}"
            self._engine.logger.warning("invocation %s is quarantined: %s", record.invocation_id, reason)
            return change(record, (into, Status.QUARANTINED), by=self._by, reason=reason, crashes=1)
        return change(record, (into, Status.REROUTED), by=self._by, reason=reason, crashes=1)

    def _unstrand(self) -> int:
        stranded = self._pages(Query(statuses=_STRANDED))
        return self._move(stranded, lambda record: self._rerouted(record, "left behind between two steps"))

    def _unpark(self, alive: Collection[str], now: float) -> int:
        parked = list(self._pages(Query(statuses=_PARKED)))
        if not parked:
            return 0
        announced = self._engine.state.get_values(_KNOWN_TASKS, alive).values()
        known = {task for tasks in announced for task in _names(tasks)}
        longest = self._engine.orchestrator_settings.max_parked_hours * 3600

        def move(record: InvocationRecord) -> Change:
            if record.invocation.task_id in known:
                return self._rerouted(record, "a living runner knows its task")
            return change(record, (Status.QUARANTINED,), by=self._by, reason=f"no runner knew its task for {longest / 3600:g} h")

        return self._move([each for each in parked if each.invocation.task_id in known or now - each.state.since > longest], move)

    def _wake_limited(self) -> int:
        """Reroute who waits although all its limits have room, lowest rank first: normally the release of a slot does it."""
        waiting = sorted(self._pages(Query(statuses=_LIMITED)), key=lambda record: record.rank)
        if not waiting:
            return 0
        taken = Counter(self._engine.state.holders({limit.key for record in waiting for limit in record.invocation.limits}))
        free: list[InvocationRecord] = []
        for record in waiting:
            limits = record.invocation.limits
            if full_limit(limits, taken.__getitem__) is None:
                taken.update({limit.key for limit in limits})  # so that no more are woken than there is room for
                free.append(record)
        return self._move(free, lambda record: self._rerouted(record, "its limits have room"))

    def _rerouted(self, record: InvocationRecord, reason: str) -> Change:
        return change(record, (Status.REROUTED,), by=self._by, reason=reason)

    def _move(self, records: Iterable[InvocationRecord], how: Callable[[InvocationRecord], Change]) -> int:
        """Move records on; return how many. One that cannot be moved on is logged and does not stop the others."""
        moving = iter(records)
        return sum(self._move_page(page, how) for page in iter(lambda: list(islice(moving, _PAGE)), []))

    def _move_page(self, page: Sequence[InvocationRecord], how: Callable[[InvocationRecord], Change]) -> int:
        try:
            return sum(refusal is None for refusal in self._engine.settle([how(record) for record in page]))
        except BackendUnavailableError:
            raise
        except Exception:
            if len(page) == 1:
                self._engine.logger.exception("invocation %s cannot be recovered; it is passed over", page[0].invocation_id)
                return 0
        return sum(self._move_page([record], how) for record in page)

    def _tolerant(self, what: str, step: Callable[[], int]) -> int:
        try:
            return step()
        except BackendUnavailableError:
            raise
        except Exception:
            self._engine.logger.exception("%s failed; it is tried again in the next one", what)
            return 0

    def _pages(self, query: Query) -> Iterator[InvocationRecord]:
        """Yield what the query fits; around a record that cannot be read, from both ends."""
        unread = yield from self._from_one_end(query, newest_first=False)
        if unread is not None:
            self._engine.logger.error("a record that a sweep came to cannot be read; it is passed over", exc_info=unread)
            yield from self._from_one_end(query, newest_first=True)

    def _from_one_end(self, query: Query, *, newest_first: bool) -> Generator[InvocationRecord, None, Exception | None]:
        edge, limit, find = "", _PAGE, self._engine.state.find
        while True:
            try:
                ends = {"before": edge} if newest_first else {"after": edge}
                page = find(query, **ends, limit=limit, newest_first=newest_first)
            except BackendUnavailableError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a store raises over what it cannot read
                if limit == 1:
                    return error
                limit = 1
                continue
            yield from page
            if len(page) < limit:
                return None
            edge = page[-1].invocation_id


def _present(engine: Engine) -> frozenset[Status]:
    """Return in which of the statuses that are looked at there is anything: one call, which is all that a turn costs an idle system."""
    try:
        return frozenset(status for status, count in engine.state.count(Query(statuses=_MAY_NEED_HELP)).items() if count)
    except BackendUnavailableError:
        raise
    except Exception:
        engine.logger.exception("what a sweep has to look at cannot be counted; it looks at everything")
        return _MAY_NEED_HELP


def _names(data: bytes) -> list[str]:
    """Return the names in a stored list; none of one that cannot be read."""
    try:
        return msgspec.json.decode(data, type=list[str])
    except msgspec.DecodeError:
        return []


def announce_tasks(engine: Engine, runner_id: str) -> None:
    """Tell which tasks a runner knows, and bring back what was parked for want of one of them."""
    engine.state.put_value(_KNOWN_TASKS, runner_id, msgspec.json.encode(sorted(engine.tasks.ids)), ttl=30 * 24 * 3600.0)
    parked = engine.state.find(Query(statuses=frozenset({Status.PARKED})), limit=_PAGE)
    reason = "a runner that knows its task has started"
    known = [record for record in parked if record.invocation.task_id in engine.tasks.ids]
    if changes := [change(record, (Status.REROUTED,), by=runner_id, reason=reason) for record in known]:
        engine.settle(changes)
