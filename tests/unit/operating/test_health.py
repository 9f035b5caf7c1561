"""`--health-port`: what probes are told while a runner starts, works, idles, loses its store and stops."""

from __future__ import annotations

import http.client
import json
import logging
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pynenc_core import Pynenc
from pynenc_core.cli import health as health_module
from pynenc_core.cli.health import Health
from pynenc_core.cli.probes import HealthServer
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.errors.cli import HealthPortError
from pynenc_core.ports.executor_runner import ExecutorRunner
from pynenc_core.ports.runner import BaseRunner
from pynenc_core.ports.runtime import Duties
from pynenc_testkit.flaky import FlakyDispatcher, Outage
from unit.app.running import app_of_its_own, eventually, runner_of
from unit.operating.operated import START, Place, asked

LOGGER = logging.getLogger("pynenc.test")
SAMPLE = re.compile(r"^(pynenc_[a-z_]+)(?:\{(?:[a-z_]+=\"[^\"]*\",?)+\})? ([0-9.e+-]+)$")


def samples(text: str) -> dict[str, float]:
    """Return the samples of a page of metrics; each has its help and its type before it, as Prometheus wants it."""
    found, lines = dict[str, float](), text.splitlines()
    for said, kind, sample in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        match = SAMPLE.match(sample)
        assert match, sample
        assert said.startswith(f"# HELP {match[1]} ")
        assert kind == f"# TYPE {match[1]} gauge"
        found[match[1].removeprefix("pynenc_runner_")] = float(match[2])
    return found


def test_a_runner_from_its_start_to_its_end(place: Place) -> None:
    place.edit("jobs.py", 'app_id="shop"', 'app_id="shop", task_modules=("slow",)')
    place.write("slow.py", "import time\nfrom pathlib import Path\nwhile not Path('go').exists():\n    time.sleep(0.01)\n")
    with place.running("--health-port", "0") as run, place.client() as jobs:
        port = run.port
        assert asked(port, "/live") == (200, {"live": True, "phase": "starting"})
        status, said = asked(port, "/ready")
        assert (status, said["ready"], said["phase"], said["reason"]) == (503, False, "starting", "starting")
        assert samples(asked(port, "/metrics")[1])["up"] == 0

        place.write("go", "")
        eventually(lambda: asked(port, "/ready")[0] == 200, "readiness", START)
        invocation = jobs.until(str(place.folder / "soon"))
        eventually((place.folder / "soon.begun").exists, "the task", START)
        found = samples(asked(port, "/metrics")[1])
        assert 0 <= found.pop("poll_age_seconds") < 15
        assert 0 <= found.pop("heartbeat_age_seconds") < 15
        assert found.pop("start_time_seconds") > 1e9
        assert found == {
            "info": 1, "up": 1, "ready": 1, "slots": 2, "running_invocations": 1, "paused_invocations": 0, "children": 0,
        }  # fmt: skip
        assert 'pynenc_runner_info{app_id="shop",runner="thread",runner_id="ThreadRunner@' in asked(port, "/metrics")[1]

        run.process.send_signal(signal.SIGTERM)
        run.says(" stops: sigterm")
        status, said = asked(port, "/ready")
        assert (status, said["phase"], said["reason"]) == (503, "stopping", "stopping")
        assert asked(port, "/live") == (200, {"live": True, "phase": "stopping"})
        (place.folder / "soon").touch()
        assert run.process.wait(START) == 0
        assert invocation.get_result(10) == "done"
        assert "Traceback" not in run.told


def test_a_port_that_is_taken_is_a_usage_error(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with place.running("--health-port", str(port)) as run:
            assert run.process.wait(START) == 2
            assert f"Error: --health-port {port} cannot be opened on 127.0.0.1: Address already in use; choose another" in run.told
            assert "Traceback" not in run.told


@contextmanager
def judged(app: Pynenc) -> Iterator[tuple[BaseRunner, int]]:
    """Give a runner in this process, and the port where its health is told."""
    with runner_of(app) as runner:
        health = Health(runner, "thread")
        eventually(lambda: runner.polled_at > 0, "the first claim")
        health.pynenc_runner_started(runner)  # it was made after the runner started
        with HealthServer(health, "127.0.0.1", 0, LOGGER) as server:
            yield runner, server.port
    app.close()


def test_what_is_not_there_and_what_is_not_asked_for_with_get() -> None:
    with judged(app_of_its_own()) as (_, port):
        assert asked(port, "/nothing")[0] == 404
        assert asked(port, "/live?verbose=1")[0] == 200
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "NONSENSE"):
            assert asked(port, "/live", method) == (405, {"error": "only GET is answered"})
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("HEAD", "/live")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Allow"], answer.read()) == (405, "GET", b"")
        connection.close()
        with socket.create_connection(("127.0.0.1", port)) as rough:
            rough.sendall(b"\x00\xff nonsense\r\n\r\n")
            assert b'{"error":"Bad' in rough.makefile("rb").read()


def test_a_client_that_says_nothing_holds_nobody_up() -> None:
    with judged(app_of_its_own()) as (_, port), socket.create_connection(("127.0.0.1", port)):
        assert asked(port, "/live")[0] == 200


def test_an_outage_fails_readiness_and_not_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "_PATIENCE", 0.3)
    app = app_of_its_own(runner={"heartbeat_interval_sec": 0.1, "idle_claim_timeout_sec": 0.1})
    engine, outage = app.orchestrator.engine, Outage()
    object.__setattr__(engine, "dispatcher", FlakyDispatcher(engine.dispatcher, outage))
    with judged(app) as (_, port):
        eventually(lambda: asked(port, "/ready")[0] == 200, "readiness")
        with outage.begin():
            eventually(lambda: asked(port, "/ready")[0] == 503, "its end")
            said = asked(port, "/ready")[1]
            assert re.fullmatch(r"the store has not answered a claim for \d+\.\d s", said["reason"])
            assert (said["phase"], said["poll_age_seconds"] > 0.3) == ("running", True)
            assert asked(port, "/live")[0] == 200
            assert samples(asked(port, "/metrics")[1])["ready"] == 0
        eventually(lambda: asked(port, "/ready")[0] == 200, "readiness after the outage")


@pytest.mark.timed
def test_a_store_that_takes_no_heartbeat_fails_readiness_though_claims_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "_PATIENCE", 0.3)
    app = app_of_its_own(runner={"heartbeat_interval_sec": 0.1, "idle_claim_timeout_sec": 0.1})
    state = app.orchestrator.engine.state

    def full(*_: object, **__: object) -> None:
        raise BackendUnavailableError("store", "the disk is full")

    with judged(app) as (_, port):
        eventually(lambda: asked(port, "/ready")[0] == 200, "readiness")
        with monkeypatch.context() as outage:
            outage.setattr(state, "beat", full)
            eventually(lambda: "heartbeat for" in asked(port, "/ready")[1].get("reason", ""), "the end of readiness")
            assert asked(port, "/ready")[1]["poll_age_seconds"] < 0.3
            assert asked(port, "/live")[0] == 200
        eventually(lambda: asked(port, "/ready")[0] == 200, "readiness after the outage")


def test_a_pool_shows_the_load_of_its_workers(place: Place) -> None:
    with place.running("--health-port", "0", runner="persistent-process") as run, place.client() as jobs:
        eventually(lambda: asked(run.port, "/ready")[0] == 200, "readiness", START)
        jobs.until(str(place.folder / "soon"))
        eventually(lambda: samples(asked(run.port, "/metrics")[1])["running_invocations"] == 1, "the task", START)
        found = samples(asked(run.port, "/metrics")[1])
        assert (found["slots"], found["children"], found["paused_invocations"]) == (1, 1, 0)
        (place.folder / "soon").touch()
        eventually(lambda: samples(asked(run.port, "/metrics")[1])["running_invocations"] == 0, "its end", START)
        assert run.stop() == 0


def test_rare_heartbeats_are_waited_for() -> None:
    app = app_of_its_own(runner={"heartbeat_interval_sec": 1000.0, "runner_considered_dead_after_minutes": 100.0})
    with runner_of(app) as runner:
        health = Health(runner, "thread")
        assert health.why_not_ready() == "starting"
        health.pynenc_runner_started(runner)
        eventually(lambda: runner.polled_at > 0, "the first claim")
        assert isinstance(runner, ExecutorRunner)
        (gauge,) = runner.gauges
        gauge._numbers[3] -= 1999
        assert health.why_not_ready() == ""
        gauge._numbers[3] -= 2
        assert health.why_not_ready().startswith("the store has not answered a claim for 200")
    app.close()


def test_a_runner_whose_heartbeats_ended_is_not_live() -> None:
    class Ended:
        beating = False

    with judged(app_of_its_own()) as (runner, port):
        assert asked(port, "/live") == (200, {"live": True, "phase": "running"})
        duties: Duties = runner.duties
        vars(runner)["duties"] = Ended()
        assert asked(port, "/live") == (503, {"live": False, "phase": "running", "reason": "the heartbeats have ended"})
        runner.duties = duties
        duties.stop()
        assert asked(port, "/live")[0] == 503


def test_names_with_odd_characters_are_escaped() -> None:
    with runner_of(app := app_of_its_own()) as runner:
        text = Health(runner, 'a "b" \\ c\nd').metrics()
        assert 'runner="a \\"b\\" \\\\ c\\nd"' in text
    app.close()


def test_an_address_that_is_none_of_ours_is_an_error_with_its_fields() -> None:
    with runner_of(app := app_of_its_own()) as runner, pytest.raises(HealthPortError) as caught:
        HealthServer(Health(runner, "thread"), "203.0.113.7", 8080, LOGGER)
    assert (caught.value.host, caught.value.port) == ("203.0.113.7", 8080)
    app.close()


def test_ipv6(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with runner_of(app := app_of_its_own()) as runner, HealthServer(Health(runner, "thread"), "::1", 0, LOGGER) as server:
        connection = http.client.HTTPConnection("::1", server.port)
        connection.request("GET", "/live")
        assert json.loads(connection.getresponse().read())["live"]
        connection.close()
        assert f"http://[::1]:{server.port}: /live, /ready, /metrics" in caplog.text
    app.close()


def test_none_of_it_is_imported_where_nobody_asks(place: Place) -> None:
    names = ("pynenc_core.cli.health", "pynenc_core.cli.systemd", "pynenc_core.cli.reload", "pynenc_core.cli.supervised", "http.server")
    with place.running() as run, place.client() as jobs:
        assert jobs.imported(*names).get_result(START) == []
        assert run.stop() == 0
