"""Claims and runs for runners that do it by themselves, one call at a time, instead of leaving it to an executor."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import attrs

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.model import Ask, Change, InvocationRecord, Query, RunnerContext
from pynenc_core.orchestration.current import Job, current_runner
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.executing.execution import Execution
from pynenc_core.orchestration.executing.holdings import unrunnable
from pynenc_core.orchestration.executing.overruns import Overruns
from pynenc_core.orchestration.executing.timeouts import TimeLimits
from pynenc_core.ports.gauge import Gauge
from pynenc_core.ports.transitions import change, raise_refusal
from pynenc_core.status import OWNED, Status

_SUSPECT_AGAIN = 1.0  # seconds for which a suspect is left to a runner that can run it alone
_TIDY_AT = 1000  # so many claims are remembered before those that are over are forgotten
_Claim = tuple[str, int]
"""An invocation and the number of its claim."""


class HandClaims:
    """Remembers what it has handed to each runner, so that what a lost reply would have brought can be told from that."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._runs = Execution(engine)
        self._limits = TimeLimits(engine.clock, Gauge())
        self._overruns = Overruns(engine, self._runs, self._limits, lambda outcome: engine.settle([outcome])[0], self._left_behind)
        self._unsettled: list[Change] = []
        """Outcomes that could not be written, as the store was away."""
        self._claiming = threading.Lock()
        """Held by whoever claims: what another claim brings and nobody knows of yet would pass for lost."""
        self._handed: set[_Claim] = set()
        self._doubts: dict[str, float] = {}
        """By runner: when to look next for what was claimed by a call whose reply was lost, on the monotonic clock."""
        self._next_due: float | None = None

    def get_invocations_to_run(
        self, limit: int, runner_context: RunnerContext, *, isolated: bool = False, awaited_only: bool = False
    ) -> tuple[InvocationRecord, ...]:
        """Claim up to `limit` invocations for this runner, already RUNNING; never blocks. Raises BackendUnavailableError.

        What was running beside others when their process died has to run alone next time. With `isolated` (nothing else
        runs, or will begin, in the process where each of them will run) such a suspect is started too, by a second write;
        without, it goes back, not to be claimed for a second. With `awaited_only` only what somebody waits for is claimed.
        """
        by = runner_context.runner_id
        ask = Ask(
            runner_id=by,
            limit=limit,
            start=limit,
            queues=self._engine.runner_settings.queues,
            known_tasks=self._engine.tasks.ids,
            awaited_only=awaited_only,
        )
        with self._claiming:
            self._settle_kept()
            self._clear_doubt(by)
            try:
                return self._claim(ask, isolated=isolated)
            except BaseException:
                self._doubts[by] = 0.0
                raise

    def _claim(self, ask: Ask, *, isolated: bool) -> tuple[InvocationRecord, ...]:
        reply = self._engine.dispatcher.claim(ask)
        begun = {record.invocation_id: record for record in reply.claimed if record.state.status is Status.RUNNING}
        rest = [record for record in reply.claimed if record.invocation_id not in begun]
        if rest:
            begun.update(self._start_or_set_aside(rest, ask.runner_id, isolated=isolated))
        self._next_due = reply.next_due if len(reply.claimed) < ask.limit else None
        self._handed.update((record.invocation_id, record.state.claim) for record in begun.values())
        if len(self._handed) >= _TIDY_AT:
            self._tidy_up()
        return tuple(begun[record.invocation_id] for record in reply.claimed if record.invocation_id in begun)

    def run_invocation(self, record: InvocationRecord, runner_context: RunnerContext) -> None:
        """Run one claimed invocation in this thread and settle its outcome; never raises what the task raised.

        At its hard limit it is told to end, and its outcome written if it does not; but nobody can take the thread from it.
        Raises BackendUnavailableError when the outcome cannot be written: it is kept, and goes with the next claim. Raises
        InvocationStatusOwnershipError when the invocation is somebody else's by now.
        """
        job = Job(record, runner_context, self._engine)
        if (definition := self._engine.tasks.get(record.invocation.task_id)) is not None:
            self._limits.allow(job, definition.options)
        outcome = self._runs.run(job, current_runner.get())
        self._limits.forget(job)
        if outcome is None:
            return
        try:
            (refusal,) = self._engine.settle([outcome])
        except BackendUnavailableError:
            self._unsettled.append(outcome)
            raise
        if refusal is not None:
            raise_refusal(self._engine.app_id, outcome, refusal)

    def _left_behind(self, job: Job, why: str) -> None:
        del job  # its thread is the runner's, who may be waiting for it
        self._engine.logger.warning("%s; it holds up the runner's thread until it returns", why)

    def _settle_kept(self) -> None:
        if kept := tuple(self._unsettled):
            self._engine.settle(kept)  # what is refused was written by the try whose reply was lost, or has another owner by now
            del self._unsettled[: len(kept)]

    def await_work(self, timeout: float) -> bool:
        """Block until there may be something to claim, or becomes due; False after `timeout` seconds. `wake` ends it at once."""
        due, self._next_due = self._next_due, None
        left = timeout if due is None else min(timeout, max(0.0, due - self._engine.state.now()))
        return self._engine.dispatcher.await_work(self._engine.runner_settings.queues, left) or left < timeout

    def _start_or_set_aside(self, records: Sequence[InvocationRecord], by: str, *, isolated: bool) -> dict[str, InvocationRecord]:
        """Move on what a claim has left PENDING, in one call; return what is RUNNING by it."""
        again = self._engine.state.now() + _SUSPECT_AGAIN
        changes = [self._next_of(record, by, again, isolated=isolated) for record in records]
        written = [refused is None for refused in self._engine.settle(changes)]
        return {
            record.invocation_id: attrs.evolve(record, state=attrs.evolve(record.state, status=Status.RUNNING, seq=record.state.seq + 1))
            for record, moved, done in zip(records, changes, written, strict=True)
            if done and moved.to is Status.RUNNING
        }

    def _next_of(self, record: InvocationRecord, by: str, again: float, *, isolated: bool) -> Change:
        """Return what becomes of a PENDING one: a suspect, or one that this process has no task for."""
        owner = record.state.owner
        if self._engine.tasks.get(record.invocation.task_id) is None:
            to, error = unrunnable(record, self._engine.app_id)
            self._engine.logger.warning("invocation %s is %s: %s", record.invocation_id, to.lower(), error)
            return change(record, (to,), by=by, owner=owner, reason=str(error))
        if isolated:
            return change(record, (Status.RUNNING,), by=by, owner=owner)
        through = (Status.REROUTED, Status.SCHEDULED)  # due later: whoever claims it next may be this very runner
        return change(record, through, by=by, owner=owner, due=again, reason="to run alone, as this runner cannot let it")

    def _clear_doubt(self, by: str) -> None:
        """Hand back what a lost reply would have brought; and once more a lease later: such a call may be carried out late."""
        look_at, clock = self._doubts.get(by), self._engine.clock
        if look_at is None or clock.monotonic() < look_at:
            return
        owned = self._engine.state.find(Query(runner_id=by, statuses=OWNED), limit=_TIDY_AT)
        lost = [record for record in owned if (record.invocation_id, record.state.claim) not in self._handed]
        if lost:
            self._engine.settle([_given_back(record, by) for record in lost])
            self._engine.logger.warning("%d invocations were claimed by a call whose reply was lost; handed back", len(lost))
        if look_at:
            del self._doubts[by]
        else:
            self._doubts[by] = clock.monotonic() + self._engine.lease

    def _tidy_up(self) -> None:
        """Forget the claims that are over."""
        found = self._engine.state.get({invocation_id for invocation_id, _ in self._handed})
        owned = {(one, record.state.claim) for one, record in found.items() if record.state.status in OWNED}
        self._handed &= owned


def _given_back(record: InvocationRecord, by: str) -> Change:
    through = (Status.REROUTED,) if record.state.status is Status.PENDING else (Status.KILLED, Status.REROUTED)
    return change(record, through, by=by, owner=record.state.owner, reason="never begun here")
