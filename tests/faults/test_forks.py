"""Processes for each invocation, forked beside an app that holds open what must not be forked."""

from __future__ import annotations

import pytest

from faults.conftest import MakeScenario
from pynenc_core.status import Status

CHILDREN = 500
HAZARDS = """
import socket
import sqlite3
import threading

from JOBS import FOLDER, app, note

LOCK = threading.Lock()


def hold_the_lock() -> None:
    while True:
        with LOCK:
            threading.Event().wait(0.01)


for _ in range(4):
    threading.Thread(target=hold_the_lock, daemon=True).start()
READING, WRITING = socket.socketpair()
threading.Thread(target=READING.recv, args=(1,), daemon=True).start()
CLIENT = sqlite3.connect(FOLDER / "other.db", check_same_thread=False)
CLIENT.execute("PRAGMA user_version = 1").close()


@app.task
def careful(number: int) -> int:
    note("effect")
    with LOCK:
        return number + CLIENT.execute("SELECT 0").fetchone()[0]
"""


@pytest.mark.full
def test_500_children_of_an_app_with_threads_and_an_open_client(scenario: MakeScenario) -> None:
    with scenario("F32", "process") as it:
        module = it.project.import_module(it.project.add_module("hazards", HAZARDS))
        it.fleet.start(it.runner, 4, module=module.__name__)
        group = it.accept(module.careful.parallelize([(number,) for number in range(CHILDREN)]))
        it.wait_until_final(30.0 + CHILDREN)
        assert {each.status for each in group} == {Status.SUCCESS}
        assert [each.get_result() for each in group] == list(range(CHILDREN))
        assert len({line.pid for line in it.ledger.lines()}) == CHILDREN
        it.finish(children=CHILDREN)
