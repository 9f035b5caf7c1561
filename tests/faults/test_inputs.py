"""What a runner is given that it cannot run, or that tries to end it: it lives, and says what became of it."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from faults.conftest import MakeScenario
from faults.runners import runners
from faults.scenario import Scenario
from pynenc_core.errors.invocations import InvocationQuarantinedError
from pynenc_core.invocation import Invocation
from pynenc_core.status import Status

LATER = """
from JOBS import app, note


@app.task
def added_later() -> str:
    note("effect")
    return "known"
"""


@runners("persistent-process")
def test_bodies_that_try_to_end_the_process(scenario: MakeScenario, runner: str) -> None:
    with scenario("exits", runner) as it:
        host = it.fleet.start(runner, 1)
        workers = host.workers
        left = it.accept([it.jobs.leaves(kind) for kind in ("SystemExit", "KeyboardInterrupt", "GeneratorExit")])
        (normal,) = it.accept([it.jobs.work(1)])
        it.wait_until_final()
        assert ({each.status for each in left}, normal.status) == ({Status.FAILED}, Status.SUCCESS)
        assert {it.record(each).state.crashes for each in left} == {0}
        assert host.workers == workers or it.kind.forks
        it.finish()


@runners("thread")
def test_an_unknown_task_waits_for_a_runner_that_knows_it(scenario: MakeScenario, runner: str) -> None:
    with scenario("F27", runner) as it:
        old = it.fleet.start(runner, 1)
        newer = it.project.import_module(it.project.add_module("newer", LATER))
        (unknown, normal) = it.accept([newer.added_later(), it.jobs.work(1)])
        it.when(normal, Status.SUCCESS)
        record = it.when(unknown, Status.PARKED)
        assert "added_later" in record.state.reason
        it.fleet.start(runner, 1, module=newer.__name__)
        it.wait_until_final()
        assert unknown.get_result() == "known"
        assert it.record(unknown).state.crashes == 0
        assert old.exit_code is None
        it.finish()


class Vandal:
    """Writes into the database file behind everybody's back."""

    def __init__(self, it: Scenario) -> None:
        self._connection = sqlite3.connect(it.project.file, isolation_level=None)

    def spoil_body(self, invocation: Invocation[object]) -> None:
        """Leave no record that could be decoded."""
        self._write("UPDATE fixed SET body = ? WHERE id = ?", b"\xc1 not msgpack", invocation)

    def spoil_argument(self, invocation: Invocation[object]) -> None:
        """Leave the record whole, and in it an argument that is no JSON."""
        ((body,),) = self._connection.execute("SELECT body FROM fixed WHERE id = ?", (invocation.invocation_id,)).fetchall()
        record, call = msgspec.msgpack.decode(body)
        name, payload = call["arguments"][0]
        call["arguments"][0] = [name, {**payload, "data": b"{broken"}]
        self._write("UPDATE fixed SET body = ? WHERE id = ?", msgspec.msgpack.encode((record, call)), invocation)

    def spoil_blobs(self) -> None:
        """Damage every large value."""
        assert self._connection.execute("UPDATE chunk SET data = zeroblob(10)").rowcount

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _write(self, statement: str, value: bytes, invocation: Invocation[object]) -> None:
        assert self._connection.execute(statement, (value, invocation.invocation_id)).rowcount == 1


@runners("multi-thread")
def test_an_argument_that_was_damaged(scenario: MakeScenario, runner: str) -> None:
    with scenario("corrupt-argument", runner) as it:
        damaged, large, *normal = it.accept([it.jobs.work(1), it.jobs.carries("x" * 100_000), it.jobs.work(2), it.jobs.work(3)])
        vandal = Vandal(it)
        vandal.spoil_argument(damaged)
        vandal.spoil_blobs()
        vandal.close()
        host = it.fleet.start(runner, 1)
        it.wait_until_final()
        assert {each.status for each in normal} == {Status.SUCCESS}
        for each in (damaged, large):
            with pytest.raises(InvocationQuarantinedError, match="cannot be read back"):
                each.get_result()
            assert it.record(each).state.crashes == 0
        assert host.exit_code is None
        it.finish()


@runners("process")
def test_a_record_that_was_damaged_holds_up_nobody(scenario: MakeScenario, runner: str) -> None:
    with scenario("corrupt-record", runner) as it:
        damaged = it.jobs.work(1)
        normal = it.accept([it.jobs.work(number) for number in range(2, 6)])
        vandal = Vandal(it)
        vandal.spoil_body(damaged)
        vandal.close()
        host = it.fleet.start(runner, 1)
        it.wait_until_final()
        assert {each.status for each in normal} == {Status.SUCCESS}
        with pytest.raises(InvocationQuarantinedError, match=f"the record of invocation {damaged.invocation_id} cannot be decoded: it was"):
            damaged.get_result(timeout=10.0)
        assert host.exit_code is None
        it.finish()
