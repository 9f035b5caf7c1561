"""Measures one peer in its own environment, by the standard library alone, and prints JSON: `python measure.py MODULE WORKERS COUNT`."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

_STOPS_WITHIN = 20.0  # seconds
_STARTS_WITHIN = 60.0
_WARM = 50


class Workers:
    """A peer's workers, in sessions of their own; what they say is in `workers.log`."""

    def __init__(self, commands: list[list[str]]) -> None:
        with Path("workers.log").open("wb") as log:
            self._started = [subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True) for command in commands]

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to each process of theirs, those that they have started before them included."""
        pids = [worker.pid for worker in self._started]
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, number)
                tasks = Path(f"/proc/{pid}/task").iterdir()
                pids += [int(child) for task in tasks for child in (task / "children").read_text().split()]

    def end(self) -> None:
        """Ask them to stop, and kill who does not."""
        for worker in self._started:
            worker.send_signal(signal.SIGTERM)
        for worker in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(_STOPS_WITHIN)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


def checked(jobs: Any, sent: list[Any], numbers: range, look: float) -> list[list[float]]:
    """Return the results when all are there; a wrong answer has no speed."""
    found: list[list[float]] = jobs.fetch(sent, look)
    if [each[0] for each in found] != list(numbers):
        raise SystemExit("the results are not those of the tasks")
    return found


def warm(jobs: Any) -> None:
    """Return when two processes have run something, and the client has its connection and code."""
    ends, seen = time.monotonic() + _STARTS_WITHIN, set[float]()
    while len(seen) < 2:
        if time.monotonic() > ends:
            raise SystemExit("two processes were to work, and one does")
        seen |= {each[2] for each in checked(jobs, jobs.enqueue(range(_WARM)), range(_WARM), 0.05)}


def drained(found: list[list[float]]) -> float:
    """Return tasks a second, without the first of them."""
    ran = sorted(each[1] for each in found)
    first = len(ran) // 20
    return (len(ran) - 1 - first) / (ran[-1] - ran[first])


def round_trips(jobs: Any, count: int) -> list[float]:
    """Return the milliseconds that single tasks took from call to result, one after the other."""
    taken = []
    for number in range(count):
        began = time.perf_counter()
        checked(jobs, jobs.enqueue(range(number, number + 1)), range(number, number + 1), 0.001)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def main() -> None:
    """Enqueue while the workers are held, let them work it off, fetch; then one by one."""
    module, kind, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    jobs = importlib.import_module(module)
    workers = Workers(jobs.WORKERS[kind])
    try:
        warm(jobs)
        workers.signal_all(signal.SIGSTOP)
        began = time.perf_counter()
        sent = jobs.enqueue(range(count))
        enqueued = count / (time.perf_counter() - began)
        workers.signal_all(signal.SIGCONT)
        jobs.fetch(sent[-1:], 0.05)  # what waits for one result disturbs less than what asks for all
        drain = drained(checked(jobs, sent, range(count), 0.05))
        taken = round_trips(jobs, max(20, count // 20))
    finally:
        workers.signal_all(signal.SIGCONT)
        workers.end()
    versions = [f"{name} {version(name)}" for name in jobs.DISTRIBUTIONS]
    print(json.dumps({"enqueue": enqueued, "drain": drain, "p50": statistics.median(taken), "versions": versions}))


if __name__ == "__main__":
    main()
