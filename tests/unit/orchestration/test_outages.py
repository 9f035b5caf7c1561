"""A runner while its store is away: nothing is lost, nothing that was settled runs again, and it goes on by itself."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import pytest

from pynenc_core import Pynenc
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.model import Ask, Change, SettleReply
from pynenc_testkit.flaky import FlakyDispatcher, Outage
from unit.app.running import Gate, app_of_its_own, eventually, runner_of, statuses


class Trouble(FlakyDispatcher):
    """A dispatcher whose settle does, before or after its work, what the test put in the way."""

    before: Callable[[Sequence[Change], Ask | None], None] | None = None
    after: Callable[[SettleReply], None] | None = None

    def settle(self, changes: Sequence[Change], *, ask: Ask | None = None) -> SettleReply:
        """Settle, with what is in the way."""
        if self.before is not None:
            self.before(changes, ask)
        reply = super().settle(changes, ask=ask)
        if self.after is not None:
            self.after(reply)
        return reply


@contextmanager
def troubled(**settings: Any) -> Iterator[tuple[Pynenc, Trouble]]:
    """Give an app and the dispatcher through which all its calls go."""
    app = app_of_its_own(**settings)
    engine = app.orchestrator.engine
    dispatcher = Trouble(engine.dispatcher, Outage())
    object.__setattr__(engine, "dispatcher", dispatcher)
    try:
        yield app, dispatcher
    finally:
        app.close()


def lose(what: Literal["request", "reply"], times: int, wanted: Callable[[Sequence[Change], Ask | None], bool], store: Trouble) -> None:
    """Lose the next so many calls of settle that are wanted."""
    left = [times]
    armed = threading.local()

    def before(changes: Sequence[Change], ask: Ask | None) -> None:
        armed.yes = left[0] > 0 and wanted(changes, ask)
        if armed.yes:
            left[0] -= 1
            if what == "request":
                raise BackendUnavailableError("store", "the request was lost")

    def after(reply: SettleReply) -> None:
        del reply
        if armed.yes:
            raise BackendUnavailableError("store", "the reply was lost")

    store.before, store.after = before, after


def ends_something(changes: Sequence[Change], ask: Ask | None) -> bool:
    """Return whether this is a call that settles a result."""
    del ask
    return any(change.to == "SUCCESS" for change in changes)


def claims_something(changes: Sequence[Change], ask: Ask | None) -> bool:
    """Return whether this is a call that claims."""
    del changes
    return ask is not None and ask.limit > 0


@pytest.mark.parametrize("lost", ["request", "reply"])
def test_a_result_waits_for_the_store_and_its_task_does_not_run_again(
    lost: Literal["request", "reply"], caplog: pytest.LogCaptureFixture
) -> None:
    runs: Counter[int] = Counter()
    with troubled(threads=1) as (app, store):

        @app.task
        def count(n: int) -> int:
            runs[n] += 1
            return n

        lose(lost, 3, ends_something, store)
        group = count.parallelize([(n,) for n in range(20)])
        with runner_of(app):
            assert sorted(group.iter_results(20)) == list(range(20))
        assert set(runs.values()) == {1}
        assert all(statuses(member)[-1] == "SUCCESS" for member in group)
    said = [record for record in caplog.records if "results wait for the store" in record.getMessage()]
    assert len(said) <= 3
    assert said


@pytest.mark.parametrize("threads", [1, 3])
def test_claims_whose_reply_was_lost_are_found_and_run_once(threads: int) -> None:
    runs: Counter[int] = Counter()
    with troubled(threads=threads) as (app, store):

        @app.task
        def count(n: int) -> int:
            runs[n] += 1
            return n

        lose("reply", 4, claims_something, store)
        group = count.parallelize([(n,) for n in range(30)])
        with runner_of(app):
            assert sorted(group.iter_results(20)) == list(range(30))
        assert set(runs.values()) == {1}
        assert not [member for member in group if app.get_invocation(member.invocation_id).record.state.crashes]


def test_lost_claims_are_found_while_every_slot_is_busy() -> None:
    gates = {"first": Gate(), "second": Gate()}
    with troubled(threads=1) as (app, store):

        @app.task
        def hold(name: str) -> None:
            gates[name].pass_through()

        @app.task(priority=50)
        def quick() -> int:
            return 1

        with runner_of(app):
            first = hold("first")
            gates["first"].wait_for()
            lost = quick()
            lose("reply", 1, ends_something, store)
            second = hold("second")
            gates["first"].open()
            first.get_result(10)
            gates["second"].wait_for()
            eventually(lambda: lost.status == "REROUTED", "finding it", 5)
            gates["second"].open()
            assert lost.get_result(10) == 1
            second.get_result(10)


def test_the_store_may_be_away_again_when_lost_claims_are_looked_for() -> None:
    with troubled(threads=1) as (app, store):

        @app.task
        def one(n: int) -> int:
            return n

        state = app.orchestrator.engine.state
        real, refused = state.find, [0]

        def away(*args: Any, **options: Any) -> Any:
            if options.get("limit") == 1000 and refused[0] < 2:
                refused[0] += 1
                raise BackendUnavailableError("store", "away again")
            return real(*args, **options)

        state.find = away  # type: ignore[method-assign] # the second outage
        lose("reply", 1, claims_something, store)
        group = one.parallelize([(n,) for n in range(5)])
        with runner_of(app):
            assert sorted(group.iter_results(20)) == list(range(5))
        assert refused == [2]


def test_an_error_that_is_no_outage_costs_neither_the_runner_nor_a_slot() -> None:
    runs: list[int] = []
    with troubled(threads=1) as (app, store):

        @app.task
        def one(n: int) -> int:
            runs.append(n)
            return n

        left = [2]

        def before(changes: Sequence[Change], ask: Ask | None) -> None:
            if left[0] and ends_something(changes, ask):
                left[0] -= 1
                raise ValueError("a store with a defect")

        store.before = before
        group = one.parallelize([(n,) for n in range(5)])
        with runner_of(app):
            assert sorted(group.iter_results(20)) == list(range(5))
        assert len(runs) == 7


def test_a_wait_that_begins_during_an_outage_begins_after_it() -> None:
    with troubled(threads=1) as (app, store):

        @app.task
        def child(n: int) -> int:
            return n + 1

        @app.task
        def parent(n: int) -> int:
            return child(n).get_result(10)

        def pauses(changes: Sequence[Change], ask: Ask | None) -> bool:
            del ask
            return any("PAUSED" in change.through or change.expect.status == "PAUSED" for change in changes)

        for lost in ("request", "reply"):
            lose(lost, 4, pauses, store)
            with runner_of(app):
                made = parent(1)
                assert made.get_result(20) == 2
            assert statuses(made) == ["REGISTERED", "PENDING", "RUNNING", "PAUSED", "RUNNING", "SUCCESS"]


def test_a_call_during_an_outage_says_so() -> None:
    with troubled() as (app, store):

        @app.task
        def one() -> int:
            return 1

        with store.outage.begin(), pytest.raises(BackendUnavailableError, match="submit fails on purpose"):
            one()
        assert app.orchestrator.count_invocations() == 0


def test_a_runner_waits_for_its_store_says_so_once_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with troubled(threads=1) as (app, store):

        @app.task
        def one() -> int:
            return 1

        with runner_of(app):
            assert one().get_result(5) == 1
            caplog.clear()
            with store.outage.begin():
                store.wake()
                eventually(lambda: store.outage.refused >= 3, "three refusals", 10)
            assert one().get_result(10) == 1
        said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert len([line for line in said if "store" in line]) <= 2, said


def test_a_stop_during_an_outage_ends_and_leaves_the_rest_to_recovery() -> None:
    gate = Gate()
    with troubled(threads=1, runner={"grace_period_sec": 0.1}) as (app, store):

        @app.task
        def hold() -> int:
            gate.pass_through()
            return 1

        made = hold()
        with ExitStack() as outage:
            with runner_of(app) as runner:
                gate.wait_for()
                outage.enter_context(store.outage.begin())
                began = time.monotonic()
            assert time.monotonic() - began < 10
        assert made.status == "RUNNING"
        gate.open()
        assert app.orchestrator.hand_on(runner.runner_id, "it ended") == 1
        with runner_of(app):
            assert made.get_result(10) == 1


def test_a_runner_that_could_not_renew_its_lease_claims_nothing_until_it_could() -> None:
    quick = {"heartbeat_interval_sec": 0.05, "runner_considered_dead_after_minutes": 0.4 / 60}
    with troubled(threads=1, runner=quick) as (app, _):

        @app.task
        def one() -> int:
            return 1

        state = app.orchestrator.engine.state
        real = state.beat
        with runner_of(app) as runner:
            assert one().get_result(5) == 1

            def away(*_: object, **__: object) -> Any:
                raise BackendUnavailableError("store", "no heartbeat gets through")

            state.beat = away  # type: ignore[method-assign] # only heartbeats are lost
            eventually(lambda: not runner.duties.may_claim, "the end of the lease", 5)
            made = one()
            pause = threading.Event()
            pause.wait(0.3)
            assert made.status == "REGISTERED"
            state.beat = real  # type: ignore[method-assign] # all is as before
            assert made.get_result(10) == 1


@pytest.mark.parametrize("lost", ["request", "reply"])
def test_with_settle_batch_too(lost: Literal["request", "reply"]) -> None:
    runs: Counter[int] = Counter()
    with troubled(threads=2, runner={"settle_batch": 8}) as (app, store):

        @app.task
        def count(n: int) -> int:
            runs[n] += 1
            return n

        with runner_of(app):
            list(count.parallelize([(n,) for n in range(100, 200)]).iter_results(20))
            lose(lost, 5, claims_something, store)
            group = count.parallelize([(n,) for n in range(100)])
            assert sorted(group.iter_results(20)) == list(range(100))
        assert set(runs.values()) == {1}
