"""What design section 8 budgets of the stores: their writes, their floors, their growth, whoever runs the tasks."""

from __future__ import annotations

import statistics
from functools import partial

import attrs
import fleet
import floors
from table import REPEATS, Row, median

POOL = "persistent-process"
URL = "sqlite:///bench.db"


@attrs.frozen
class Store:
    """Where the tasks of a benchmark are, and what is budgeted of a worker over it."""

    name: str
    url: str
    resident: float
    """MiB of an idle one."""
    ready: float
    """Milliseconds until one that was spawned asks for work."""


SQLITE = Store("SQLite", URL, 45, 400)


def _drained(count: int, batch: int) -> float:
    with fleet.folder() as where:
        env = fleet.environment(URL, {"runner.num_processes": 2, "runner.settle_batch": batch})
        fleet.client(f"fill:{count}", where, env)
        with fleet.runner(POOL, where, env):
            return fleet.client(f"drained:{count}", where, env)["drain"]


def drains(count: int) -> list[Row]:
    """Measure draining over SQLite with two processes, against bare scripts that make the same writes."""
    rows = []
    for batch, budget, share in ((1, 2500, 0.5), (8, 5000, None)):
        with fleet.folder() as where:
            floor = floors.sqlite_drain(where, count, batch)
        value, spread = median(partial(_drained, count, batch))
        rows.append(Row(f"SQLite: drain, settle_batch={batch}", value, "/s", budget, spread=spread, floor=floor, ratio_budget=share))
    return rows


def enqueues(count: int) -> list[Row]:
    """Measure registering with nobody to run it."""
    rows = []
    with fleet.folder() as where:
        env = fleet.environment(URL, {})
        found = [fleet.client(f"enqueue:{count}", where, env) for _ in range(REPEATS)]
        for key, batch in (("one", 1), ("batch", 500)):
            floor = floors.sqlite_enqueue(where, count, batch)
            value = statistics.median(each[key] for each in found)
            rows.append(Row(f"SQLite: enqueue in batches of {batch}", value, "/s", floor=floor, ratio_budget=0.2))
    return rows


def growing(count: int) -> list[Row]:
    """Measure the cost of a task with many invocations stored, against few."""
    with fleet.folder() as where:
        env = fleet.environment(URL, {"runner.num_processes": 2, "runner.settle_batch": 8})
        with fleet.runner(POOL, where, env):
            few = fleet.client("drain:3000", where, env)["drain"]
            fleet.client(f"stored:{count}", where, env)
            many = fleet.client("drain:3000", where, env)["drain"]
    return [Row(f"SQLite: cost of a task with {count:,} stored, against 1,000", few / many, "x", 1.15, at_most=True)]
