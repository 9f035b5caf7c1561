"""The client's side of a benchmark, in a process of its own; prints `name=value` pairs."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from pathlib import Path

from bench_app import app, async_join, async_nothing, join, nothing, rest, touch, wait_for_ever

from pynenc_core.model import Query, RunnerContext
from pynenc_core.ports.children import Child, spawned
from pynenc_core.ports.forking import ForkServer
from pynenc_core.status import FINAL, Status

_WARM = 50
_WORKERS = 15


def must(be: bool, what: str) -> None:
    """End with an error where something does not hold: a wrong answer has no speed."""
    if not be:
        raise SystemExit(f"this does not hold: {what}")


def percentile(seconds: list[float], share: float) -> float:
    """Return a percentile in milliseconds."""
    return sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))] * 1000


def warm() -> None:
    """Wait until the runner runs."""
    for _ in nothing.parallelize([(n,) for n in range(_WARM)]).as_completed(60):
        pass


def fill(count: int) -> None:
    """Enqueue, with nobody to run them yet."""
    nothing.parallelize([(n,) for n in range(count)])
    print(f"filled={count}")


def drained(count: int) -> None:
    """Wait for the last of those that were enqueued; the store's history says when the first began and the last ended."""
    state = app.orchestrator.engine.state
    last = state.find(Query(), newest_first=True, limit=1)[0].invocation_id
    app.get_invocation(last).get_result(600)
    while app.orchestrator.count_invocations(statuses=FINAL) < count:
        time.sleep(0.05)  # the last of the queue is not always the last to end
    records = list(app.orchestrator.iterate(Query()))
    must(all(record.state.status == "SUCCESS" for record in records), "every task succeeds")
    ends = [record.state.since for record in records]
    ends.sort()
    began = ends[count // 20]  # when both workers run
    print(f"drain={(len(ends) - count // 20) / (ends[-1] - began)}")


def drain(count: int) -> None:
    """Enqueue, drain and fetch, all at once, when all workers have begun."""
    warm()
    burst(count)


def burst(count: int) -> None:
    """Enqueue, drain and fetch, all at once."""
    began = time.perf_counter()
    results = nothing.parallelize([(n,) for n in range(count)]).ordered_results(600)
    must(results == list(range(count)), "the results are right")
    print(f"drain={count / (time.perf_counter() - began)}")


def enqueue(count: int) -> None:
    """Enqueue one by one, with nobody to run them."""
    nothing(0)
    began = time.perf_counter()
    for n in range(count):
        nothing(n)
    one = time.perf_counter()
    nothing.parallelize([(n,) for n in range(count)])
    print(f"one={count / (one - began)} batch={count / (time.perf_counter() - one)}")


def latency(count: int) -> None:
    """Call, wait, and again, on an idle system."""
    warm()
    taken = []
    for n in range(count):
        began = time.perf_counter()
        must(nothing(n).get_result(30) == n, "the result is right")
        taken.append(time.perf_counter() - began)
    print(f"p50={percentile(taken, 0.5)} p99={percentile(taken, 0.99)}")


def fan_in(parents: int, children: int) -> None:
    """Let parents wait, inside the task, for children."""
    warm()
    began = time.perf_counter()
    results = join.parallelize([(children,)] * parents).ordered_results(120)
    must(results == [sum(range(children))] * parents, "the sums are right")
    print(f"seconds={time.perf_counter() - began}")


def coroutines(count: int) -> None:
    """Drain no-op coroutines, let a hundred wait for a second, let parents wait for children."""
    warm()
    began = time.perf_counter()
    results = async_nothing.parallelize([(n,) for n in range(count)]).ordered_results(600)
    must(results == list(range(count)), "the results are right")
    drained = time.perf_counter()
    must(sum(rest.parallelize([(1.0,)] * 100).results) == 100, "all have waited")
    rested = time.perf_counter()
    must(async_join.parallelize([(100,)] * 10).ordered_results(120) == [sum(range(100))] * 10, "the sums are right")
    joined = time.perf_counter()
    print(f"drain={count / (drained - began)} rest={rested - drained} join={joined - rested}")


def ready() -> None:
    """Return when the first task has run."""
    nothing(0).get_result(60)
    print("ready=1")


def in_process(count: int, name: str) -> None:
    """Drain and measure latency with a runner in this very process, for a store that does not leave it."""
    runner = app.make_runner(name)
    threading.Thread(target=runner.run, daemon=True).start()
    warm()
    group = nothing.parallelize([(n,) for n in range(count)])
    began = time.perf_counter()
    for _ in group.as_completed(600):
        pass
    drained = count / (time.perf_counter() - began)
    taken = []
    for n in range(500):
        began = time.perf_counter()
        nothing(n).get_result(30)
        taken.append(time.perf_counter() - began)
    runner.stop_runner_loop()
    runner.wait_until_stopped(10)
    print(f"drain={drained} p50={percentile(taken, 0.5)} p99={percentile(taken, 0.99)}")


def touches() -> None:
    """Enqueue what leaves a file, for who waits for it."""
    touch("ran")
    print("filled=1")


def waits() -> None:
    """Return when a task waits for one that does not begin."""
    waiting = wait_for_ever()
    ends = time.monotonic() + 60
    while waiting.status is not Status.PAUSED:
        must(time.monotonic() < ends, "a task begins to wait")
        time.sleep(0.01)
    print("waits=1")


def worker(kind: str) -> None:
    """Start workers one after the other, and measure each until it has asked the store for work, or says that it is ready."""
    app.found_as = "bench_app:app"
    app.import_task_modules()
    app.state_backend.prepare()  # a runner has its store open by then, and with it all the modules that a server is to load
    runner = RunnerContext.of_this_process("Bench")
    forks = ForkServer(lambda: app.fork_server_command(runner), given_up=lambda: False)
    if kind == "forked":
        forks.open()
    taken, used = [], []
    for _ in range(_WORKERS):
        context = RunnerContext.of_this_process("BenchWorker", parent=runner)
        command, first_line = app.worker_command(context, 0 if kind == "forked" else 1)
        began = time.perf_counter()
        child = Child(context, forks.fork if kind == "forked" else spawned(command), first_line, ended=lambda: None)
        if kind == "forked":
            must(bool(child.lines()), "it says that it is ready")
        while kind != "forked" and not child.gauge.polled_at:
            time.sleep(0.001)
        taken.append(time.perf_counter() - began)
        threads = Path(f"/proc/{child.process.pid}/task").iterdir()
        used.append(sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e6)
        child.kill()
    forks.close()
    print(f"ready={percentile(taken, 0.5)} least={min(taken) * 1000} cpu={statistics.median(used)} of={len(taken)}")


def stored(count: int) -> None:
    """Fill the store with final invocations, as history leaves them."""
    warm()
    for _ in nothing.parallelize([(n,) for n in range(count)]).as_completed(3600):
        pass
    print(f"stored={count}")


if __name__ == "__main__":
    name, *numbers = sys.argv[1].split(":")
    globals()[name](*(int(each) if each.isdigit() else each for each in numbers))
    app.close()
