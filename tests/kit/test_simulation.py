"""Time, outages and the end of a process, simulated."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pynenc_backend_memory.broker import MemoryBroker
from pynenc_backend_memory.dispatcher import MemoryDispatcher
from pynenc_backend_memory.state_backend import MemoryStateBackend
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.model import Ask, Queued
from pynenc_core.ports.clock import Clock
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.flaky import FlakyBroker, FlakyDispatcher, Outage
from pynenc_testkit.killpoints import EXIT_CODE, VARIABLE, KillPoint, kill_points
from pynenc_testkit.samples import batch, new
from pynenc_testkit.services import require_service
from pynenc_testkit.stores import Background, KitApp


class TestManualClock:
    def test_it_stands_still_until_it_is_moved(self) -> None:
        clock = ManualClock(start=100.0)
        typed: Clock = clock
        assert (typed.time(), typed.monotonic()) == (100.0, 0.0)
        clock.advance(2.5)
        assert (clock.time(), clock.monotonic()) == (102.5, 2.5)

    def test_sleepers_return_when_their_time_has_come(self) -> None:
        clock = ManualClock()
        short, long = Background(lambda: clock.sleep(5)), Background(lambda: clock.sleep(60))
        assert clock.wait_for_sleepers(2)
        clock.advance(5)
        short.result()
        assert (clock.sleepers, long.is_alive()) == (1, True)
        clock.advance(55)
        long.result()
        assert not clock.wait_for_sleepers(1, timeout=0.0)

    def test_a_ticking_one_runs_on_and_jumps(self) -> None:
        clock = ManualClock(ticking=True)
        first = clock.monotonic()
        clock.sleep(0.001)
        assert clock.monotonic() > first
        clock.advance(1000)
        assert 1000 < clock.monotonic() < 1100


@pytest.fixture
def app() -> KitApp:
    return KitApp("kit", "memory://flaky", ManualClock(ticking=True))


class TestOutages:
    def test_a_lost_request_was_not_carried_out_and_a_lost_reply_was(self, app: KitApp) -> None:
        state = MemoryStateBackend(app)
        outage = Outage("shop store")
        dispatcher = FlakyDispatcher(MemoryDispatcher(state), outage)
        given = batch(new("a"))
        with outage.begin("request"), pytest.raises(BackendUnavailableError, match="shop store cannot be used: submit fails on purpose"):
            dispatcher.submit(given)
        assert state.get(["a"]) == {}
        with outage.begin("reply"), pytest.raises(BackendUnavailableError):
            dispatcher.submit(given)
        assert set(state.get(["a"])) == {"a"}
        assert dispatcher.submit(given).ids == ("a",)
        assert [each.invocation_id for each in dispatcher.claim(Ask(runner_id="r1", limit=9)).claimed] == ["a"]
        assert (outage.refused, outage.lost) == (2, None)

    def test_every_call_to_the_server_fails_and_waking_does_not(self, app: KitApp) -> None:
        dispatcher, broker = FlakyDispatcher(MemoryDispatcher(MemoryStateBackend(app))), FlakyBroker(MemoryBroker(app))
        with dispatcher.outage.begin(), broker.outage.begin():
            for call in (
                lambda: dispatcher.settle(()),
                lambda: dispatcher.await_work(("q",), 0),
                dispatcher.republish,
                lambda: dispatcher.depth("q"),
                lambda: broker.publish([Queued("a", "q", 1.0)]),
                lambda: broker.take(["q"], 1, 0),
                lambda: broker.oldest("q"),
                lambda: broker.size("q"),
                lambda: broker.discard(["a"]),
                broker.purge,
            ):
                with pytest.raises(BackendUnavailableError):
                    call()
            dispatcher.wake()
            broker.wake()
        broker.publish([Queued("a", "q", 1.0)])
        assert (broker.size("q"), broker.oldest("q")) == (1, Queued("a", "q", 1.0))
        broker.discard(["b"])
        assert broker.take(["q"], 1, 0) == ("a",)
        broker.purge()
        assert dispatcher.settle(()).refused == ()
        assert dispatcher.await_work(("q",), 0)  # the wake of before
        assert (dispatcher.republish(), dispatcher.depth("q")) == (0, 0)
        broker.close()
        dispatcher.close()


CHILD = """
import sys
from pathlib import Path
from pynenc_testkit.killpoints import KillPoint
class Driver:
    def write(self, line):
        with Path(sys.argv[1]).open("a") as file:
            file.write(line)
point = KillPoint.from_environ()
with point.over("__main__:Driver.write"):
    for number in range(3):
        Driver().write(str(number))
"""


class TestKillPoints:
    def test_a_child_is_killed_before_and_after_each_of_its_writes(self, tmp_path: Path) -> None:
        target = tmp_path / "written"

        def run(point: KillPoint) -> int:
            target.write_text("")
            command = [sys.executable, "-c", CHILD, str(target)]
            return subprocess.run(command, env={**os.environ, **point.to_environ()}, check=False).returncode

        seen = [(point.at, point.after, target.read_text()) for point in kill_points(run)]
        assert seen == [(1, False, ""), (1, True, "0"), (2, False, "0"), (2, True, "01"), (3, False, "01"), (3, True, "012")]
        assert target.read_text() == "012"

    def test_a_child_that_fails_by_itself_is_no_kill(self) -> None:
        with pytest.raises(AssertionError, match="ended with 3, not by its kill point"):
            list(kill_points(lambda _: 3))
        with pytest.raises(pytest.fail.Exception, match="more than 3 writes"):
            list(kill_points(lambda _: EXIT_CODE, limit=3))

    def test_an_armed_backend_counts_what_it_writes(self, app: KitApp) -> None:
        state, point = MemoryStateBackend(app), KillPoint(0)
        dispatcher = MemoryDispatcher(state)
        point.arm(dispatcher)
        point.arm(state, ["mark"])
        dispatcher.submit(batch(new("a")))
        dispatcher.depth("default")
        state.get(["a"])
        state.mark([])
        assert point.writes == 2

    @pytest.mark.parametrize("point", [KillPoint(0), KillPoint(7), KillPoint(3, after=True)], ids=["none", "before", "after"])
    def test_a_kill_point_travels_in_the_environment(self, point: KillPoint) -> None:
        assert KillPoint.from_environ(point.to_environ()) == point
        assert KillPoint.from_environ({VARIABLE: "0"}) == KillPoint.from_environ({})


def test_a_missing_service_is_a_failure_that_says_how_to_get_it() -> None:
    def probe() -> None:
        raise ConnectionRefusedError

    with pytest.raises(pytest.fail.Exception, match=r"Redis is needed here and cannot be used .*; start it with `redis-server`"):
        require_service("Redis", probe, "start it with `redis-server`")
    require_service("nothing", lambda: None, "")
