"""Runs every peer in turn, in an environment that is made at the first need and kept, and prints one table."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import fleet
from redis import Redis
from table import REPEATS

from pynenc_testkit.servers.redis import RedisServer

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / "build" / "peers"
SHARES = {"2 processes": 1, "2 x 8 threads": 1, "a process for each task": 10}
"""Kinds of workers, and how many times fewer tasks they are given."""
POOLS = tuple(SHARES)[:2]


@attrs.frozen
class Peer:
    """A task queue: its name, its module here, what its environment holds; nothing where it runs in this one."""

    name: str
    module: str
    requirements: tuple[str, ...] = ()
    shapes: tuple[str, ...] = POOLS

    def python(self) -> str:
        """Return the interpreter of its environment, which is made if there is none with these requirements."""
        if not self.requirements:
            return sys.executable
        folder = ENVIRONMENTS / f"{self.module}-{sys.version_info.major}.{sys.version_info.minor}"
        made, wanted = folder / "requirements.txt", "\n".join(self.requirements)
        python = str(folder / "bin" / "python")
        if not made.exists() or made.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            subprocess.run([python, "-m", "pip", "install", "-qq", *self.requirements], check=True)
            made.write_text(wanted)
        return python


OURS = Peer("pynenc", "pynenc_jobs", shapes=tuple(SHARES))
PEERS = (
    OURS,
    Peer("Celery", "celery_jobs", ("celery[redis]", "hiredis")),
    Peer("Dramatiq", "dramatiq_jobs", ("dramatiq[redis]", "hiredis")),
    Peer("Huey", "huey_jobs", ("huey", "redis[hiredis]")),
    Peer("RQ", "rq_jobs", ("rq", "hiredis"), ("2 processes", "a process for each task")),
    Peer("Taskiq", "taskiq_jobs", ("taskiq", "taskiq-redis", "hiredis")),
)


@attrs.frozen
class Figures:
    """What one peer does with one kind of workers: calls and tasks a second, and milliseconds from call to result at the median."""

    enqueue: float
    drain: float
    p50: float
    versions: tuple[str, ...]


def _measured(peer: Peer, shape: str, count: int, server: RedisServer) -> Figures:
    Redis(port=server.port).flushall()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYNENC")}
    with fleet.folder() as where:
        env = {**inherited, "PEERS_REDIS": f"redis://127.0.0.1:{server.port}/0", "PYTHONPATH": str(HERE)}
        command = [peer.python(), str(HERE / "measure.py"), peer.module, shape, str(count)]
        done = subprocess.run(command, cwd=where, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            log = where / "workers.log"
            raise SystemExit(f"{peer.name} with {shape} failed:\n{done.stderr}\n{log.read_text() if log.exists() else ''}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Figures(found["enqueue"], found["drain"], found["p50"], tuple(found["versions"]))


def _median(found: list[Figures]) -> Figures:
    middle = {name: statistics.median(getattr(each, name) for each in found) for name in ("enqueue", "drain", "p50")}
    return Figures(**middle, versions=found[0].versions)


def measured(count: int) -> dict[tuple[Peer, str], Figures]:
    """Measure every peer with every kind of workers it has, in turns, so that the machine's other work falls on all of them."""
    turns = [(peer, shape) for shape in SHARES for peer in PEERS if shape in peer.shapes]
    for peer in PEERS:
        peer.python()
    server = RedisServer()
    try:
        rounds = [{turn: _measured(*turn, count // SHARES[turn[1]], server) for turn in turns} for _ in range(REPEATS)]
    finally:
        server.stop()
    return {turn: _median([each[turn] for each in rounds]) for turn in turns}


def lines(found: Mapping[tuple[Peer, str], Figures]) -> Iterator[str]:
    """Yield the table, in Markdown; behind each figure how often as much as ours it is."""
    yield "| workers | queue | enqueue one by one, /s | drain, /s | call to result, p50, ms |"
    yield "|---|---|---|---|---|"
    for (peer, shape), figures in found.items():
        ours = found[OURS, shape]
        cells = (
            f"{figures.enqueue:,.0f} ({figures.enqueue / ours.enqueue:.2f} x)",
            f"{figures.drain:,.0f} ({figures.drain / ours.drain:.2f} x)",
            f"{figures.p50:.2f} ({figures.p50 / ours.p50:.2f} x)",
        )
        yield f"| {shape} | {peer.name} | {' | '.join(cells)} |"
    yield ""
    yield "; ".join(", ".join(figures.versions) for (_, shape), figures in found.items() if shape == "2 processes")


def peers(count: int) -> list[dict[str, object]]:
    """Measure, print the table, and return the figures."""
    found = measured(count)
    print("\n".join(lines(found)))
    return [{"peer": peer.name, "workers": shape, **attrs.asdict(figures)} for (peer, shape), figures in found.items()]
