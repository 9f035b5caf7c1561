"""One scenario: a project, its runners, what was accepted, and the line that says what became of it."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from faults.checker import Checker, Judgement
from faults.fleet import PATIENCE, Fleet
from faults.ledger import Ledger
from faults.project import Project
from faults.runners import KINDS, Kind
from faults.stores import Store
from pynenc_core.invocation import Invocation
from pynenc_core.model import InvocationRecord
from pynenc_testkit.stores import eventually

START = 0.6
"""Seconds in which a runner starts on a machine that has nothing else to do, and some more."""
WORKER_START = 0.3
"""The same of a process that only imports what a worker does."""
REPORT_VARIABLE = "PYNENC_TEST_REPORT"
"""Names a file to which each scenario's line is appended, besides being printed at the end of the run."""
LINES: list[str] = []
"""The lines of this run."""


class Coroutines:
    """The tasks of a project, coroutines where there are some that do the same as a plain function."""

    def __init__(self, jobs: Any) -> None:
        self._jobs = jobs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, f"co_{name}", None) or getattr(self._jobs, name)


class Scenario:
    """What the tests of this folder are made of; a context, at whose end no process is left."""

    def __init__(self, name: str, runner: str, store: Store, project: Project, seed: int = 0) -> None:
        self.name = name
        self.runner = runner
        self.store = store
        self.seed = seed
        self.project = project
        self.fleet = Fleet(project)
        self.ledger = Ledger(project.folder)
        self.checker = Checker(project.app.state_backend)
        self.accepted: list[Invocation[Any]] = []
        self._began = time.monotonic()
        self._reported = False
        self._probed = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.fleet.__exit__(kind, error, traceback)
        if not self._reported:
            self._report(ok=False, error=repr(error)[:200])

    @property
    def jobs(self) -> Any:
        """The module with the tasks."""
        kind = KINDS.get(self.runner)  # a scenario of several runners has the name of none
        return Coroutines(self.project.jobs) if kind is not None and kind.coroutines else self.project.jobs

    @property
    def kind(self) -> Kind:
        """The runner, and what is special about it."""
        return KINDS[self.runner]

    @property
    def strain(self) -> float:
        """How much slower than promised runners start here, at least 1: others use the machine as well, and times stretch by as much."""
        return max(1.0, self.fleet.slowest_start / START, self._probed / WORKER_START)

    @property
    def ids(self) -> list[str]:
        """The ids of everything accepted."""
        return [invocation.invocation_id for invocation in self.accepted]

    def accept(self, invocations: Iterable[Invocation[Any]]) -> list[Invocation[Any]]:
        """Note that these were registered: none of them may be lost."""
        new = list(invocations)
        self.accepted += new
        return new

    def wait_until_final(self, timeout: float = PATIENCE) -> None:
        """Wait until everything accepted is final; AssertionError saying what is not."""
        _, waiting = self.project.app.wait(self.accepted, timeout=timeout)
        left = [(each.invocation_id, str(each.status)) for each in waiting[:10]]
        assert not waiting, f"{len(waiting)} of {len(self.accepted)} are not final after {timeout:g} s: {left}"

    def record(self, invocation: Invocation[Any]) -> InvocationRecord:
        """Return the record as it is stored now."""
        return self.project.app.orchestrator.record(invocation.invocation_id)

    def when(self, invocation: Invocation[Any], *statuses: str, timeout: float = PATIENCE) -> InvocationRecord:
        """Wait until the invocation is in one of the statuses, and return its record."""
        eventually(lambda: self.record(invocation).state.status in statuses, f"one of {statuses}", timeout)
        return self.record(invocation)

    def finish(self, *, extra: int = 0, recovery: float = math.inf, requeued: float = math.inf, **more: object) -> Judgement:
        """Stop what still runs, judge, write the line, and insist on it.

        `extra` bounds the effects that may have happened again, `recovery` the seconds, on an idle machine, within which 99 %
        of what the killed ran runs again, `requeued` those within which it waits for a runner again.
        """
        codes = self.fleet.stop_all()
        leaked = self.fleet.leaked()
        found = self.checker.judge(self.ids, self.ledger.by_invocation(), self.fleet.kills)
        in_time = self._in_time(found, recovery, requeued)
        ok = not (found.lost or found.overlaps or found.flips or leaked or any(codes)) and found.duplicated <= extra and in_time
        said = self._report(
            ok=ok,
            lost=found.lost,
            duplicated=found.duplicated,
            overlaps=found.overlaps,
            flips=found.flips,
            leaked=len(leaked),
            recovery_p99=round(found.recovery_p99, 3),
            requeued_p99=round(found.requeued_p99, 3),
            recoveries=len(found.recovery),
            kills=len(self.fleet.kills),
            strain=round(self.strain, 1),
            **more,
        )
        assert ok, (
            f"{said}; exit codes {codes}, allowed: {extra} effects more, recovery within {recovery} s, queued again within {requeued} s\n"
            + "\n".join(self._life(each) for each in self._worst())
        )
        return found

    def _worst(self) -> list[str]:
        """Return the ids of a few whose lives may say what went wrong: the not final ones, or else those with effects far apart."""
        effects = self.ledger.by_invocation()
        lost = [each for each in self.ids if not self.project.app.orchestrator.record(each).state.final]
        return lost[:3] or sorted(effects, key=lambda each: effects[each][0].at - effects[each][-1].at)[:3]

    def _life(self, invocation_id: str) -> str:
        """Return the history and the effects of one, in lines."""
        began = self.fleet.began
        steps = [
            (
                entry.at - began,
                f"{entry.status_record.status} {entry.status_record.runner_id}/{entry.status_record.claim} {entry.status_record.reason}",
            )
            for entry in self.project.app.get_invocation(invocation_id).history
        ]
        steps += [
            (line.at - began, f"effect in {line.pid} {line.runner}/{line.claim}")
            for line in self.ledger.by_invocation().get(invocation_id, ())
        ]
        steps += [(at - began, f"kill of {pid}") for pid, at in self.fleet.kills.items()]
        return "\n".join([invocation_id, *(f"  {at:8.3f} {what}" for at, what in sorted(steps))])

    def look_at_strain(self) -> float:
        """Measure once more how fast a process starts, now; return the strain."""
        self._probed = max(self._probed, self.fleet.probe_start())
        return self.strain

    def _in_time(self, found: Judgement, recovery: float, requeued: float) -> bool:
        if found.recovery_p99 > recovery * self.strain or found.requeued_p99 > requeued * self.strain:
            self.look_at_strain()
        return found.recovery_p99 <= recovery * self.strain and found.requeued_p99 <= requeued * self.strain

    def conclude(self, leaked: Sequence[int] = (), **more: object) -> None:
        """Write the line of a scenario in which nothing was accepted."""
        self._report(ok=not leaked, leaked=len(leaked), **more)
        assert not leaked

    def _report(self, **values: object) -> str:
        """Write the line, unless no runner has anything to do with it; return it."""
        self._reported = True
        seconds = round(time.monotonic() - self._began, 2)
        line = {"id": self.name, "backend": self.store.name, "runner": self.runner, "seed": self.seed, **values, "seconds": seconds}
        text = json.dumps(line)
        if self.runner:
            LINES.append(text)
            if path := os.environ.get(REPORT_VARIABLE):
                with Path(path).open("a", encoding="utf-8") as report:
                    report.write(text + "\n")
        return text
