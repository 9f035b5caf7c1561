"""What design section 8 budgets of the runners: each that is installed, over each store that it can work with."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import fleet
import floors
from stores import SQLITE, URL, Store
from table import REPEATS, Row, median, median_of

from pynenc_core.plugins import PluginManager
from pynenc_core.plugins.kinds import RUNNER

only: set[str] = set()
"""The names of the runners to measure; all when it is empty."""
POOLS = ("persistent-process", "multi-thread")
"""Runners of long-lived processes: two of them are two processes with one slot each."""
TWO_SLOTS = {"runner.num_processes": 2, "runner.max_processes": 2}
ONE_WORKER = {"runner.num_processes": 1, "runner.max_processes": 1, "runner.max_threads": 1}
_EXAMPLE = "inline"  # runs one invocation at a time, in its loop
_FORKED = 60.0  # ms: what a start may cost where each invocation has its own process


def installed(*, in_process: bool = False) -> list[str]:
    """Return our installed runners, by name; with `in_process` those that work with a store of one process."""
    specs = [offer.spec for offer in PluginManager(environ={}).catalog.offers(RUNNER)]
    wanted = only or {spec.name for spec in specs} - {_EXAMPLE}
    return [spec.name for spec in specs if spec.name in wanted and (spec.mem_compatible or not in_process)]


def _settings(runner: str, **more: object) -> dict[str, object]:
    """Return the settings under which a runner has two slots, coroutines as many as it likes."""
    threads = {} if runner in POOLS else {"runner.max_threads": 2}
    return {**TWO_SLOTS, **threads, **more}


def _with_runner(store: Store, runner: str, script: str, key: str) -> float:
    with fleet.folder() as where:
        env = fleet.environment(store.url, _settings(runner))
        with fleet.runner(runner, where, env):
            return fleet.client(script, where, env)[key]


def drains(count: int) -> list[Row]:
    """Measure enqueueing, draining and fetching, all at once, with two slots."""
    rows = []
    for runner in installed():
        few = count // 50 if runner == "process" else count
        found = [_drained(runner, few) for _ in range(REPEATS)]
        drain, spread = median_of([each[0] for each in found])
        what = f"SQLite, {runner}: enqueue, drain and fetch at once"
        rows.append(Row(what, drain, "/s", spread=spread))
        rows.append(Row(f"{what}, CPU a task", statistics.median(each[1] for each in found), "ms"))
    return rows


def _drained(runner: str, count: int) -> tuple[float, float]:
    """Return tasks a second, and the milliseconds of CPU that each takes in all processes of the runner."""
    with fleet.folder() as where:
        env = fleet.environment(URL, _settings(runner))
        with fleet.runner(runner, where, env) as process:
            fleet.client("ready", where, env)
            before = fleet.cpu_of_all(process.pid)
            drain = fleet.client(f"burst:{count}", where, env)["drain"]
            return drain, (fleet.cpu_of_all(process.pid) - before) / count * 1000


def latencies(count: int) -> list[Row]:
    """Measure enqueue to result on an idle system, across processes."""
    rows = []
    with fleet.folder() as where:
        floor = floors.sqlite_round_trip(where, 300)
    for runner in installed():
        single = runner == "process"
        few = count // 10 if single else count
        with fleet.folder() as where:
            env = fleet.environment(URL, _settings(runner))
            with fleet.runner(runner, where, env):
                found = fleet.client(f"latency:{few}", where, env)
        what = f"SQLite, {runner}: enqueue to result, "
        budget, ratio = (_FORKED, None) if single else (1.5, 2.5)
        rows.append(Row(f"{what}p50", found["p50"], "ms", budget, at_most=True, floor=floor, ratio_budget=ratio))
        rows.append(Row(f"{what}p99", found["p99"], "ms"))
    return rows


def fan_ins(store: Store = SQLITE, most: float = 0.75) -> list[Row]:
    """Measure ten parents that each wait inside the task for a hundred children, in `most` seconds; each its own process: for ten."""
    rows = []
    for runner in installed():
        children, budget = (10, None) if runner == "process" else (100, most)
        value, spread = median(partial(_with_runner, store, runner, f"fan_in:10:{children}", "seconds"))
        rows.append(
            Row(f"{store.name}, {runner}: 10 parents wait for {children} children each", value, "s", budget, at_most=True, spread=spread)
        )
    return rows


def coroutines(count: int) -> list[Row]:
    """Measure the asyncio runner's own: one process, over SQLite."""
    with fleet.folder() as where:
        env = fleet.environment(URL, {})
        with fleet.runner("asyncio", where, env):
            found = [fleet.client(f"coroutines:{count}", where, env) for _ in range(REPEATS)]
    drain, rest, join = (statistics.median(each[key] for each in found) for key in ("drain", "rest", "join"))
    return [
        Row("SQLite, asyncio: coroutines, enqueue, drain and fetch at once", drain, "/s", 1000),
        Row("SQLite, asyncio: 100 coroutines wait 1 s each", rest, "s", 1.25, at_most=True),
        Row("SQLite, asyncio: 10 coroutines wait for 100 others each", join, "s", 1.5, at_most=True),
    ]


def memories(count: int) -> list[Row]:
    """Measure the memory backend, with each runner that works in one process."""
    rows = []
    pool, trip = floors.thread_pool(count), floors.thread_round_trip(2000)
    for runner in installed(in_process=True):
        with fleet.folder() as where:
            env = fleet.environment("memory://", {})
            found = [fleet.client(f"in_process:{count}:{runner}", where, env) for _ in range(REPEATS)]
        drain = statistics.median(each["drain"] for each in found)
        p50 = statistics.median(each["p50"] for each in found)
        budgets = (8000, 0.2, 0.15) if runner == "thread" else (None, None, None)
        rows.append(Row(f"memory, {runner}: drain, one process", drain, "/s", budgets[0], floor=pool, ratio_budget=budgets[2]))
        rows.append(Row(f"memory, {runner}: enqueue to result, p50", p50, "ms", budgets[1], at_most=True, floor=trip))
    return rows


def starts() -> list[Row]:
    """Measure imports, help, workers, and each runner from nothing to its first result."""

    def run(*arguments: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        return (time.perf_counter() - began) * 1000

    codes = ("pass", "import pynenc_core", "from pynenc_core import Pynenc")
    bare, imported, named = (min(run("-c", code) for _ in range(7)) for code in codes)  # the least: a difference of what others disturb
    helped = median(lambda: run("-m", "pynenc_core.cli", "--help"), 7)[0]
    rows = [
        Row("import pynenc_core over bare Python, least of 7", imported - bare, "ms", 90, at_most=True),
        Row("from pynenc_core import Pynenc over bare Python, least of 7", named - bare, "ms"),
        Row("pynenc --help", helped, "ms", 250, at_most=True),
        *workers(),
    ]
    for runner in installed():
        value, spread = median(partial(_first_result, runner))
        rows.append(Row(f"SQLite, {runner}: from nothing to the first result", value, "ms", 1200, at_most=True, spread=spread))
    return rows


def workers(store: Store = SQLITE) -> list[Row]:
    """Measure from the start of a worker until it has asked the store for work, or could run something."""
    rows = []
    for what, preload, budget in (("spawned", False, store.ready), ("forked", False, _FORKED), ("forked with preload_app", True, _FORKED)):
        with fleet.folder() as where:
            env = fleet.environment(store.url, {"runner.preload_app": preload})
            kind = what.partition(" ")[0]
            found = fleet.client(f"worker:{kind}", where, env)
        rows.append(Row(f"{store.name}: a worker {what}, ready", found["ready"], "ms", budget, at_most=True))
        rows.append(Row(f"{store.name}: a worker {what}, least of {int(found['of'])}", found["least"], "ms"))
        rows.append(Row(f"{store.name}: a worker {what}, its CPU time till then", found["cpu"], "ms"))
    return rows


def _first_result(runner: str) -> float:
    """Return the milliseconds until somebody who asks as soon as the runner has announced itself has a result."""
    with fleet.folder() as where:
        env = fleet.environment(URL, ONE_WORKER)
        fleet.client("touches", where, env)
        began = time.perf_counter()
        with fleet.runner(runner, where, env):
            fleet.wait_for(where / "ran")
            return (time.perf_counter() - began) * 1000


def idling(seconds: float, store: Store = SQLITE) -> list[Row]:
    """Measure what an idle runner costs, and one of whose tasks waits for another: each process of it by itself."""
    return [row for runner in installed() for waits in (False, True) for row in idle(runner, seconds, store, waits=waits)]


def idle(runner: str, seconds: float, store: Store, *, waits: bool) -> list[Row]:
    """Measure one runner that has nothing to do, or of which a task `waits`, for a while."""
    with fleet.folder() as where:
        env = fleet.environment(store.url, ONE_WORKER) | {"BENCH_CALLS": str(where / "calls")}
        with fleet.runner(runner, where, env) as process:
            fleet.client("waits" if waits else "ready", where, env)
            # only who was in contact with the store for a whole lease sees to what others have left
            fleet.settle_down(2 if seconds < 10 else 32)
            before, called = fleet.processes(process), _calls(where)
            fleet.settle_down(seconds)
            after, calls = fleet.processes(process), _calls(where)
    kind = "a task of it waits" if waits else "idle"
    rows = []
    for name, one in after.items():
        what = f"{store.name}, {runner}, {kind}: {name}"
        cpu = (one.cpu - before[name].cpu) / seconds * 100 if name in before else float("nan")
        made = (calls.get(one.pid, 0) - called.get(one.pid, 0)) / seconds
        rows.append(Row(f"{what}, CPU", cpu, "%", 1.0, at_most=True))
        rows.append(Row(f"{what}, calls to the store", made, "/s", 2.0, at_most=True))
        if not waits:
            rows.append(Row(f"{what}, resident", one.resident, "MiB", store.resident if "worker" in name else None, at_most=True))
            rows.append(Row(f"{what}, of its own", one.own, "MiB"))
    return rows


def _calls(where: Path) -> dict[int, int]:
    """Return how many calls to the store each process has made so far."""
    found: dict[int, int] = {}
    for line in (where / "calls").read_text().splitlines():
        pid = int(line.partition(" ")[0])
        found[pid] = found.get(pid, 0) + 1
    return found
