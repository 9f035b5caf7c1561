"""Runs the benchmark's app in a folder of its own: a runner process, and this process as the client."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

HERE = Path(__file__).parent
_START = """
import sys
sys.path.insert(0, {here!r})
from bench_app import app
app.found_as = "bench_app:app"
app.make_runner({runner!r}).run()
"""


def environment(url: str, settings: Mapping[str, object]) -> dict[str, str]:
    """Return the environment in which the app stores at `url` and has these settings, given as `section.field`."""
    variables = {f"PYNENC__{name.replace('.', '__').upper()}": str(value) for name, value in settings.items()}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYNENC__")}
    return {**inherited, "PYNENC__URL": url, "PYTHONPATH": str(HERE), **variables}


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Give an empty folder, and remove it in the end."""
    path = Path(tempfile.mkdtemp(prefix="pynenc-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def compiled() -> Iterator[None]:
    """Let every process find its modules compiled, as an installed package has them, whatever this environment says of that."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with folder() as cache:
        os.environ["PYTHONPYCACHEPREFIX"] = str(cache)
        with folder() as where:
            env = environment("sqlite:///bench.db", {"runner.num_processes": 1})
            with runner("persistent-process", where, env):
                client("ready", where, env)
        yield


@contextlib.contextmanager
def runner(name: str, where: Path, env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a runner over the app while the block lasts."""
    code = _START.format(here=str(HERE), runner=name)
    with subprocess.Popen([sys.executable, "-c", code], cwd=where, env=dict(env)) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def client(script: str, where: Path, env: Mapping[str, str]) -> dict[str, float]:
    """Run a client script that prints one line of `name=value` pairs; return them."""
    command = [sys.executable, str(HERE / "client.py"), script]
    done = subprocess.run(command, cwd=where, env=dict(env), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the client {script!r} failed:\n{done.stderr}")
    return {name: float(value) for name, value in (pair.split("=") for pair in done.stdout.split())}


@attrs.frozen
class Process:
    """What /proc says of a process: CPU seconds used so far, resident MiB, and how many of those it shares with nobody."""

    pid: int
    cpu: float
    resident: float
    own: float


def processes(runner: subprocess.Popen[bytes]) -> dict[str, Process]:
    """Return a runner's process and those below it, by what they are."""
    found = {"the runner": _process(runner.pid)}
    for pid in _below(runner.pid):
        server = "pynenc_core.worker.forkserver" in Path(f"/proc/{pid}/cmdline").read_text()
        if server:
            found["the server that forks"] = _process(pid)
        for worker in _below(pid) if server else [pid]:
            found[f"worker {sum('worker' in name for name in found) + 1}"] = _process(worker)
    return found


def cpu_of_all(pid: int) -> float:
    """Return the CPU seconds that a process and all below it have used so far, those that have ended included."""
    pids, ticks = [pid], 0
    for each in pids:
        pids.extend(_below(each))
        ticks += sum(int(field) for field in _fields(each)[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def _fields(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _below(pid: int) -> list[int]:
    return sorted(int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split())


def _process(pid: int) -> Process:
    ticks = sum(int(field) for field in _fields(pid)[11:13])
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    kibibytes = {name: int(value.split()[0]) for name, value in lines.items()}
    own = kibibytes["Private_Clean"] + kibibytes["Private_Dirty"]
    return Process(pid, ticks / os.sysconf("SC_CLK_TCK"), kibibytes["Rss"] / 1024, own / 1024)


def wait_for(path: Path, patience: float = 60.0) -> None:
    """Wait until a file is there, by looking every 2 ms."""
    ends = time.monotonic() + patience
    while not path.exists():
        if time.monotonic() > ends:
            raise SystemExit(f"{path} does not come")
        time.sleep(0.002)


def settle_down(seconds: float) -> None:
    """Let an idle system be idle for a while: what is measured here is time itself."""
    time.sleep(seconds)
