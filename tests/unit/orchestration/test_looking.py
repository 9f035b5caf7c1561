"""A store that can only be asked keeps the contracts of those that tell, by looking again and again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, ClassVar

import pytest

from pynenc_backend_memory.broker import MemoryBroker
from pynenc_backend_memory.state_backend import MemoryStateBackend
from pynenc_core import Pynenc
from pynenc_core.config import RunnerSettings
from pynenc_core.model import InvocationRecord, Queued
from pynenc_core.orchestration.split import SplitDispatcher
from pynenc_core.plugins import PluginManager, hookimpl
from pynenc_core.plugins.specs import BrokerSpec, StateBackendSpec
from pynenc_core.ports.looking import LookingBroker, RepeatedLook
from pynenc_core.ports.storage import Watch
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.contracts import BrokerContract
from pynenc_testkit.contracts.awaiting import AwaitRules
from pynenc_testkit.contracts.watching import WatchRules
from pynenc_testkit.samples import running
from pynenc_testkit.stores import Background, KitApp, Store, eventually
from unit.app.running import app_of_its_own, runner_of

_brokers: dict[str, MemoryBroker] = {}


class MuteBroker(LookingBroker):
    """A queue on a server that has no way to tell anybody of anything."""

    name: ClassVar[str] = "mute"

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self._server = _brokers.setdefault(f"{getattr(app, 'url', '')} {app.app_id}", MemoryBroker(app))

    def take_now(self, queues: Sequence[str], limit: int) -> tuple[str, ...]:
        return self._server.take(queues, limit, 0)

    def publish(self, entries: Sequence[Queued]) -> None:
        self._server.publish(entries)

    def oldest(self, queue: str) -> Queued | None:
        return self._server.oldest(queue)

    def size(self, queue: str) -> int:
        return self._server.size(queue)

    def discard(self, invocation_ids: Iterable[str]) -> None:
        self._server.discard(invocation_ids)

    def purge(self) -> None:
        self._server.purge()

    def close(self) -> None:
        pass


class MuteState(MemoryStateBackend):
    """Records on such a server."""

    name: ClassVar[str] = "mute"

    def watch(self, invocation_ids: Collection[str]) -> Watch:  # type: ignore[override] # what it inherits from can notify
        return RepeatedLook(self, invocation_ids)


class Mute:
    """How the contracts open it."""

    url: ClassVar[str] = "memory://{name}"

    def open_store(self, app: KitApp) -> Store:
        broker, state = MuteBroker(app), MuteState(app)
        return Store(app, broker, state, SplitDispatcher(broker, state))


class TestBroker(Mute, BrokerContract):
    pass


class TestWaitingForWork(Mute, AwaitRules):
    pass


class TestWaitingForResults(Mute, WatchRules):
    pass


class Plugin:
    """Offers both."""

    @hookimpl
    def pynenc_brokers(self) -> list[BrokerSpec]:
        return [BrokerSpec(name="mute", target=f"{__name__}:MuteBroker", crosses_processes=False)]

    @hookimpl
    def pynenc_state_backends(self) -> list[StateBackendSpec]:
        return [StateBackendSpec(name="mute", target=f"{__name__}:MuteState", crosses_processes=False, durable=False)]


def mute_app(**runner: Any) -> Pynenc:
    """Return an app over it."""
    plugins = PluginManager()
    plugins.register(Plugin(), "mute")
    return app_of_its_own("", plugins=plugins, broker_cls="mute", state_backend_cls="mute", runner=runner)


def test_a_tree_of_tasks_runs_over_it() -> None:
    app = mute_app(invocation_wait_results_sleep_time_sec=0.01, runner_loop_sleep_time_sec=0.01)

    @app.task
    def tree(depth: int) -> int:
        return 1 + sum(tree.parallelize([(depth - 1,)] * 2).results) if depth else 1

    with runner_of(app):
        assert tree(3).get_result(20) == 15
    app.close()


class Counted:
    """Counts the looks."""

    looks = 0


class CountedBroker(Counted, MuteBroker):
    def take_now(self, queues: Sequence[str], limit: int) -> tuple[str, ...]:
        self.looks += 1
        return super().take_now(queues, limit)


class CountedState(Counted, MuteState):
    def get(self, invocation_ids: Collection[str]) -> dict[str, InvocationRecord]:
        self.looks += 1
        return super().get(invocation_ids)


@pytest.mark.parametrize(("seconds", "most"), [(0.02, 16), (0.2, 3)])
def test_it_is_looked_at_as_often_as_configured(seconds: float, most: int) -> None:
    settings = RunnerSettings(runner_loop_sleep_time_sec=seconds, invocation_wait_results_sleep_time_sec=seconds)
    app = KitApp("looks", f"memory://looks-{seconds}", ManualClock(ticking=True), {RunnerSettings: settings})
    broker, state = CountedBroker(app), CountedState(app)
    store = Store(app, broker, state, SplitDispatcher(broker, state))
    held = running(store)
    state.looks = broker.looks = 0
    assert broker.take(["empty"], 1, 0.3) == ()
    assert state.watch([held.invocation_id]).wait(0.3) == frozenset()
    assert 2 <= broker.looks <= most
    assert 2 <= state.looks <= most


def test_a_stop_does_not_wait_for_the_next_look() -> None:
    app = mute_app(runner_loop_sleep_time_sec=1000.0, idle_claim_timeout_sec=1000.0)
    runner = app.make_runner("thread")
    runs = Background(runner.run)
    eventually(lambda: runner.running and runner.polled_at > 0, "the first claim")
    runner.stop_runner_loop()
    runs.result()
    app.close()
