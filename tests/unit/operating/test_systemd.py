"""What systemd is told over NOTIFY_SOCKET."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynenc_core.cli.health import Health
from pynenc_core.cli.systemd import Systemd
from unit.app.running import app_of_its_own, eventually, runner_of
from unit.operating.operated import START, Place


@pytest.fixture(params=["file", "abstract"])
def service_manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """Give what stands in NOTIFY_SOCKET, and the socket behind it."""
    name = str(tmp_path / "notify") if request.param == "file" else f"@pynenc-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiving:
        receiving.bind(name.replace("@", "\0"))
        receiving.settimeout(START)
        yield name, receiving


def test_a_service_from_its_start_to_its_end(place: Place, service_manager: tuple[str, socket.socket]) -> None:
    name, receiving = service_manager
    with place.running(NOTIFY_SOCKET=name, WATCHDOG_USEC="100000") as run, place.client() as jobs:
        assert receiving.recv(4096) == b"READY=1\nSTATUS=app shop runs with the thread runner, slots: 2"
        assert [receiving.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        for variable in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):
            assert jobs.variable(variable).get_result(START) == "", "tasks do not speak for the service"
        jobs.until(str(place.folder / "soon"))
        eventually((place.folder / "soon.begun").exists, "the task", START)
        run.process.send_signal(signal.SIGTERM)
        said = b""
        while not said.startswith(b"STOPPING=1"):
            said = receiving.recv(4096)
            assert said.startswith((b"WATCHDOG=1", b"STOPPING=1"))
        assert b"\nSTATUS=stopping" in said
        assert receiving.recv(4096) == b"WATCHDOG=1", "it lives while it drains"
        (place.folder / "soon").touch()
        assert run.process.wait(START) == 0


@pytest.mark.parametrize("pid", ["1", ""])
def test_a_watchdog_that_is_not_for_this_process_or_absent_is_left_alone(place: Place, tmp_path: Path, pid: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiving:
        receiving.bind(str(tmp_path / "notify"))
        receiving.settimeout(START)
        watchdog = {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": pid} if pid else {}
        with place.running(NOTIFY_SOCKET=str(tmp_path / "notify"), **watchdog) as run, place.client() as jobs:
            assert receiving.recv(4096).startswith(b"READY=1")
            assert jobs.value().get_result(START) == 1
            assert run.stop() == 0
            assert receiving.recv(4096).startswith(b"STOPPING=1")


def test_a_runner_that_is_not_live_keeps_the_watchdog_waiting(tmp_path: Path) -> None:
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3600000000"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiving, runner_of(app := app_of_its_own()) as runner:
        receiving.bind(environ["NOTIFY_SOCKET"])
        receiving.setblocking(False)
        health = Health(runner, "thread")
        systemd = Systemd(health, environ, app.logger)
        assert environ == {}
        eventually(lambda: runner.polled_at > 0, "the first claim")
        health.started.set()
        systemd._pat()
        assert receiving.recv(4096) == b"WATCHDOG=1"
        runner.duties.stop()
        systemd._pat()
        with pytest.raises(BlockingIOError):
            receiving.recv(4096)
    app.close()


def test_a_socket_that_is_not_there_is_a_warning_and_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with runner_of(app := app_of_its_own()) as runner:
        caplog.set_level(logging.WARNING)
        health = Health(runner, "thread")
        with Systemd(health, {"NOTIFY_SOCKET": str(tmp_path / "nowhere")}, app.logger) as systemd:
            systemd.pynenc_runner_started(runner)
            systemd._pat()
        told = [record.getMessage() for record in caplog.records if "systemd" in record.getMessage()]
        assert told == ["systemd cannot be told READY=1: [Errno 2] No such file or directory"]
    app.close()
