"""Measures what design section 8 budgets, each figure beside its floor in the same run: `python benchmarks [--quick] [NAME ...]`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

sys.path.insert(0, str(Path(__file__).parent))

import fleet
import over_mongo
import over_redis
import runners
import stores
from peers import compare
from table import REPEATS, Row, show


def _ours(measures: Mapping[str, Callable[[], list[Row]]], only: Sequence[str]) -> list[dict[str, object]]:
    rows = [row for name, measure in measures.items() if not only or name in only for row in measure()]
    show(rows)
    return [{**attrs.asdict(row), "ratio": row.ratio, "kept": row.kept} for row in rows]


def main() -> None:
    """Measure everything, or what is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that all of it works")
    parser.add_argument("--runner", action="append", help="of the runners only this one; may be given several times")
    parser.add_argument("--peers", action="store_true", help="instead: other task queues beside ours, each in an environment of its own")
    parser.add_argument("only", nargs="*", help="starts memories enqueues drains latencies fan_ins coroutines idling growing redis mongo")
    given = parser.parse_args()
    runners.only.update(given.runner or ())
    count, stored, idle = (1000, 2000, 3.0) if given.quick else (10_000, 200_000, 20.0)
    measures: dict[str, Callable[[], list[Row]]] = {
        "starts": runners.starts,
        "memories": lambda: runners.memories(count),
        "enqueues": lambda: stores.enqueues(count),
        "drains": lambda: [*stores.drains(count), *runners.drains(count)],
        "latencies": lambda: runners.latencies(count // 20),
        "fan_ins": runners.fan_ins,
        "coroutines": lambda: runners.coroutines(count),
        "idling": lambda: runners.idling(idle),
        "growing": lambda: stores.growing(stored),
        "redis": lambda: over_redis.redis(count, stored, idle),
        "mongo": lambda: over_mongo.mongo(count // 20, idle),
    }
    load = os.getloadavg()[0]
    with fleet.compiled():
        figures = compare.peers(count // 2) if given.peers else _ours(measures, given.only)
    print(
        f"load before: {load:.2f}, after: {os.getloadavg()[0]:.2f}, {os.cpu_count()} CPUs, Python {sys.version.split()[0]};"
        f" medians of {REPEATS} runs"
    )
    if given.json:
        given.json.write_text(json.dumps({"load": load, "figures": figures}, indent=1))


if __name__ == "__main__":
    main()
