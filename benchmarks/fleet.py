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


def tree_cpu_and_memory(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Return the CPU seconds used so far and the resident MiB of a process and its children, from /proc."""
    pids, ticks, pages = [process.pid], 0, 0
    for pid in pids:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        pids.extend(int(child) for child in children)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
        pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 2**20 / len(pids)


def settle_down(seconds: float) -> None:
    """Let an idle system be idle for a while: what is measured here is time itself."""
    time.sleep(seconds)
