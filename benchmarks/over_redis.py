"""What design section 8 budgets over Redis, on a server of the benchmark's own without persistence."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import fleet
import redis_floors
import runners
from redis import Redis
from stores import Store
from table import Row, beside, median

from pynenc_testkit.servers.redis import RedisServer

PROCESSES = ("persistent-process", {"runner.num_processes": 2})
THREADS = ("multi-thread", {"runner.max_processes": 2, "runner.min_threads": 8, "runner.max_threads": 8})


def _drained(server: RedisServer, count: int, runner: str, settings: Mapping[str, object]) -> float:
    Redis(port=server.port).flushall()
    with fleet.folder() as where:
        env = fleet.environment(server.url, settings)
        fleet.client(f"fill:{count}", where, env)
        with fleet.runner(runner, where, env):
            return fleet.client(f"drained:{count}", where, env)["drain"]


def drains(server: RedisServer, count: int) -> list[Row]:
    """Measure draining with two processes, against bare scripts that make the same writes."""
    rows = []
    for what, (runner, settings), batch, budget, share in (
        ("2 processes", PROCESSES, 1, 6000, 0.45),
        ("2 x 8 threads", THREADS, 1, 9000, None),
        ("2 processes, settle_batch=8", PROCESSES, 8, 12_000, 0.22),
    ):
        ours = partial(_drained, server, count, runner, {**settings, "runner.settle_batch": batch})
        value, spread, floor = beside(ours, partial(redis_floors.drain, server.port, count, batch))
        rows.append(Row(f"Redis: drain, {what}", value, "/s", budget, spread=spread, floor=floor, ratio_budget=share))
    return rows


def enqueues(server: RedisServer, count: int) -> list[Row]:
    """Measure registering with nobody to run it."""
    rows = []
    for key, batch, budget, share in (("one", 1, None, 0.5), ("batch", 500, 30_000, None)):
        ours = partial(_enqueued, server, count, key)
        value, spread, floor = beside(ours, partial(redis_floors.enqueue, server.port, count, batch))
        rows.append(Row(f"Redis: enqueue in batches of {batch}", value, "/s", budget, spread=spread, floor=floor, ratio_budget=share))
    return rows


def _enqueued(server: RedisServer, count: int, key: str) -> float:
    Redis(port=server.port).flushall()
    with fleet.folder() as where:
        return fleet.client(f"enqueue:{count}", where, fleet.environment(server.url, {}))[key]


def latencies(server: RedisServer, count: int) -> list[Row]:
    """Measure enqueue to result on an idle system."""
    floor = redis_floors.round_trip(server.port, count)
    runner, settings = PROCESSES
    Redis(port=server.port).flushall()
    with fleet.folder() as where:
        env = fleet.environment(server.url, settings)
        with fleet.runner(runner, where, env):
            found = fleet.client(f"latency:{count}", where, env)
    return [
        Row("Redis: enqueue to result, p50", found["p50"], "ms", 0.75, at_most=True, floor=floor, ratio_budget=2.5),
        Row("Redis: enqueue to result, p99", found["p99"], "ms"),
    ]


def growing(server: RedisServer, count: int) -> list[Row]:
    """Measure what a task costs of the server's and the workers' CPU with many invocations stored, against few."""
    Redis(port=server.port).flushall()
    runner, settings = PROCESSES
    with fleet.folder() as where:
        env = fleet.environment(server.url, {**settings, "runner.settle_batch": 8})
        with fleet.runner(runner, where, env) as process:
            fleet.client("ready", where, env)
            few, _ = median(partial(_cost, server, process, where, env))
            fleet.client(f"stored:{count}", where, env)
            many, _ = median(partial(_cost, server, process, where, env))
    return [Row(f"Redis: cost of a task with {count:,} stored, against few", many / few, "x", 1.15, at_most=True)]


def _cost(server: RedisServer, runner: subprocess.Popen[bytes], where: Path, env: Mapping[str, str]) -> float:
    before = fleet.cpu_of_all(runner.pid) + fleet.cpu_of_all(server.pid)
    fleet.client("drain:3000", where, env)
    return fleet.cpu_of_all(runner.pid) + fleet.cpu_of_all(server.pid) - before


def redis(count: int, stored: int, idle: float) -> list[Row]:
    """Measure all of it."""
    server = RedisServer()
    store = Store("Redis", server.url, 52, 600)
    try:
        return [
            *enqueues(server, count),
            *drains(server, count),
            *latencies(server, count // 20),
            *runners.fan_ins(store, 0.5),
            *runners.workers(store),
            *runners.idle("persistent-process", idle, store, waits=False),
            *growing(server, stored),
        ]
    finally:
        server.stop()
