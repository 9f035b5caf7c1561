"""When the store last answered, as a runner shows it: neither idle nor busy looks like a store that is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from pynenc_core.ports.runner import BaseRunner
from pynenc_testkit.flaky import FlakyDispatcher, Outage
from unit.app.running import PATIENCE, Gate, app_of_its_own, eventually, runner_of

SELDOM = {"idle_claim_timeout_sec": 1000.0, "heartbeat_interval_sec": 1000.0, "runner_considered_dead_after_minutes": 100.0}
"""Settings under which nothing asks the store by itself."""


def shows_a_heartbeat(runner: BaseRunner) -> bool:
    """Give a heartbeat; return whether it counts as a poll."""
    before = time.monotonic()
    runner.duties.beat_now()
    return runner.polled_at >= before


def test_a_heartbeat_counts_while_an_idle_runner_asks_for_work_only_every_quarter_of_an_hour() -> None:
    app = app_of_its_own(runner=SELDOM)
    with runner_of(app) as runner:
        eventually(lambda: runner.polled_at > 0, "the first claim")
        eventually(lambda: shows_a_heartbeat(runner), "a heartbeat that counts")
    app.close()


def test_a_heartbeat_counts_while_every_slot_is_taken() -> None:
    app = app_of_its_own(runner=SELDOM, threads=1)
    gate = Gate()

    @app.task
    def busy() -> None:
        gate.pass_through()

    with runner_of(app) as runner:
        invocation = busy()
        gate.wait_for()
        eventually(lambda: shows_a_heartbeat(runner), "a heartbeat that counts")
        gate.open()
        invocation.get_result(5)
    app.close()


class ClaimingByItself(BaseRunner):
    """A runner as a third party may write it: its loop claims, and waits for work."""

    @staticmethod
    def mem_compatible() -> bool:
        return True

    @property
    def max_parallel_slots(self) -> int:
        return 1

    def get_active_child_runner_ids(self) -> Sequence[str]:
        return ()

    def _on_start(self) -> None:
        pass

    def _on_stop(self) -> None:
        pass

    def _on_stop_runner_loop(self) -> None:
        pass

    def runner_loop_iteration(self) -> None:
        if not self.app.orchestrator.get_invocations_to_run(1, self.runner_context):
            self.app.orchestrator.await_work(self.conf.idle_claim_timeout_sec)

    def _waiting_for_results(self, *_: object) -> frozenset[str]:
        return frozenset()


def test_a_runner_that_claims_in_its_loop_is_judged_by_its_rounds() -> None:
    app = app_of_its_own(runner=SELDOM)
    engine, outage = app.orchestrator.engine, Outage()
    object.__setattr__(engine, "dispatcher", FlakyDispatcher(engine.dispatcher, outage))
    runner = ClaimingByItself(app)
    assert runner.polled_at == 0
    thread = threading.Thread(target=runner.run)
    thread.start()
    try:
        eventually(lambda: shows_a_heartbeat(runner), "a heartbeat that counts, in a round that may last long")
        with outage.begin():
            engine.dispatcher.wake()
            eventually(lambda: outage.refused > 1, "a claim that failed")
            last = runner.polled_at
            runner.duties.beat_now()
            assert runner.polled_at == last

        def ends_a_round() -> bool:
            engine.dispatcher.wake()
            return runner.polled_at > last

        eventually(ends_a_round, "a round that ended well")
        eventually(lambda: shows_a_heartbeat(runner), "a heartbeat that counts again")
    finally:
        runner.stop_runner_loop()
        thread.join(PATIENCE)
    app.close()


def test_no_heartbeat_counts_while_claims_fail_and_the_first_claim_that_is_answered_does() -> None:
    """Half of a store may be away: heartbeats alone do not say that work would be found."""
    app = app_of_its_own(runner=SELDOM)
    engine, outage = app.orchestrator.engine, Outage()
    object.__setattr__(engine, "dispatcher", FlakyDispatcher(engine.dispatcher, outage))
    with runner_of(app) as runner:
        eventually(lambda: shows_a_heartbeat(runner), "a heartbeat that counts")
        with outage.begin():
            engine.dispatcher.wake()
            eventually(lambda: outage.refused > 1, "a claim that failed")
            last = runner.polled_at
            runner.duties.beat_now()
            assert runner.polled_at == last
        eventually(lambda: runner.polled_at > last, "a claim that was answered")
        eventually(lambda: shows_a_heartbeat(runner), "a heartbeat that counts again")
    app.close()
