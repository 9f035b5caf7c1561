"""The one entrance to the rules: what an app, its runners and its command line call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from pynenc_core.model import RunnerContext, Signal
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.executing.executor import ThreadExecutor
from pynenc_core.orchestration.hand_claims import HandClaims
from pynenc_core.orchestration.heartbeat import Heartbeat
from pynenc_core.orchestration.listings import Listings, Upkeep
from pynenc_core.orchestration.outcomes import Outcomes
from pynenc_core.orchestration.recovery import Recovery, announce_tasks
from pynenc_core.orchestration.routing import Routing
from pynenc_core.orchestration.services import Purging, RunnerDuties, Service, ServiceRole
from pynenc_core.orchestration.stopped_waits import StoppedWaits
from pynenc_core.orchestration.waiting import Interests
from pynenc_core.ports.gauge import Gauge


class AppOrchestrator(Outcomes, HandClaims, Listings, Upkeep):
    """The core's own rules over broker and state backend: one implementation for every store."""

    def __init__(self, engine: Engine) -> None:
        Outcomes.__init__(self, engine)
        HandClaims.__init__(self, engine)
        Listings.__init__(self, engine)
        Upkeep.__init__(self, engine)
        self.routing = Routing(engine)
        self.outside = Interests(engine.state, engine.clock, engine.logger)

    def wait_outside(self, invocation_ids: Collection[str], timeout: float | None) -> frozenset[str]:
        """Block this thread until one of these is final; return which are, () after `timeout` seconds."""
        return self.outside.wait(invocation_ids, timeout)

    def open_stopped_waits(self, runner_id: str, tell: Callable[[], None]) -> StoppedWaits:
        """Return what waits for the processes of this runner; `tell` is called, from a thread, when one may go on."""
        return StoppedWaits(self.engine, runner_id, tell)

    def wake(self) -> None:
        """Let `await_work` return at once."""
        self.engine.dispatcher.wake()

    def store_runner_context(self, context: RunnerContext) -> None:
        """Keep a runner context and its parents, so that history can name them."""
        self.engine.state.store_runner_context(context)

    def announce(self, context: RunnerContext) -> None:
        """Tell which tasks this runner knows, and bring back what was parked for want of one of them."""
        announce_tasks(self.engine, context.runner_id)

    def open_executor(
        self,
        context: RunnerContext,
        slots: int,
        may_claim: Callable[[], bool],
        runner: object,
        gauge: Gauge,
        replace: Callable[[str], float] | None = None,
        *,
        shared_loop: bool = False,
    ) -> ThreadExecutor:
        """Return a new executor with so many slots, whose claims carry this context, and which shows its load in `gauge`.

        With `shared_loop` the coroutines of async tasks run beside each other on one event loop.
        """
        if shared_loop:
            from pynenc_core.orchestration.executing.loop_executor import (
                LoopExecutor,  # imported late, with asyncio: most processes need neither
            )

            return LoopExecutor(self.engine, context, slots, may_claim, runner, gauge, replace)
        return ThreadExecutor(self.engine, context, slots, may_claim, runner, gauge, replace)

    def open_duties(
        self,
        context: RunnerContext,
        children: Callable[[], Collection[str]],
        deliver: Callable[[Sequence[Signal]], None],
        busy: Callable[[], bool],
    ) -> RunnerDuties:
        """Return the heartbeats of a runner and its share of the background services."""
        runner_id = context.runner_id
        heartbeat = Heartbeat(self.engine, runner_id, children, deliver, busy)
        services: dict[str, Service] = {"recovery": Recovery(self.engine, runner_id), "purging": Purging(self.engine)}
        role = ServiceRole(self.engine, runner_id, heartbeat, services)
        return RunnerDuties(heartbeat, role, lambda: self.engine.state.forget_runners([runner_id]))
