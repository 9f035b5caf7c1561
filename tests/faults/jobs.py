"""The tasks that the scenarios run. This file is copied into each project's folder, under a name of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from functools import partial
from pathlib import Path

from pynenc_core import Pynenc, RetryError
from pynenc_core.config import Limit
from pynenc_core.orchestration.current import running_job
from pynenc_core.orchestration.reporting import cgroups

HOLDERS = 2
FOLDER = Path(__file__).parent
app = Pynenc(config_filepath=FOLDER / "project.toml")
if group := os.environ.get("PYNENC_TEST_GROUP"):  # of memory.py: live in it, or at least look at it
    (Path(group) / "cgroup.procs").write_text(str(os.getpid()), encoding="utf-8")
if likeness := os.environ.get("PYNENC_TEST_GROUP_ROOT"):
    app._oom_watch = cgroups.OomWatch(partial(cgroups.oom_kills, Path(likeness)))


def note(what: str, **more: object) -> None:
    """Append one line to the ledger: one system call, so that a kill leaves a whole line or none."""
    job = running_job.get()
    assert job is not None
    line = {
        "what": what,
        "task": job.record.invocation.task_id.rpartition(".")[2].removeprefix("co_"),
        "invocation": job.invocation_id,
        "runner": job.owner.runner_id,
        "claim": job.owner.claim,
        "pid": os.getpid(),
        "at": time.time(),
        **more,
    }
    ledger = os.open(FOLDER / "ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(ledger, json.dumps(line).encode() + b"\n")
    finally:
        os.close(ledger)


def last(seconds: float) -> None:
    """Take so long."""
    time.sleep(seconds)


def claim_number() -> int:
    """The fencing number of the running execution: 1 for the first."""
    job = running_job.get()
    assert job is not None
    return job.owner.claim


def attempts_failed() -> int:
    """How many attempts have failed before this one."""
    job = running_job.get()
    assert job is not None
    return job.record.state.attempts


def signature() -> str:
    """Who executes, under which claim."""
    job = running_job.get()
    assert job is not None
    return f"{job.owner.runner_id}/{job.owner.claim}"


@app.task
def work(number: int, seconds: float = 0.0) -> int:
    note("effect")
    last(seconds)
    return number


@app.task(limits=(Limit(concurrency=HOLDERS, key_arguments=("key",)),))
def holds(key: str, gate: str) -> str:
    """At most so many of a key at once; the effect, and at the first execution a wait for the gate, a file of that name."""
    note("effect", key=key)
    while claim_number() == 1 and not (FOLDER / gate).exists():
        last(0.005)
    note("passed", key=key)
    return signature()


@app.task
def paced(number: int) -> int:
    """The effect; then take as long as everything does on this machine."""
    note("effect")
    last(float(os.environ.get("PYNENC_TEST_PACE", "0.01")))
    return number


@app.task
def killed_once(number: int) -> str:
    """The effect, and then SIGKILL of this very process before the result is settled; the second execution ends."""
    del number
    note("effect")
    if claim_number() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
        last(60.0)
    return signature()


@app.task
def gated(gate: str) -> str:
    """The effect; then wait for the gate, a file of that name."""
    note("effect")
    while not (FOLDER / gate).exists():
        last(0.005)
    note("passed")
    return signature()


@app.task
def gated_by_claim(gate: str) -> str:
    """As `gated`, but each execution waits for a gate of its own, `<gate>-<claim>`."""
    note("effect")
    while not (FOLDER / f"{gate}-{claim_number()}").exists():
        last(0.005)
    return signature()


LIMIT = 0.5  # seconds


def overrun(way: str) -> None:
    """Take longer than any limit, in Python code, in a sleeping call, or in one of C code that keeps the interpreter's lock."""
    ends = time.monotonic() + 60.0
    if way == "sleep":
        last(60.0)
    if way == "c":
        sum(range(10**11))
    while time.monotonic() < ends:
        pass


@app.task(timeout=LIMIT, max_retries=9, retry_for=(TimeoutError,))
def limited(way: str) -> str:
    """The effect; the first attempt overruns its hard limit, the second ends."""
    note("effect")
    if attempts_failed() == 0:
        overrun(way)
    return signature()


@app.task(timeout=LIMIT, max_retries=9, retry_for=(TimeoutError,))
async def limited_coroutine() -> str:
    """As `limited`, in a coroutine that awaits."""
    note("effect")
    if attempts_failed() == 0:
        await asyncio.sleep(60.0)
    return signature()


@app.task(timeout=LIMIT)
def stands_still(seconds: float) -> None:
    """The effect; then take at least about so long in one call of C code that keeps the interpreter's lock."""
    note("effect")
    sample, began = 4_000_000, time.thread_time()
    sum(range(sample))
    sum(range(int(sample * seconds / (time.thread_time() - began))))


@app.task
def endless(way: str) -> None:
    """The effect; then overrun, until somebody cancels it, and note that."""
    note("effect")
    try:
        overrun(way)
    finally:
        note("told")


@app.task
async def endless_coroutine() -> None:
    """As `endless`, in a coroutine that awaits."""
    note("effect")
    try:
        await asyncio.sleep(60.0)
    finally:
        note("told")


@app.task
def poison() -> None:
    note("effect")
    os.abort()


@app.task
def hungry(mib: int) -> str:
    """The effect; then the first execution takes so much memory, and never ends by itself."""
    note("effect")
    if claim_number() == 1:
        eaten = [bytearray(os.urandom(1 << 10)) * (1 << 10) for _ in range(mib)]
        last(60.0)
        del eaten
    return signature()


@app.task
def tree(depth: int, width: int) -> int:
    if depth == 0:
        return 1
    return 1 + sum(tree.parallelize([(depth - 1, width)] * width).ordered_results())


@app.task
def leaf(number: int) -> int:
    return number


@app.task
def parent_of(count: int) -> int:
    """Wait for that many children, whose results come as they finish."""
    return sum(leaf.parallelize([(number,) for number in range(count)]).results)


@app.task
def waits_for_gate(gate: str) -> str:
    """A parent that waits for one child, which waits for the gate."""
    note("effect")
    return gated(gate).result


@app.task
def leaves(kind: str) -> None:
    note("effect")
    raise {"SystemExit": SystemExit(3), "KeyboardInterrupt": KeyboardInterrupt(), "GeneratorExit": GeneratorExit()}[kind]


@app.task(max_retries=1)
def fails_once(number: int) -> int:
    note("effect")
    job = running_job.get()
    assert job is not None
    if job.record.state.attempts == 0:
        raise RetryError
    return number


@app.task
def carries(text: str) -> int:
    """Take a large argument; the result is small."""
    return len(text)


# As coroutines; in the ledger they go by the name of the plain function.


@app.task
async def co_work(number: int, seconds: float = 0.0) -> int:
    note("effect")
    await asyncio.sleep(seconds)
    return number


@app.task
async def co_gated(gate: str) -> str:
    note("effect")
    while not (FOLDER / gate).exists():  # noqa: ASYNC110 - a file tells nobody
        await asyncio.sleep(0.005)
    note("passed")
    return signature()


@app.task
async def co_waits_for_gate(gate: str) -> str:
    note("effect")
    return await co_gated(gate).async_result()


@app.task
async def co_tree(depth: int, width: int) -> int:
    if depth == 0:
        return 1
    below = co_tree.parallelize([(depth - 1, width)] * width)
    return 1 + sum([result async for result in below.async_results()])


@app.task
async def co_leaf(number: int) -> int:
    return number


@app.task
async def co_parent_of(count: int) -> int:
    children = co_leaf.parallelize([(number,) for number in range(count)])
    return sum([result async for result in children.async_results()])
