"""What an idle runner asks of its store, and one whose task waits for another: every installed runner, all of them at once.

Counted are calls, not time. The periods that settings name are a fifth of the default ones here, so that four seconds say what
twenty would, the background services included: they begin when a runner was in contact with its store for a lease.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from combos.places import PAIR, PLACES, RUNNERS
from pynenc_core.invocation import Invocation
from pynenc_core.status import Status
from pynenc_testkit.projects import START, Project, make_project
from pynenc_testkit.stores import eventually

pytestmark = pytest.mark.timed
SPEED = 5
SECONDS = 4.0
MOST = 2 * SPEED * SECONDS
"""Calls of one process within that time: fewer than two a second, by the default periods."""
MOST_WAKINGS = 40
"""Of a process within a second: a few looks that nothing can notify of, and what the short periods here add."""
SETTINGS = {
    "num_processes": 1,
    "max_processes": 1,
    "max_threads": 1,
    "heartbeat_interval_sec": 5.0 / SPEED,
    "idle_claim_timeout_sec": 5.0 / SPEED,
    "runner_considered_dead_after_minutes": 2.0 / 60,
}
SERVICES = {"atomic_service_check_interval_minutes": 5.0 / SPEED / 60}
SERVICE_CALLS = ("take_lease", "count", "beats", "find", "republish", "sweep")
SOURCE = '''
"""An app that notes each call to its store, with the process that makes it; what one call asks for in turn belongs to it."""

import os
import threading
from pathlib import Path

from pynenc_core import Pynenc

FOLDER = Path(__file__).parent


class Counted(Pynenc):
    def _start(self):
        orchestrator = super()._start()
        inside = threading.local()
        for part in (orchestrator.engine.state, orchestrator.engine.dispatcher):
            for name in dir(part):
                verb = getattr(part, name)
                if not name.startswith("_") and callable(verb) and name not in {"wake", "close", "now", "prepare"}:
                    setattr(part, name, noted(name, verb, inside))
        return orchestrator


def noted(name, verb, inside):
    def call(*args, **options):
        if getattr(inside, "a_call", False):
            return verb(*args, **options)
        with (FOLDER / "calls").open("a") as notes:
            notes.write(f"{os.getpid()} {name}\\n")
        inside.a_call = True
        try:
            return verb(*args, **options)
        finally:
            inside.a_call = False

    return call


app = Counted(config_filepath=FOLDER / "project.toml")


@app.task
def where() -> int:
    return os.getpid()


@app.task(delay=3600.0)
def much_later() -> None:
    pass


@app.task
def wait_for_it() -> None:
    (FOLDER / "waits").write_text(str(os.getpid()))
    much_later().get_result()
'''


@pytest.fixture(scope="module", params=[name for name in PLACES if PAIR or name == "sqlite"])
def projects(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Project]]:
    """Give a running runner of each kind, which has run something."""
    made: dict[str, Project] = {}
    try:
        for name in RUNNERS:
            folder = tmp_path_factory.mktemp(name)
            settings = {"runner_cls": name, "runner": SETTINGS, "orchestrator": SERVICES, "app_id": folder.name}
            made[name] = make_project(folder, "", {**PLACES[request.param].settings(folder), **settings}, SOURCE)
            made[name].start()
        for project in made.values():
            assert project.jobs.where().get_result(START) > 0
        yield made
    finally:
        for project in made.values():
            project.close()


def calls(project: Project) -> dict[int, Counter[str]]:
    """Return the calls so far, by process and name."""
    found: dict[int, Counter[str]] = {}
    for line in (project.folder / "calls").read_text().splitlines():
        pid, name = line.split()
        found.setdefault(int(pid), Counter())[name] += 1
    return found


def rests(pid: int) -> int:
    """Return how often the threads of a process, which each began once, have gone to sleep so far."""
    found = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        lines = dict(line.split(":", 1) for line in (thread / "status").read_text().splitlines())
        found += int(lines["voluntary_ctxt_switches"])
    return found


def within(projects: dict[str, Project]) -> dict[str, dict[int, Counter[str]]]:
    """Return the calls of all runners within the time, by runner, process and name."""
    before = {name: calls(project) for name, project in projects.items()}
    threading.Event().wait(SECONDS)
    after = {name: calls(project) for name, project in projects.items()}
    return {name: {pid: found - before[name].get(pid, Counter()) for pid, found in each.items()} for name, each in after.items()}


def has_swept(project: Project) -> bool:
    """Return whether the background services have begun."""
    return any(each["sweep"] for each in calls(project).values())


def is_paused(invocation: Invocation[None]) -> bool:
    """Return whether an invocation waits."""
    return invocation.status is Status.PAUSED


def test_an_idle_runner_asks_its_store_less_than_twice_a_second(projects: dict[str, Project]) -> None:
    for name, project in projects.items():
        eventually(partial(has_swept, project), f"the services of the {name} runner", START)
    for name, made in within(projects).items():
        assert all(each.total() < MOST for each in made.values()), f"{name}: {made}"
        assert any(each["beat"] for each in made.values()), f"{name}: {made}"


def test_an_idle_runner_sleeps(projects: dict[str, Project]) -> None:
    """Nobody polls where somebody can notify: whatever looks by itself does so a few times a second."""
    for name, project in projects.items():
        pids = {pid for pid in calls(project) if Path(f"/proc/{pid}").exists()} - {os.getpid()}
        before = {pid: rests(pid) for pid in pids}
        threading.Event().wait(1.0)
        woken = {pid: rests(pid) - before[pid] for pid in pids}
        assert all(count < MOST_WAKINGS for count in woken.values()), f"{name}: {woken}"


def test_a_task_that_waits_asks_less_than_twice_a_second_and_never_where_its_process_is_stopped(
    projects: dict[str, Project],
) -> None:
    waiting = {name: project.jobs.wait_for_it() for name, project in projects.items()}
    for name, invocation in waiting.items():
        eventually(partial(is_paused, invocation), f"a wait on the {name} runner", START)
    own = {name: int(Path(project.folder / "waits").read_text()) for name, project in projects.items()}
    made = within(projects)
    for name, pid in own.items():
        asked = made[name].get(pid, Counter())
        for service in SERVICE_CALLS:  # a runner of one process has these beside it, and the test above bounds them
            del asked[service]
        assert asked.total() < MOST, f"{name}: {made[name]}"
    if "process" in own:
        assert not made["process"].get(own["process"]), "a stopped process asks for nothing"
