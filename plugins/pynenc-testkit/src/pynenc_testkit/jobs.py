"""The tasks of the project that the runner contracts run: the kit copies this file into the project's folder.

What a body does outside of the store it notes in the file `ledger` beside this one, a line for each effect.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path

from pynenc_core import Pynenc, RetryError
from pynenc_core.errors.invocations import SoftTimeoutError
from pynenc_core.orchestration.current import current_runner

FOLDER = Path(__file__).parent
app = Pynenc(config_filepath=FOLDER / "project.toml")


def note(*words: object) -> None:
    """Append a line to the ledger, whole, whoever else writes."""
    line = " ".join(map(str, words)) + "\n"
    ledger = os.open(FOLDER / "ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(ledger, line.encode())
    finally:
        os.close(ledger)


def pause(seconds: float) -> None:
    """Take time, as a body that works."""
    threading.Event().wait(seconds)


@app.task
def add(x: int, y: int) -> int:
    """Return the sum, and note it."""
    note("add", x, y)
    return x + y


@app.task
async def async_add(x: int, y: int) -> int:
    """Return the sum from a coroutine."""
    note("async_add", x, y)
    return x + y


@app.task
def double(text: str) -> str:
    """Return the text twice."""
    return text + text


@app.task
def hold(name: str, seconds: float) -> str:
    """Note when it begins and ends, and take time between."""
    note("+", name)
    pause(seconds)
    note("-", name)
    return name


@app.task
def wait_for_gate(name: str) -> str:
    """Run until the file `gate` is there."""
    note("+", name)
    while not (FOLDER / "gate").exists():
        pause(0.01)
    note("-", name)
    return name


@app.task
def fail(message: str) -> None:
    """Raise a ValueError."""
    note("fail", message)
    raise ValueError(message)


@app.task
def leave(code: int) -> None:
    """Raise SystemExit."""
    note("leave", code)
    raise SystemExit(code)


@app.task
def die_once(name: str) -> str:
    """Kill the own process at the first attempt, and return the name at the second."""
    first = not (FOLDER / name).exists()
    note("die_once", name)
    if first:
        (FOLDER / name).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return name


def forked(way: str) -> int:
    """Fork a process that returns, or raises SystemExit(3), or works until it is terminated; return how it ended."""
    child = os.fork()
    if child == 0:
        if way == "exit":
            raise SystemExit(3)
        if way == "terminate":
            pause(1000)
        return -1  # which nobody may see
    if way == "terminate":
        os.kill(child, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@app.task
def fork(way: str) -> int:
    """Fork a process, and return how it ended."""
    return forked(way)


@app.task
async def async_fork(way: str) -> int:
    """Do so in a coroutine."""
    return forked(way)


@app.task(max_retries=3)
def third_time(name: str) -> int:
    """Ask to be tried again twice; return the number of the attempt."""
    note("third_time", name)
    attempts = (FOLDER / "ledger").read_text().split("\n").count(f"third_time {name}")
    if attempts < 3:
        raise RetryError
    return attempts


@app.task
def tree(depth: int, width: int) -> int:
    """Wait for a tree of tasks below this one; return how many there were, itself included."""
    if depth == 0:
        return 1
    return 1 + sum(tree.parallelize([(depth - 1, width)] * width).results)


@app.task
async def async_tree(depth: int, width: int) -> int:
    """Do as `tree` in a coroutine: one of the tasks below is a plain function, the others are coroutines."""
    if depth == 0:
        return 1
    plain, others = plain_tree(depth - 1, width), async_tree.parallelize([(depth - 1, width)] * (width - 1))
    total = 1 + await plain.async_result()
    async for below in others.async_results():
        total += below
    return total


@app.task
def plain_tree(depth: int, width: int) -> int:
    """Do as `tree`, over coroutines."""
    return 1 + (sum(async_tree.parallelize([(depth - 1, width)] * width).results) if depth else 0)


@app.task
def parent(x: int) -> list[str]:
    """Register a child; return the child's id and the id of the runner that runs this."""
    child = add(x, x)
    runner = current_runner.get()
    return [child.invocation_id, getattr(runner, "runner_id", "")]


LIMIT = 0.6
"""Seconds: the time limits of the tasks below."""


def compute(seconds: float) -> None:
    """Take time in Python code."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pass


def call_c(seconds: float) -> None:
    """Take at least about so much time in one call of C code that keeps the interpreter's lock."""
    sample, began = 4_000_000, time.thread_time()
    sum(range(sample))
    sum(range(int(sample * seconds / (time.thread_time() - began))))


def sleep(seconds: float) -> None:
    """Take time in one call that releases the interpreter's lock, where no exception reaches it."""
    time.sleep(seconds)


WAYS = {"python": compute, "sleep": sleep, "c": call_c}
"""How a body takes time, by name."""


def take_time(name: str, way: str, seconds: float) -> None:
    """Note the process and that it begins, take time, note that it ends, however it does."""
    (FOLDER / f"{name}.pid").write_text(str(os.getpid()))
    note("+", name)
    try:
        WAYS[way](seconds)
    finally:
        note("-", name)


async def take_time_awaiting(name: str, seconds: float) -> None:
    """Do as `take_time`, in a coroutine that awaits."""
    note("+", name)
    try:
        await asyncio.sleep(seconds)
    finally:
        note("-", name)


@app.task
def unlimited(name: str, way: str, seconds: float) -> str:
    """Take time."""
    take_time(name, way, seconds)
    return name


@app.task
async def async_unlimited(name: str, seconds: float) -> str:
    """Take time in a coroutine."""
    await take_time_awaiting(name, seconds)
    return name


@app.task(timeout=LIMIT)
def limited(name: str, way: str, seconds: float) -> str:
    """Take time, under a hard limit."""
    take_time(name, way, seconds)
    return name


@app.task(timeout=LIMIT)
async def async_limited(name: str, seconds: float) -> str:
    """Take time in a coroutine, under a hard limit."""
    await take_time_awaiting(name, seconds)
    return name


@app.task(soft_timeout=LIMIT)
def asked_to_end(name: str, way: str, seconds: float) -> str:
    """Take time, under a soft limit, then some more in Python code; return whether it was told."""
    try:
        take_time(name, way, seconds)
        compute(seconds)
    except SoftTimeoutError:
        return "told"
    return "not told"


@app.task(soft_timeout=LIMIT)
async def async_asked_to_end(name: str, seconds: float) -> str:
    """Take time in a coroutine, under a soft limit; return whether it was told."""
    try:
        await take_time_awaiting(name, seconds)
    except SoftTimeoutError:
        return "told"
    return "not told"


@app.task(timeout=LIMIT)
def waits(name: str, seconds: float) -> str:
    """Wait for a task that takes time, under a hard limit that does not count that."""
    return hold(name, seconds).result


@app.task
def await_gate(name: str) -> str:
    """Wait for the task that runs until the file `gate` is there."""
    return wait_for_gate(name).result
