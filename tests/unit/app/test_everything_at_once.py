"""Everything at once for a while: whatever happens, every invocation ends and every slot is free afterwards."""

from __future__ import annotations

import asyncio
import contextvars
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pynenc_core import Pynenc
from pynenc_core.orchestration.executing.executor import ThreadExecutor
from unit.app.running import app_of_its_own, eventually, runner_of


def tasks_of(app: Pynenc, rng: random.Random) -> list[Callable[[int], Any]]:
    """Return tasks that fail, retry, wait in every way, and hold keys."""

    @app.task(max_retries=2, retry_for=(OSError,))
    def leaf(n: int) -> int:
        if rng.random() < 0.1:
            raise rng.choice([OSError, LookupError])(n)
        if rng.random() < 0.03:
            threading.Event().wait(0.03)
        return n

    @app.task
    def parent(n: int) -> int:
        done, _ = app.wait(leaf.parallelize([(i,) for i in range(n)]))
        return len(done)

    @app.task
    async def gathering(n: int) -> int:
        made = [leaf(i) for i in range(n)]  # first all calls: one that is refused would leave coroutines behind that nobody awaits
        return len(await asyncio.gather(*(each.async_result() for each in made), return_exceptions=True))

    @app.task
    def deep(n: int) -> int:
        return 0 if n == 0 else 1 + deep(n - 1).result

    @app.task
    async def async_deep(n: int) -> int:
        return 0 if n == 0 else 1 + await async_deep(n - 1).async_result()

    @app.task
    async def impatient(n: int) -> int:
        made = leaf.parallelize([(i,) for i in range(n)])
        try:
            async with asyncio.timeout(0.01):
                return len([result async for result in made.async_results()])
        except Exception:  # noqa: BLE001 - it goes on, whatever came first
            await asyncio.sleep(0.001)
            return -1

    @app.task(running_concurrency="task")
    def alone(n: int) -> int:
        app.wait([leaf(n)])
        return n

    return [leaf, parent, gathering, deep, async_deep, impatient, alone, with_own_threads(app, leaf)]


def with_own_threads(app: Pynenc, leaf: Callable[[int], Any]) -> Callable[[int], Any]:
    """Return a task whose threads wait, and may outlive it."""

    @app.task
    def with_threads(n: int) -> int:
        def look() -> None:
            done, _ = app.wait([leaf(n)])
            assert done

        threads = [threading.Thread(target=contextvars.copy_context().run, args=(quietly, look)) for _ in range(3)]
        for thread in threads:
            thread.start()
        if n % 2:
            for thread in threads:
                thread.join()
        return n

    return with_threads


def quietly(look: Callable[[], None]) -> None:
    """Look, and pass over that the task was cancelled meanwhile."""
    try:
        look()
    except Exception as error:  # noqa: BLE001 - a thread of a task that was cancelled is told so, in one way or another
        assert "cancel" in str(error).lower()  # noqa: PT017 - nobody awaits this thread's exception


@pytest.mark.parametrize(
    ("name", "backend", "slots", "settle_batch"),
    [
        ("thread", "memory", 1, 1),
        ("thread", "memory", 4, 1),
        ("thread", "memory", 4, 8),
        ("thread", "sqlite", 3, 1),
        ("thread", "sqlite", 3, 8),
        ("asyncio", "memory", 1, 1),
        ("asyncio", "memory", 20, 8),
        ("asyncio", "sqlite", 3, 1),
    ],
)
def test_all_of_it(name: str, backend: str, slots: int, settle_batch: int, tmp_path: Path) -> None:
    rng = random.Random(7)  # noqa: S311 - the same mix each time
    url = "memory://" if backend == "memory" else f"sqlite:///{tmp_path}/jobs.db"
    app = app_of_its_own(url, threads=slots, runner={"settle_batch": settle_batch, "max_tasks": slots})
    tasks = tasks_of(app, rng)
    with runner_of(app, name) as runner:
        made = []
        for _ in range(15):
            made += [rng.choice(tasks)(rng.randint(0, 5)) for _ in range(15)]
            for each in rng.sample(made[-30:], 3):
                each.cancel()
            app.wait(made, timeout=0.02)
        _, left = app.wait(made, timeout=60)
        assert left == []
        executor: Any = vars(runner)["executor"]
        assert isinstance(executor, ThreadExecutor)
        places, holdings = executor._slots, executor._holdings
        eventually(lambda: places.free == slots and not holdings.jobs(), "every slot being free")
        eventually(lambda: (places.paused, len(holdings._known), len(executor._settling._chains)) == (0, 0, 0), "the books being empty")
        assert not places._awaiting
        assert not places._promised
    app.close()
