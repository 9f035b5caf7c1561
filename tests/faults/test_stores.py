"""The file cannot be written, is not ours, is held by somebody else, or its disk is full."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from faults.conftest import MakeScenario
from faults.disks import small_disk
from faults.project import LEASE
from faults.runners import runners
from faults.scenario import Scenario
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_testkit.stores import eventually


def make_unwritable(path: Path) -> None:
    for each in (path, *path.parent.glob(f"{path.name}-*")):
        if each.is_file():
            each.chmod(0o400)
    path.parent.chmod(0o500)


def damage(path: Path) -> None:
    path.write_bytes(b"this was a database once\n" * 1000)


def damage_inside(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def make_newer(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()


@runners("thread")
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (make_unwritable, "may only be read"),
        (damage, "is damaged or not a pynenc store"),
        (damage_inside, "is damaged or not a pynenc store"),
        (cut, "is damaged or not a pynenc store"),
        (make_newer, "written by a newer pynenc"),
    ],
)
def test_a_file_that_cannot_be_used(scenario: MakeScenario, runner: str, spoil: Callable[[Path], None], said: str) -> None:
    with scenario(f"file-{spoil.__name__}", runner) as it:
        it.jobs.work(1)
        it.project.app.close()
        for beside in it.project.folder.glob("jobs.db-*"):
            if beside.is_file():
                beside.unlink()
        spoil(it.project.file)
        before = it.project.file.read_bytes()
        arguments = ("--app", f"{it.project.name}:app", "runner", "start", "--runner", runner)
        process, log = it.fleet.launch(*arguments, options=["--no-override"])
        assert process.wait(30.0) == 1
        text = log.read_text()
        assert said in text.splitlines()[-1]
        assert "Traceback" not in text
        assert it.project.file.read_bytes() == before
        it.accepted.clear()
        it.conclude(leaked=it.fleet.leaked())


@runners("thread")
def test_a_full_disk(scenario: MakeScenario, runner: str, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, scenario("F37", runner, url=f"sqlite:///{tmp_path}/disk/jobs.db") as it:
        host = it.fleet.start(runner, 2)
        it.accept(it.jobs.work.parallelize([(number, 0.01) for number in range(300)]))
        it.ledger.wait_for(50)
        disk.fill(host.tree)
        accepted = submit_until_refused(it, disk.problem)
        eventually(lambda: disk.problem in host.said(), "a word about the full disk")
        began = time.monotonic()
        eventually(lambda: time.monotonic() > began + LEASE, "the end of a lease", 2 * LEASE)
        disk.free()
        it.wait_until_final(60.0)
        assert host.exit_code is None
        (later,) = it.accept([it.jobs.work(1)])
        it.wait_until_final()
        assert later.get_result() == 1
        it.finish(extra=4, accepted_on_the_way=accepted)


def submit_until_refused(it: Scenario, problem: str) -> int:
    """Submit until the store refuses with an error of ours; whatever it acknowledges is accepted."""
    before = len(it.accepted)

    def submit_on() -> None:
        for number in range(2000):
            it.accept([it.jobs.work(number)])

    with pytest.raises(BackendUnavailableError, match=problem):
        submit_on()
    return len(it.accepted) - before
