"""A runner that gives each invocation a process of its own, and stops the process while the invocation waits for others."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import ClassVar

from pynenc_core.errors.base import PynencError
from pynenc_core.model import ChildReport, RunnerContext, Signal
from pynenc_core.ports.children import Child
from pynenc_core.ports.control import REPORT, Hold, Report
from pynenc_core.ports.forking import ForkServer
from pynenc_core.ports.workers_runner import WorkersRunner
from pynenc_runner_process.member import Member, Members, Phase

_MOST_WAITING = 64  # processes; spec section 4
_ENDS_WITHIN = 0.5  # seconds after its last word; a process that then still lives can neither be told anything nor tell anything


class ProcessRunner(WorkersRunner):
    """Runs up to `num_processes` invocations at once, each in a process that is forked for it and ends with it.

    The processes come from a server that has the core and the plugins loaded, with `preload_app` the app as well; one is
    always ready before there is work for it. While an invocation waits for others its process is stopped by a signal and
    takes no slot.
    """

    worker_class_name: ClassVar[str] = "ProcessWorker"
    not_pickled: ClassVar[frozenset[str]] = WorkersRunner.not_pickled | {"_members", "_resuming", "_said", "_requests", "_forks", "_waits"}

    @property
    def max_parallel_slots(self) -> int:
        """`num_processes`, or the number of CPUs where that is 0; never fewer than `min_parallel_slots`."""
        return max(self.conf.num_processes or os.cpu_count() or 1, self.conf.min_parallel_slots)

    def _begin_without_workers(self) -> None:
        super()._begin_without_workers()
        self._members = Members()
        self._resuming: deque[tuple[Member, int, tuple[str, ...]]] = deque()
        self._said: SimpleQueue[tuple[str, Report]] = SimpleQueue()
        self._requests: SimpleQueue[Signal] = SimpleQueue()
        self._most_waiting = min(self.conf.max_paused_per_worker, _MOST_WAITING)
        self._may_find_work = True
        self._ends_at = 0.0
        self._forks = ForkServer(lambda: self.app.fork_server_command(self.runner_context), lambda: self.stops_asked > 0)
        self._waits = self.app.orchestrator.open_stopped_waits(self.runner_id, tell=self.wake)

    def _on_start(self) -> None:
        self._begin_without_workers()
        self._forks.open()
        self._fill_up()

    def runner_loop_iteration(self) -> None:
        """Wait for work, for a process that says something or ends, or for somebody who wakes this runner; then see to it."""
        self._rest()
        self._see_to_processes()
        self._fill_up()
        self._claim()

    def _rest(self) -> None:
        """Block until there is something to do."""
        delay = self._starts.delay  # nothing tells when processes may be started again
        timeout = min(self.conf.idle_claim_timeout_sec, delay if delay > 0.0 else float("inf"))
        if not self._can_claim():
            self.pause(timeout)
        elif not self._may_find_work:
            self._may_find_work = self.app.orchestrator.await_work(timeout)

    def _see_to_processes(self) -> None:
        self._listen()
        self._bury()
        self._resume()

    def _can_claim(self) -> bool:
        free = self.running and self._members.running < self.max_parallel_slots and not self._resuming  # who goes on comes first
        return free and self.duties.may_claim and self._members.ready is not None

    # New processes, and work for them.

    def _fill_up(self) -> None:
        """Keep processes for what may come: one for each free slot, and always one."""
        while self.running and self._starts.delay <= 0.0:
            if self._members.spare >= max(1, self.max_parallel_slots - self._members.running) or self._spawn() is None:
                return

    def _start(self, context: RunnerContext) -> Child:
        _, first_line = self.app.worker_command(context, 0)  # no slots: it runs what it is given
        child = Child(context, self._forks.fork, first_line, ended=self.wake)
        self._members[child.runner_id] = Member(child)
        threading.Thread(target=self._hear, args=(child,), name=f"pynenc-hear-{child.process.pid}", daemon=True).start()
        return child

    def _claim(self) -> None:
        """Give ready processes work while there are slots and there is some."""
        while self._may_find_work and self._can_claim() and (member := self._members.ready):
            awaited_only = self._members.held >= max(1, self._most_waiting // 4)
            context = member.child.context
            claimed = self.app.orchestrator.get_invocations_to_run(1, context, isolated=True, awaited_only=awaited_only)
            self._may_find_work = bool(claimed)
            for record in claimed:
                member.run(record)

    # What processes say, and what they are told.

    def _hear(self, child: Child) -> None:
        while lines := child.lines():
            for each in lines:
                self._said.put((child.runner_id, REPORT.decode(each)))
            self.wake()
        if not child.wait(_ENDS_WITHIN):
            child.kill()

    def _listen(self) -> None:
        while not self._said.empty():
            runner_id, report = self._said.get()
            member = self._members.get(runner_id)
            if member is None:
                continue
            if report.ready and member.phase is Phase.LOADING:
                member.phase = Phase.READY
            if report.hold is not None:
                self._hold(member, report.hold)
            if report.goes_on in member.holds:
                del member.holds[report.goes_on]
                self._waits.drop(runner_id, report.goes_on)
        while not self._requests.empty():
            asked = self._requests.get()
            for member in [each for each in self._members.values() if each.invocation_id == asked.invocation_id]:
                member.deliver(asked)

    def _hold(self, member: Member, hold: Hold) -> None:
        if not member.held and self._members.held >= self._most_waiting:
            member.resume(hold.number, (), refused_above=self._most_waiting)
            return
        member.hold(hold)
        self._waits.add(member.child.runner_id, member.invocation_id, hold)

    def _resume(self) -> None:
        """Let those go on whose waits are over, in that order, each when there is a slot for it."""
        for runner_id, number, arrived in self._waits.take_over():
            if runner_id in self._members:
                self._resuming.append((self._members[runner_id], number, arrived))
        while self._resuming:
            member, number, arrived = self._resuming[0]
            is_last = len(member.holds) == 1  # until then the invocation stays PAUSED, whatever else runs in it
            if number in member.holds and is_last and self._members.running >= self.max_parallel_slots:
                return
            self._resuming.popleft()
            if number in member.holds and member.child.alive:
                member.resume(number, arrived)
                if not self.running:
                    member.end(max(0.0, self._ends_at - time.monotonic()))

    def _deliver(self, signals: Sequence[Signal]) -> None:
        for each in signals:
            self._requests.put(each)
        if signals:
            self.wake()

    # The dead, and the end.

    def _bury_one(self, worker: Child) -> ChildReport:
        report = super()._bury_one(worker)
        self._waits.drop(worker.runner_id)
        del self._members[worker.runner_id]
        return report

    def _on_stop_runner_loop(self) -> None:
        self._ends_at = time.monotonic() + self.conf.grace_period_sec
        for member in self._members.values():
            if not member.held:
                member.end(self.conf.grace_period_sec)

    def _still_runs(self) -> bool:
        """Return whether anything runs; what waits for others is not waited for then, since it might wait for ever."""
        with suppress(PynencError):  # the store is away: what is dead then is looked at once more at the end
            self._see_to_processes()
            if not self._anything_runs():  # the last one to end may be what another waits for, and the news of it on the way
                self._waits.look()
                self._see_to_processes()
        return self._anything_runs()

    def _anything_runs(self) -> bool:
        return any(member.child.alive and not member.held for member in self._members.values())

    def _bury_the_last(self) -> None:
        for member in [member for member in self._members.values() if member.held and member.child.alive]:
            self.logger.info("invocation %s waits for others and is handed back", member.invocation_id)
            self._end(member.child, self.app.orchestrator.reroute_owned)
        super()._bury_the_last()
        self._waits.close()
        self._forks.close()  # after that also those are dead whose end it could not tell
        if self._workers:
            super()._bury_the_last()
