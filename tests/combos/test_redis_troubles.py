"""A runner that lives through everything a server can refuse: it says so once, keeps what it has, goes on, and tells no password."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from redis import Redis

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_testkit.contracts.subject import fresh_place
from pynenc_testkit.projects import START, Project, make_project
from pynenc_testkit.refusals import SECRET
from pynenc_testkit.servers.redis import RedisServer, free_port
from pynenc_testkit.stores import eventually

WAITS, GOES_ON = "results wait for the store", "results reach the store"
SETTINGS = {
    "runner_cls": "persistent-process",
    "orchestrator": {"atomic_service_check_interval_minutes": 0.3 / 60},
    "runner": {"heartbeat_interval_sec": 0.3, "idle_claim_timeout_sec": 1.0, "num_processes": 1},
}


@attrs.frozen
class Scene:
    """A runner and the server that it works over."""

    server: RedisServer
    admin: Any
    project: Project

    def said(self, since: int = 0) -> str:
        return self.project.runners[0].log.read_text()[since:]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    server = RedisServer("--appendonly", "yes")
    admin = Redis(port=server.port, decode_responses=False)
    _rights(admin, f">{SECRET}", "~*", "&*", "+@all")
    with fresh_place("{folder}") as folder:
        project = make_project(Path(folder), f"redis://app:{SECRET}@127.0.0.1:{server.port}", SETTINGS)
        try:
            project.start()
            assert project.jobs.add(1, y=1).get_result(START) == 2
            yield Scene(server, admin, project)
        finally:
            project.close()
            server.stop()


def _rights(admin: Any, *rules: str) -> None:
    admin.execute_command("ACL", "SETUSER", "app", "on", *rules)


def _change_password(admin: Any) -> None:
    _rights(admin, "resetpass", ">another")
    admin.client_kill_filter(user="app")


def _spoil_history(admin: Any) -> None:
    admin.rename("{pynenc:kit}his", "kept")
    admin.set("{pynenc:kit}his", "of somebody else")


def _mend_history(admin: Any) -> None:
    admin.rename("kept", "{pynenc:kit}his")


TROUBLES: dict[str, tuple[Callable[[Any], object], Callable[[Any], object], str]] = {
    "password": (_change_password, lambda admin: _rights(admin, "resetpass", f">{SECRET}"), "it refuses this user or password"),
    "rights": (lambda admin: _rights(admin, "-evalsha"), lambda admin: _rights(admin, "+@all"), "may not do what is needed"),
    "replica": (
        lambda admin: admin.execute_command("REPLICAOF", "127.0.0.1", str(free_port())),
        lambda admin: admin.execute_command("REPLICAOF", "NO", "ONE"),
        "it is a read-only replica",
    ),
    "memory": (lambda admin: admin.config_set("maxmemory", 1), lambda admin: admin.config_set("maxmemory", 0), "its memory is full"),
    "type": (_spoil_history, _mend_history, "a key of this app has another type"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_it_says_so_once_keeps_the_result_and_goes_on(name: str, scene: Scene) -> None:
    begin, end, says = TROUBLES[name]
    held = scene.project.jobs.hold(name, 0.5)
    scene.project.noted(f"+ {name}")
    before = len(scene.said())
    begin(scene.admin)
    try:
        eventually(lambda: WAITS in scene.said(before), "a word about it", START)
        with pytest.raises(BackendUnavailableError, match=says):
            scene.project.jobs.add(1, y=1)
        if name not in {"memory", "type"}:  # a full server may still take a result, and who only asks does not come across that key
            with pytest.raises(BackendUnavailableError, match=says):
                held.get_result(START)
    finally:
        end(scene.admin)
    assert held.get_result(START) == name
    eventually(lambda: GOES_ON in scene.said(before), "a word that it is over", START)
    assert scene.project.jobs.add(3, y=4).get_result(START) == 7
    said = scene.said(before)
    assert [line.count(says) for line in said.splitlines() if WAITS in line] == [1]
    assert (said.count("cannot give its heartbeat"), said.count("Traceback")) in {(0, 0), (1, 0)}
    assert [line for line in scene.project.ledger() if line.endswith(f" {name}")] == [f"+ {name}", f"- {name}"]


def test_it_ends_cleanly_without_its_server_and_the_password_is_nowhere(scene: Scene) -> None:
    """Neither in what a process shows of itself, nor in what is stored, nor in what is said until the end."""
    runner = scene.project.runners[0]
    shown = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _belongs_to(path.parent, runner._process.pid)]
    assert len(shown) >= 2
    stored = [scene.admin.dump(key) or b"" for key in scene.admin.scan_iter(count=1000)]
    assert len(stored) > 5
    assert scene.admin.hexists("{pynenc:kit}lea", "services"), "it has a role to give back"
    scene.server.stop()
    assert runner.stop() == 0
    said = scene.said()
    assert "Traceback" not in said
    assert "stops: sigterm" in said
    assert not [where for where in (*shown, *stored, said.encode()) if SECRET.encode() in where]


def _belongs_to(process: Path, session: int) -> bool:
    try:
        return os.getsid(int(process.name)) == session
    except ProcessLookupError:
        return False
