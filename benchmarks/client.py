"""The client's side of a benchmark, in a process of its own; prints `name=value` pairs."""

from __future__ import annotations

import sys
import threading
import time

from bench_app import app, async_join, async_nothing, join, nothing, rest

from pynenc_core.model import Query
from pynenc_core.status import FINAL

_WARM = 200


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
    """Enqueue, drain and fetch, all at once."""
    warm()
    began = time.perf_counter()
    results = nothing.parallelize([(n,) for n in range(count)]).ordered_results(600)
    must(results == list(range(count)), "the results are right")
    print(f"drain={count / (time.perf_counter() - began)}")


def burst(count: int) -> None:
    """Enqueue, drain and fetch, all at once, with a runner that has run something already."""
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


def in_process(count: int) -> None:
    """Drain and measure latency with a thread runner in this very process, for a store that does not leave it."""
    runner = app.make_runner("thread")
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


def stored(count: int) -> None:
    """Fill the store with final invocations, as history leaves them."""
    warm()
    for _ in nothing.parallelize([(n,) for n in range(count)]).as_completed(3600):
        pass
    print(f"stored={count}")


if __name__ == "__main__":
    name, *numbers = sys.argv[1].split(":")
    globals()[name](*(int(number) for number in numbers))
    app.close()
