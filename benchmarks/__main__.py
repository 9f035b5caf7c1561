"""Measures what design section 8 budgets, each figure beside its floor in the same run: `python benchmarks [--json FILE] [--quick]`."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import attrs

sys.path.insert(0, str(Path(__file__).parent))

import fleet
import floors

_REPEATS = 3
_POOL = "persistent-process"


@attrs.define
class Row:
    """One figure: measured, its floor where it has one, and what it should be."""

    what: str
    value: float
    unit: str
    budget: float
    at_most: bool = False
    spread: float = 0.0
    floor: float | None = None
    ratio_budget: float | None = None

    @property
    def ratio(self) -> float | None:
        """The figure as a multiple of its floor."""
        return None if not self.floor else self.value / self.floor

    @property
    def kept(self) -> bool:
        """Whether the ratio is what it should be, or, without one, the figure itself."""
        if self.ratio is not None and self.ratio_budget is not None:
            return self.ratio <= self.ratio_budget if self.at_most else self.ratio >= self.ratio_budget
        return self.value <= self.budget if self.at_most else self.value >= self.budget


def median(measure: Callable[[], float], repeats: int = _REPEATS) -> tuple[float, float]:
    """Return the median of several runs and their relative spread."""
    values = [measure() for _ in range(repeats)]
    middle = statistics.median(values)
    return middle, (max(values) - min(values)) / middle


def _with_runner(runner: str, script: str, key: str, settings: dict[str, object]) -> float:
    with fleet.folder() as where:
        env = fleet.environment("sqlite:///bench.db", {"runner.num_processes": 2, **settings})
        with fleet.runner(runner, where, env):
            return fleet.client(script, where, env)[key]


def _drained(count: int, batch: int) -> float:
    with fleet.folder() as where:
        env = fleet.environment("sqlite:///bench.db", {"runner.num_processes": 2, "runner.settle_batch": batch})
        fleet.client(f"fill:{count}", where, env)
        with fleet.runner(_POOL, where, env):
            return fleet.client(f"drained:{count}", where, env)["drain"]


def drains(count: int) -> list[Row]:
    """Measure draining over SQLite with two processes, against bare scripts that make the same writes."""
    rows = []
    for batch, budget, share in ((1, 2500, 0.5), (8, 5000, None)):
        with fleet.folder() as where:
            floor = floors.sqlite_drain(where, count, batch)
        value, spread = median(partial(_drained, count, batch))
        rows.append(Row(f"SQLite: drain, settle_batch={batch}", value, "/s", budget, spread=spread, floor=floor, ratio_budget=share))
    value, spread = median(lambda: _with_runner(_POOL, f"drain:{count}", "drain", {}))
    rows.append(Row("SQLite: enqueue, drain and fetch at once, defaults", value, "/s", 0.0, spread=spread))
    return rows


def enqueues(count: int) -> list[Row]:
    """Measure registering with nobody to run it."""
    rows = []
    with fleet.folder() as where:
        env = fleet.environment("sqlite:///bench.db", {})
        found = [fleet.client(f"enqueue:{count}", where, env) for _ in range(_REPEATS)]
        for key, batch in (("one", 1), ("batch", 500)):
            floor = floors.sqlite_enqueue(where, count, batch)
            value = statistics.median(each[key] for each in found)
            rows.append(Row(f"SQLite: enqueue in batches of {batch}", value, "/s", 0.0, floor=floor, ratio_budget=0.2))
    return rows


def latencies() -> list[Row]:
    """Measure enqueue to result on an idle system, across processes."""
    with fleet.folder() as where:
        floor = floors.sqlite_round_trip(where, 300)
        env = fleet.environment("sqlite:///bench.db", {"runner.num_processes": 2})
        with fleet.runner(_POOL, where, env):
            found = fleet.client("latency:500", where, env)
    rows = [Row("SQLite: enqueue to result, p50", found["p50"], "ms", 1.5, at_most=True, floor=floor, ratio_budget=2.5)]
    rows.append(Row("SQLite: enqueue to result, p99", found["p99"], "ms", float("inf"), at_most=True))
    return rows


def fan_ins() -> list[Row]:
    """Measure ten parents that each wait inside the task for a hundred children."""
    value, spread = median(lambda: _with_runner(_POOL, "fan_in:10:100", "seconds", {}))
    return [Row("SQLite: 10 parents wait for 100 children each", value, "s", 0.75, at_most=True, spread=spread)]


def coroutines(count: int) -> list[Row]:
    """Measure the asyncio runner: one process, over SQLite."""
    with fleet.folder() as where:
        env = fleet.environment("sqlite:///bench.db", {})
        with fleet.runner("asyncio", where, env):
            found = [fleet.client(f"coroutines:{count}", where, env) for _ in range(_REPEATS)]
    drain, rest, join = (statistics.median(each[key] for each in found) for key in ("drain", "rest", "join"))
    return [
        Row("asyncio over SQLite: enqueue, drain and fetch, all at once", drain, "/s", 1000),
        Row("asyncio over SQLite: 100 coroutines wait 1 s each", rest, "s", 1.25, at_most=True),
        Row("asyncio over SQLite: 10 parents wait for 100 children each", join, "s", 1.5, at_most=True),
    ]


def memories(count: int) -> list[Row]:
    """Measure the memory backend with the thread runner in one process."""
    with fleet.folder() as where:
        env = fleet.environment("memory://", {})
        found = [fleet.client(f"in_process:{count}", where, env) for _ in range(_REPEATS)]
    drain = statistics.median(each["drain"] for each in found)
    p50 = statistics.median(each["p50"] for each in found)
    pool, trip = floors.thread_pool(count), floors.thread_round_trip(2000)
    return [
        Row("memory: drain, one process", drain, "/s", 8000, floor=pool, ratio_budget=0.15),
        Row("memory: enqueue to result, p50", p50, "ms", 0.2, at_most=True, floor=trip),
    ]


def starts() -> list[Row]:
    """Measure imports, help and the start of a worker."""

    def run(*arguments: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        return (time.perf_counter() - began) * 1000

    bare = median(lambda: run("-c", "pass"), 7)[0]
    imported, spread = median(lambda: run("-c", "import pynenc_core"), 7)
    helped = median(lambda: run("-m", "pynenc_core.cli", "--help"), 7)[0]
    with fleet.folder() as where:
        env = fleet.environment("sqlite:///bench.db", {"runner.num_processes": 1})
        began = time.perf_counter()
        with fleet.runner(_POOL, where, env):
            fleet.client("ready", where, env)
            ready = (time.perf_counter() - began) * 1000
    return [
        Row("import pynenc_core over bare Python", imported - bare, "ms", 90, at_most=True, spread=spread),
        Row("pynenc --help", helped, "ms", 250, at_most=True),
        Row("runner and worker from nothing to the first result, SQLite", ready, "ms", 1200, at_most=True),
    ]


def idling(seconds: float) -> list[Row]:
    """Measure what an idle runner with one worker costs."""
    with fleet.folder() as where:
        env = fleet.environment("sqlite:///bench.db", {"runner.num_processes": 1})
        with fleet.runner(_POOL, where, env) as process:
            fleet.client("ready", where, env)
            fleet.settle_down(2)
            before, _ = fleet.tree_cpu_and_memory(process)
            fleet.settle_down(seconds)
            after, mebibytes = fleet.tree_cpu_and_memory(process)
    return [
        Row("SQLite: idle runner with a worker, CPU", (after - before) / seconds * 100, "% of a core", 1.0, at_most=True),
        Row("SQLite: resident memory of a process, idle", mebibytes, "MiB", 45, at_most=True),
    ]


def growing(count: int) -> list[Row]:
    """Measure the cost of a task with many invocations stored, against few."""
    with fleet.folder() as where:
        env = fleet.environment("sqlite:///bench.db", {"runner.num_processes": 2, "runner.settle_batch": 8})
        with fleet.runner(_POOL, where, env):
            few = fleet.client("drain:3000", where, env)["drain"]
            fleet.client(f"stored:{count}", where, env)
            many = fleet.client("drain:3000", where, env)["drain"]
    return [Row(f"SQLite: cost of a task with {count:,} stored, against 1,000", few / many, "x", 1.15, at_most=True)]


def show(rows: list[Row]) -> None:
    """Print the table."""
    print(f"{'what':62} {'measured':>12} {'floor':>10} {'ratio':>6} {'should be':>16}")
    for row in rows:
        sign = "<=" if row.at_most else ">="
        should = f"{sign} {row.ratio_budget:g} x" if row.ratio_budget and row.floor else f"{sign} {row.budget:g} {row.unit}"
        floor = "" if row.floor is None else f"{row.floor:,.2f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        note = "" if row.kept else "   MISSED"
        spread = f" ±{row.spread:.0%}" if row.spread else ""
        print(f"{row.what:62} {row.value:>10,.2f}{row.unit:>3}{spread:6} {floor:>10} {ratio:>6} {should:>16}{note}")


def main() -> None:
    """Measure everything, or what is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that all of it works")
    parser.add_argument("only", nargs="*", help="drains enqueues latencies fan_ins coroutines memories starts idling growing")
    given = parser.parse_args()
    count, stored, idle = (1000, 2000, 3.0) if given.quick else (10_000, 200_000, 20.0)
    measures: dict[str, Callable[[], list[Row]]] = {
        "starts": starts,
        "memories": lambda: memories(count),
        "enqueues": lambda: enqueues(count),
        "drains": lambda: drains(count),
        "latencies": latencies,
        "fan_ins": fan_ins,
        "coroutines": lambda: coroutines(count),
        "idling": lambda: idling(idle),
        "growing": lambda: growing(stored),
    }
    load = os.getloadavg()[0]
    rows = [row for name, measure in measures.items() if not given.only or name in given.only for row in measure()]
    show(rows)
    print(f"load before: {load:.2f}, {os.cpu_count()} CPUs, Python {sys.version.split()[0]}; medians of {_REPEATS} runs")
    if given.json:
        figures = [{**attrs.asdict(row), "ratio": row.ratio, "kept": row.kept} for row in rows]
        given.json.write_text(json.dumps({"load": load, "figures": figures}, indent=1))


if __name__ == "__main__":
    main()
