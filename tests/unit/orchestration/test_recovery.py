"""What the dead left behind: every status has a way on, crashes are charged by the rules, and nothing stops a sweep."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.errors.invocations import InvocationStatusOwnershipError
from pynenc_core.model import Ask, Change, InvocationRecord, Limit, RunnerContext, SettleReply
from pynenc_core.orchestration.recovery import Recovery
from pynenc_core.ports.transitions import change
from pynenc_core.status import Status
from pynenc_testkit.samples import batch, new
from unit.orchestration.stage import LEASE, Stage, owner, sqlite_url, stage


class TestEveryStatusHasAWayOn:
    """Its process died before the next write; a later claim runs it all the same."""

    @pytest.mark.parametrize(
        "left_in",
        [
            (),
            (Status.RETRY,),
            (Status.KILLED,),
            (Status.KILLED, Status.REROUTED),
            (Status.PAUSED,),
            (Status.RETRY, Status.SCHEDULED),
        ],
        ids=lambda statuses: "-".join(statuses) or "RUNNING",
    )
    def test_of_what_ran(self, left_in: tuple[Status, ...]) -> None:
        with stage() as scene:
            (invocation,) = scene.queue()
            dead, alive = scene.worker(), scene.worker()
            (record,) = scene.claim(dead)
            if left_in:
                scene.engine.dispatcher.settle(
                    [change(record, left_in, by=dead.runner_id, owner=owner(record), due=scene.clock.time() + 1)]
                )
            scene.pass_lease()
            scene.beat(alive)
            scene.sweep()
            (again,) = scene.claim(alive)
            assert again.invocation_id == invocation.invocation_id
            assert again.state.claim == 2

    @pytest.mark.parametrize("recovering", [Status.PENDING_RECOVERY, Status.RUNNING_RECOVERY])
    def test_of_what_a_sweep_left_half_done(self, recovering: Status) -> None:
        with stage() as scene:
            (invocation,) = scene.queue()
            dead = scene.worker()
            (record,) = scene.claim(dead)
            if recovering is Status.PENDING_RECOVERY:
                scene.move(invocation, Status.KILLED)
                scene.move(invocation, Status.REROUTED)
                pending_of(scene, dead)
                record = invocation.record
            scene.engine.dispatcher.settle([change(record, (recovering,), by="an earlier sweeper")])
            assert invocation.status == recovering
            assert scene.sweep() == 1
            assert scene.claim(scene.worker())[0].invocation_id == invocation.invocation_id

    def test_of_what_was_claimed_and_not_started_only_after_a_while(self) -> None:
        with stage(orchestrator={"max_pending_seconds": 100.0}) as scene:
            (invocation,) = scene.queue()
            pending_of(scene, scene.worker())
            scene.pass_lease()
            scene.sweep()
            assert invocation.status == "PENDING"
            scene.clock.advance(100)
            scene.sweep()
            assert invocation.status == "REROUTED"
            assert invocation.record.state.crashes == 0

    def test_of_what_was_registered_nothing_is_needed(self) -> None:
        with stage() as scene:
            scene.queue()
            assert scene.sweep() == 0
            assert len(scene.claim(scene.worker())) == 1

    def test_of_what_is_parked_when_somebody_knows_its_task_and_never_before(self) -> None:
        with stage() as scene:
            (invocation,) = scene.queue()
            record = pending_of(scene, scene.worker())
            scene.engine.dispatcher.settle([change(record, (Status.PARKED,), by=record.state.runner_id, owner=owner(record))])
            scene.sweep()
            assert invocation.status == "PARKED"
            knowing = scene.worker()
            scene.app.orchestrator.announce(knowing)
            assert invocation.status == "REROUTED"

    def test_of_what_is_parked_for_a_day_there_is_an_end(self) -> None:
        with stage() as scene:
            (invocation,) = scene.queue()
            record = pending_of(scene, scene.worker())
            scene.engine.dispatcher.settle([change(record, (Status.PARKED,), by=record.state.runner_id, owner=owner(record))])
            scene.clock.advance(24 * 3600 + 1)
            scene.sweep()
            assert invocation.status == "QUARANTINED"
            assert invocation.record.state.reason == "no runner knew its task for 24 h"

    def test_of_what_waits_beside_a_key_whose_holder_died(self) -> None:
        with stage() as scene:
            dead, alive = scene.worker(), scene.worker()
            holder, waiting = scene.limited(), scene.limited()
            scene.claim(dead, 2)
            assert [holder.status, waiting.status] == ["RUNNING", "CONCURRENCY_CONTROLLED"]
            scene.pass_lease()
            scene.beat(alive)
            scene.sweep()
            ran = set()
            for _ in range(2):
                (record,) = scene.claim(alive, 2)
                ran.add(record.invocation_id)
                scene.app.orchestrator.set_invocation_result(record.invocation_id, 1, owner(record))
            assert ran == {holder.invocation_id, waiting.invocation_id}

    def test_who_waits_although_there_is_room_is_woken_and_no_more_than_there_is_room_for(self) -> None:
        """As after the death of who freed a slot and did not look for waiters yet, in a store that does it in several steps."""
        with stage() as scene:
            both = (Limit("a", 1), Limit("b", 1))
            waiting = [new(name, rank=float(ord(name)), limits=both if name == "x" else both[:1]) for name in "xyz"]
            scene.engine.dispatcher.submit(batch(new("holder", limits=both[1:])))
            assert pending_of(scene, scene.worker()).invocation_id == "holder"
            scene.engine.dispatcher.submit(batch(*waiting))
            found = scene.engine.state.get(["x", "y", "z"])
            scene.engine.settle([change(record, (Status.CONCURRENCY_CONTROLLED,), by="a store") for record in found.values()])
            assert scene.sweep() == 1
            assert [scene.engine.state.get([name])[name].state.status for name in "xyz"] == [
                Status.CONCURRENCY_CONTROLLED,
                Status.REROUTED,
                Status.CONCURRENCY_CONTROLLED,
            ]


def pending_of(scene: Stage, worker: RunnerContext) -> InvocationRecord:
    """Let a worker claim one without starting it."""
    ask = Ask(runner_id=worker.runner_id, limit=1, start=0, queues=("default",), known_tasks=None)
    (record,) = scene.engine.dispatcher.claim(ask).claimed
    return record


class TestCharging:
    def test_one_that_ran_alone_is_charged_and_quarantined_at_the_third_time(self) -> None:
        with stage() as scene:
            (invocation,) = scene.queue()
            for crashes in (1, 2, 3):
                scene.claim(scene.worker())
                scene.pass_lease()
                scene.sweep()
                assert invocation.record.state.crashes == crashes
            assert invocation.status == "QUARANTINED"
            assert invocation.record.state.attempts == 0

    def test_several_in_one_process_are_suspects_uncharged_and_none_starts_with_another(self) -> None:
        with stage() as scene:
            made = scene.queue(3)
            scene.claim(scene.worker(), 3)
            scene.pass_lease()
            assert scene.sweep() == 3
            states = [invocation.record.state for invocation in made]
            assert [(state.suspect, state.crashes, state.status) for state in states] == [(True, 0, "REROUTED")] * 3
            assert scene.claim(scene.worker(), 3) == [], "a runner that cannot run one alone hands it back"

    def test_a_suspect_that_crashes_alone_is_charged(self) -> None:
        with stage() as scene:
            first, second = scene.queue(2)
            scene.claim(scene.worker(), 2)
            scene.pass_lease()
            scene.sweep()
            worker = scene.worker()
            record = pending_of(scene, worker)
            scene.move(scene.app.get_invocation(record.invocation_id), Status.RUNNING)
            scene.pass_lease()
            scene.sweep()
            assert sorted([first.record.state.crashes, second.record.state.crashes]) == [0, 1]

    def test_a_paused_one_is_not_charged_nor_a_reason_to_suspect_who_ran(self) -> None:
        with stage() as scene:
            paused, running = scene.queue(2)
            scene.claim(scene.worker(), 2)
            scene.move(paused, Status.PAUSED)
            scene.pass_lease()
            scene.sweep()
            assert (paused.record.state.crashes, paused.record.state.suspect) == (0, False)
            assert (running.record.state.crashes, running.record.state.suspect) == (1, False)

    def test_the_rule_holds_when_a_sweep_dies_half_way(self) -> None:
        with stage() as scene:
            made = scene.queue(3)
            scene.claim(scene.worker(), 3)
            scene.pass_lease()
            real = scene.engine.dispatcher.settle

            def only_the_first(changes: Sequence[Change], **more: object) -> SettleReply:
                del more
                real(changes[:1])
                raise BackendUnavailableError("store", "gone in the middle")

            scene.engine.dispatcher.settle = only_the_first  # type: ignore[method-assign] # one half of a sweep
            with pytest.raises(BackendUnavailableError):
                scene.sweep()
            scene.engine.dispatcher.settle = real  # type: ignore[method-assign] # all is as before
            Recovery(scene.engine, "another sweeper").turn(scene.engine.state.now())
            states = [invocation.record.state for invocation in made]
            assert [(state.suspect, state.crashes) for state in states] == [(True, 0)] * 3

    def test_what_was_asked_to_be_cancelled_is_cancelled_instead_of_run_again(self) -> None:
        with stage() as scene:
            (invocation,) = scene.queue()
            scene.claim(scene.worker())
            assert invocation.cancel("enough") == "requested"
            scene.pass_lease()
            scene.sweep()
            assert invocation.status == "CANCELLED"
            assert invocation.record.state.reason == "enough"

    def test_hand_on_of_a_child_is_at_once_and_by_the_same_rule(self) -> None:
        with stage() as scene:
            made = scene.queue(2)
            child = scene.worker()
            scene.claim(child, 2)
            assert scene.app.orchestrator.hand_on(child.runner_id, "exit signal 9") == 2
            assert [invocation.record.state.suspect for invocation in made] == [True, True]
            assert child.runner_id not in [beat.runner_id for beat in scene.app.orchestrator.get_active_runners()]
            assert scene.app.orchestrator.hand_on(child.runner_id, "again") == 0


class TestOwners:
    def test_the_living_are_left_alone(self) -> None:
        with stage() as scene:
            (invocation,) = scene.queue()
            worker = scene.worker()
            scene.claim(worker)
            scene.clock.advance(LEASE - 1)
            assert scene.sweep() == 0
            scene.beat(worker)
            scene.clock.advance(LEASE - 1)
            assert scene.sweep() == 0
            assert invocation.status == "RUNNING"

    def test_one_without_any_heartbeat_counts_as_dead(self) -> None:
        with stage() as scene:
            (invocation,) = scene.queue()
            scene.claim(RunnerContext.of_this_process("Unknown"))
            assert [record.invocation_id for record in scene.app.orchestrator.get_running_invocations_for_recovery()] == [
                invocation.invocation_id
            ]
            assert scene.sweep() == 1

    def test_a_zombie_is_fenced_also_when_the_same_runner_claimed_again(self) -> None:
        with stage() as scene:
            (invocation,) = scene.queue()
            zombie = scene.worker()
            (stale,) = scene.claim(zombie)
            scene.pass_lease()
            scene.sweep()
            scene.beat(zombie)
            (fresh,) = scene.claim(zombie)
            with pytest.raises(InvocationStatusOwnershipError):
                scene.app.orchestrator.set_invocation_result(invocation.invocation_id, 1, owner(stale))
            assert invocation.record.state == fresh.state
            scene.app.orchestrator.set_invocation_result(invocation.invocation_id, 2, owner(fresh))
            assert invocation.result == 2

    def test_two_sweepers_at_once_move_each_on_once(self) -> None:
        with stage() as scene:
            made = scene.queue(5)
            scene.claim(scene.worker(), 5)
            scene.pass_lease()
            other, real = Recovery(scene.engine, "other"), scene.engine.dispatcher.settle
            inner: list[int] = []

            def meanwhile(changes: Sequence[Change], **more: object) -> SettleReply:
                del more
                scene.engine.dispatcher.settle = real  # type: ignore[method-assign] # the other comes once
                inner.append(other.turn(scene.engine.state.now()))
                return real(changes)

            scene.engine.dispatcher.settle = meanwhile  # type: ignore[method-assign] # the other comes in between
            assert scene.sweep() == 0
            assert inner == [5]
            for invocation in made:
                state = invocation.record.state
                assert (state.status, state.suspect, state.crashes) == ("REROUTED", True, 0)
                assert len(invocation.history) == 5


class TestOneBadRecord:
    def test_that_cannot_be_moved_stops_nobody(self, caplog: pytest.LogCaptureFixture) -> None:
        with stage() as scene:
            made = scene.queue(5)
            for _ in made:
                scene.claim(scene.worker())
            scene.pass_lease()
            bad, real = made[2].invocation_id, scene.engine.dispatcher.settle

            def refusing(changes: Sequence[Change], **more: object) -> SettleReply:
                del more
                if any(each.invocation_id == bad for each in changes):
                    raise ValueError(bad)
                return real(changes)

            scene.engine.dispatcher.settle = refusing  # type: ignore[method-assign] # a store that cannot write one
            scene.sweep()
            assert [invocation.status for invocation in made] == ["REROUTED", "REROUTED", "RUNNING", "REROUTED", "REROUTED"]
        assert any(f"invocation {bad} cannot be recovered" in record.getMessage() for record in caplog.records)

    def test_that_cannot_be_read_stops_nobody(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with stage(sqlite_url(tmp_path)) as scene:
            made = scene.queue(5)
            for _ in made:
                scene.claim(scene.worker())
            scene.pass_lease()
            with sqlite3.connect(tmp_path / "jobs.db") as file:
                changed = file.execute("UPDATE invocation SET extra = x'c1' WHERE id = ?", (made[2].invocation_id,))
                assert changed.rowcount == 1
            file.close()
            scene.sweep()
            sound = [made[index].status for index in (0, 1, 3, 4)]
            assert sound == ["REROUTED"] * 4
        assert any("cannot be read; it is passed over" in record.getMessage() for record in caplog.records)

    def test_of_what_runners_announced_stops_nobody(self) -> None:
        with stage() as scene:
            (invocation,) = scene.queue()
            record = pending_of(scene, scene.worker())
            scene.engine.dispatcher.settle([change(record, (Status.PARKED,), by=record.state.runner_id, owner=owner(record))])
            good, bad = scene.worker(), scene.worker()
            scene.engine.state.put_value("runner_tasks", bad.runner_id, b"\xff")
            scene.engine.state.put_value("runner_tasks", good.runner_id, msgspec.json.encode([scene.task.task_id]))
            scene.sweep()
            assert invocation.status == "REROUTED"

    def test_of_a_death_stops_nobody(self) -> None:
        with stage() as scene:
            made = scene.queue(2)
            dead = scene.worker()
            scene.claim(dead, 2)
            scene.engine.state.put_value("runner_death", dead.runner_id, b"not json")
            scene.pass_lease()
            assert scene.sweep() == 2
            assert [invocation.record.state.suspect for invocation in made] == [True, True]

    def test_step_of_a_sweep_stops_none_of_the_others(self, caplog: pytest.LogCaptureFixture) -> None:
        with stage() as scene:
            (invocation,) = scene.queue()
            (record,) = scene.claim(scene.worker())
            scene.engine.dispatcher.settle([change(record, (Status.KILLED,), by=record.state.runner_id, owner=owner(record))])
            real = scene.engine.state.get_values

            def failing(kind: str, keys: Collection[str]) -> dict[str, bytes]:
                if kind == "runner_tasks":
                    raise ValueError(kind)
                return real(kind, keys)

            scene.engine.state.get_values = failing  # type: ignore[method-assign] # one step cannot work
            other = scene.queue()[0]
            parked = pending_of(scene, scene.worker())
            scene.engine.dispatcher.settle([change(parked, (Status.PARKED,), by=parked.state.runner_id, owner=owner(parked))])
            scene.sweep()
            assert invocation.status == "REROUTED"
            assert other.status == "PARKED"
        assert [record for record in caplog.records if record.levelno == logging.ERROR]

    def test_but_an_outage_ends_the_sweep(self) -> None:
        with stage() as scene:
            scene.queue()
            scene.claim(scene.worker())
            scene.pass_lease()

            def away(*_: object, **__: object) -> SettleReply:
                raise BackendUnavailableError("store", "not there")

            scene.engine.dispatcher.settle = away  # type: ignore[method-assign] # this is an outage
            with pytest.raises(BackendUnavailableError):
                scene.sweep()


def test_a_sweep_that_cannot_count_looks_at_everything() -> None:
    with stage() as scene:
        (made,) = scene.queue()
        scene.claim(scene.worker())
        scene.pass_lease()

        def broken(*_: object) -> object:
            raise ValueError

        scene.engine.state.count = broken  # type: ignore[method-assign,assignment] # as a store with a record that it cannot read
        assert scene.sweep() == 1
        assert made.status == "REROUTED"


def test_who_begins_while_a_sweep_looks_is_not_taken_for_dead() -> None:
    with stage() as scene:
        scene.queue()
        scene.claim(scene.worker())
        (made,) = scene.queue()
        find = scene.engine.state.find

        def late(*given: Any, **options: Any) -> Sequence[InvocationRecord]:
            scene.engine.state.find = find  # type: ignore[method-assign] # the store as it was: this happens once
            scene.claim(scene.worker("JustStarted"))
            return find(*given, **options)

        scene.engine.state.find = late  # type: ignore[method-assign,assignment] # the sweep has read who lives by now
        assert scene.sweep() == 0
        assert made.status == "RUNNING"
        scene.pass_lease()
        assert scene.sweep() == 2
