"""Heartbeats, the role of the services, and who may judge that somebody is dead; stepped by hand."""

from __future__ import annotations

import logging

import pytest

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.model import Lease, Signal, Swept
from pynenc_core.orchestration.heartbeat import Heartbeat
from pynenc_core.orchestration.recovery import Recovery
from pynenc_core.orchestration.services import Purging
from unit.orchestration.stage import LEASE, Stage, heartbeat_of, role_of, stage


def beat_for(scene: Stage, heartbeat: Heartbeat, seconds: float, every: float = 5.0) -> None:
    """Let so many seconds pass with regular heartbeats."""
    for _ in range(int(seconds / every)):
        scene.clock.advance(every)
        heartbeat.turn()


class Failing:
    """A service that raises."""

    def turn(self, now: float) -> int:
        """Raise."""
        raise ValueError(now)


class Counting:
    """A service that counts its turns."""

    def __init__(self) -> None:
        self.turns = 0

    def turn(self, now: float) -> int:
        """Count."""
        del now
        self.turns += 1
        return 1


class TestHeartbeat:
    def test_it_is_sure_to_live_for_a_lease_from_before_the_call(self) -> None:
        with stage() as scene:
            heartbeat = heartbeat_of(scene)
            assert not heartbeat.alive_for_sure()
            heartbeat.turn()
            assert heartbeat.alive_for_sure()
            scene.clock.advance(LEASE - 0.1)
            assert heartbeat.alive_for_sure()
            scene.clock.advance(0.1)
            assert not heartbeat.alive_for_sure()

    def test_a_reply_that_took_long_does_not_lengthen_the_lease(self) -> None:
        with stage() as scene:
            heartbeat, real = heartbeat_of(scene), scene.engine.state.beat

            def slow(*args: object, **options: object) -> tuple[Signal, ...]:
                scene.clock.advance(LEASE - 1)
                return real(*args, **options)  # type: ignore[arg-type] # passed on as they came

            scene.engine.state.beat = slow  # type: ignore[method-assign] # a slow network
            heartbeat.turn()
            scene.clock.advance(1)
            assert not heartbeat.alive_for_sure()

    def test_contact_is_uninterrupted_since_the_last_gap_of_a_lease(self) -> None:
        with stage() as scene:
            heartbeat = heartbeat_of(scene)
            heartbeat.turn()
            beat_for(scene, heartbeat, 60)
            assert heartbeat.uninterrupted_for() == 60
            scene.clock.advance(LEASE)
            assert heartbeat.uninterrupted_for() == 0
            heartbeat.turn()
            assert heartbeat.uninterrupted_for() == 0
            beat_for(scene, heartbeat, 10)
            assert heartbeat.uninterrupted_for() == 10

    def test_it_speaks_for_the_children_and_brings_back_requests(self) -> None:
        with stage() as scene:
            (invocation,) = scene.queue()
            child, told = scene.worker(), list[Signal]()
            scene.claim(child)
            heartbeat = Heartbeat(scene.engine, "parent", lambda: [child.runner_id], told.extend, lambda: True)
            heartbeat.turn()
            assert {beat.runner_id for beat in scene.app.orchestrator.get_active_runners()} == {"parent", child.runner_id}
            assert told == []
            invocation.cancel("enough")
            heartbeat.turn()
            assert [(signal.invocation_id, signal.reason) for signal in told] == [(invocation.invocation_id, "enough")]


class TestRole:
    def test_one_runner_at_a_time_has_it_and_another_takes_it_over(self) -> None:
        with stage() as scene:
            one, other = heartbeat_of(scene), heartbeat_of(scene)
            counts = Counting(), Counting()
            roles = [role_of(scene, beat, name, {"count": count}) for beat, name, count in zip((one, other), "ab", counts, strict=True)]
            for heartbeat in (one, other):
                heartbeat.turn()
            for _ in range(8):
                scene.clock.advance(5)
                for heartbeat, role in zip((one, other), roles, strict=True):
                    heartbeat.turn()
                    role.turn()
            assert counts[0].turns > 0
            assert counts[1].turns == 0
            roles[0].stop()
            assert roles[1].turn() == 1

    def test_a_dead_holder_loses_it_within_a_lease(self) -> None:
        with stage() as scene:
            dead, heir = heartbeat_of(scene), heartbeat_of(scene)
            count = Counting()
            role_of(scene, dead, "dead").turn()
            role = role_of(scene, heir, "heir", {"count": count})
            heir.turn()
            beat_for(scene, heir, LEASE)
            role.turn()
            assert count.turns == 1

    def test_nobody_is_judged_by_a_sweeper_that_was_not_in_contact_for_one_lease(self) -> None:
        with stage() as scene:
            (invocation,) = scene.queue()
            living = scene.worker()
            scene.claim(living)
            sweeper = heartbeat_of(scene)
            role = role_of(scene, sweeper, "sweeper")
            sweeper.turn()
            beat_for(scene, sweeper, LEASE, every=LEASE / 6)
            scene.beat(living)
            role.turn()
            scene.clock.advance(2 * LEASE)  # an outage of the store: nobody could give a heartbeat
            sweeper.turn()
            assert role.turn() == 0
            beat_for(scene, sweeper, LEASE - 5)
            assert role.turn() == 0
            scene.beat(living)  # it, too, is in contact again
            beat_for(scene, sweeper, 5)
            role.turn()
            assert invocation.status == "RUNNING"

    def test_after_an_outage_the_really_dead_are_recovered_a_lease_later(self) -> None:
        with stage() as scene:
            (invocation,) = scene.queue()
            scene.claim(scene.worker())
            sweeper = heartbeat_of(scene)
            role = role_of(scene, sweeper, "sweeper")
            sweeper.turn()
            scene.clock.advance(2 * LEASE)
            sweeper.turn()
            beat_for(scene, sweeper, LEASE)
            role.turn()
            assert invocation.status == "REROUTED"

    def test_a_sweeper_that_cannot_reach_the_store_now_judges_nobody(self) -> None:
        with stage() as scene:
            sweeper, count = heartbeat_of(scene), Counting()
            role = role_of(scene, sweeper, "sweeper", {"count": count})
            sweeper.turn()
            beat_for(scene, sweeper, 2 * LEASE)
            scene.clock.advance(LEASE)
            role.turn()
            assert count.turns == 0

    def test_a_service_that_fails_stops_no_other(self, caplog: pytest.LogCaptureFixture) -> None:
        with stage() as scene:
            sweeper, count = heartbeat_of(scene), Counting()
            role = role_of(scene, sweeper, "sweeper", {"failing": Failing(), "count": count})
            sweeper.turn()
            beat_for(scene, sweeper, LEASE)
            assert role.turn() == 1
            assert count.turns == 1
        assert any("service failing failed in this turn" in record.getMessage() for record in caplog.records)

    def test_taking_it_and_moving_something_on_are_told_at_info(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        with stage() as scene:
            scene.queue()
            scene.claim(scene.worker())
            sweeper = heartbeat_of(scene)
            role = role_of(scene, sweeper, "sweeper")
            sweeper.turn()
            beat_for(scene, sweeper, LEASE + 5)
            role.turn()
            role.turn()
        told = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
        assert told.count("runner sweeper carries out the background services") == 1
        assert told.count("service recovery moved on 1") == 1

    def test_the_role_is_renewed_before_it_ends_and_not_at_each_turn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with stage() as scene:
            heartbeat, counting = heartbeat_of(scene), Counting()
            role, take = role_of(scene, heartbeat, "one", {"counting": counting}), scene.engine.state.take_lease
            asked: list[float] = []

            def noted(name: str, holder: str, seconds: float) -> Lease | None:
                asked.append(scene.clock.time())
                return take(name, holder, seconds)

            monkeypatch.setattr(scene.engine.state, "take_lease", noted)
            heartbeat.turn()
            role.turn()
            for _ in range(12):
                beat_for(scene, heartbeat, 5.0)
                role.turn()
                assert scene.engine.state.take_lease("services", "other", 1.0) is None
                asked.pop()
            assert len(asked) == 1 + 60 // 15
            assert counting.turns == 7  # from when it was in contact for a lease

    def test_stopping_twice_is_harmless(self) -> None:
        with stage() as scene:
            heartbeat = heartbeat_of(scene)
            role = role_of(scene, heartbeat, "one")
            heartbeat.turn()
            role.turn()
            for _ in range(2):
                role.stop()
                heartbeat.stop()


class TestPurging:
    def test_only_what_is_final_for_long_enough_goes(self) -> None:
        with stage() as scene:
            old, waiting = scene.queue(2)
            old.cancel()
            scene.clock.advance(23 * 3600)
            (young,) = scene.queue()
            young.cancel()
            scene.clock.advance(3600 + 1)
            assert Purging(scene.engine).turn(scene.engine.state.now()) == 1
            assert scene.app.orchestrator.filter_by_status([old.invocation_id], ["CANCELLED"]) == ()  # type: ignore[list-item] # text compares equal
            assert (waiting.status, young.status) == ("REGISTERED", "CANCELLED")

    def test_it_goes_on_while_there_is_something_and_rests_when_there_is_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with stage() as scene:
            found, asked = [1000, 7, 0, 5, 0], list[float]()

            def sweep(before: float, limit: int = 1000) -> Swept:
                asked.append(before)
                return Swept(invocations=found[len(asked) - 1] if limit else 0)

            monkeypatch.setattr(scene.engine.state, "sweep", sweep)
            purging = Purging(scene.engine)
            done = [purging.turn(scene.engine.state.now()) for _ in range(17)]
            assert done == [1000, 7, 0, *[0] * 11, 5, 0, 0]
            assert len(asked) == 5

    def test_it_may_be_switched_off(self) -> None:
        with stage(orchestrator={"auto_final_invocation_purge_hours": 0.0}) as scene:
            (old,) = scene.queue()
            old.cancel()
            scene.clock.advance(10_000 * 3600)
            assert scene.app.orchestrator.auto_purge() == 0
            assert old.status == "CANCELLED"


@pytest.mark.parametrize("verb", ["count", "beats", "find"])
def test_an_outage_in_a_turn_is_for_the_loop_to_say(verb: str) -> None:
    with stage() as scene:
        sweeper = heartbeat_of(scene)
        role = role_of(scene, sweeper, "sweeper", {"recovery": Recovery(scene.engine, "sweeper")})
        sweeper.turn()
        beat_for(scene, sweeper, LEASE)

        def away(*_: object, **__: object) -> object:
            raise BackendUnavailableError("store", "not there")

        scene.queue()
        scene.claim(scene.worker())
        setattr(scene.engine.state, verb, away)  # this is an outage
        with pytest.raises(BackendUnavailableError):
            role.turn()


def test_services_that_are_asked_for_between_two_turns_wait_for_the_next() -> None:
    class Counting:
        turns = 0

        def turn(self, now: float) -> int:
            del now
            self.turns += 1
            return 0

    with stage() as scene:
        service, heartbeat = Counting(), heartbeat_of(scene)
        role = role_of(scene, heartbeat, "runner", {"counting": service})
        heartbeat.turn()
        for _ in range(8):  # in uninterrupted contact with the store for more than a lease
            scene.clock.advance(LEASE / 5)
            heartbeat.turn()
        turns = [(role.turn_if_due(), service.turns)[1]]
        for seconds in (role.interval / 2, role.interval):
            turns.append((role.turn_if_due(), service.turns)[1])
            scene.clock.advance(seconds)
            heartbeat.turn()
            turns.append((role.turn_if_due(), service.turns)[1])
        assert turns == [1, 1, 1, 1, 2]
