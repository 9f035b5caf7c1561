"""When the store last answered, as a runner shows it: neither idle nor busy looks like a store that is away."""

from __future__ import annotations

import time

from pynenc_core.ports.runner import BaseRunner
from pynenc_testkit.flaky import FlakyDispatcher, Outage
from unit.app.running import Gate, app_of_its_own, eventually, runner_of

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
