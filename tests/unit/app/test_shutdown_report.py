"""What a runner tells when it stops: one block before anything is torn down, whatever its collectors do."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from pynenc_core import Pynenc
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.logs import JsonLines
from pynenc_core.model import ChildReport, ProcessExit, Query, RunnerContext, ShutdownEvent, ShutdownReport
from pynenc_core.orchestration.reporting.cgroups import OomWatch
from pynenc_core.orchestration.reporting.diagnostics import Sources, collect
from pynenc_core.orchestration.reporting.endings import recent_ends, report_of
from pynenc_core.plugins import PluginManager, hookimpl
from pynenc_core.ports.runner import BaseRunner
from unit.app.running import PATIENCE, Gate, app_of_its_own, eventually

Sections = Callable[[ShutdownEvent], Mapping[str, object] | None]


class Telling:
    """A plugin that adds sections, and is told of the report."""

    def __init__(self, sections: Sections = lambda _: None) -> None:
        self.sections = sections
        self.reports: list[ShutdownReport] = []

    @hookimpl
    def pynenc_shutdown_diagnostics(self, event: ShutdownEvent) -> Mapping[str, object] | None:
        return self.sections(event)

    @hookimpl
    def pynenc_report_shutdown(self, report: ShutdownReport) -> None:
        self.reports.append(report)


class Hanging:
    """A plugin that never answers."""

    release: ClassVar[threading.Event] = threading.Event()

    @hookimpl
    def pynenc_shutdown_diagnostics(self) -> None:
        self.release.wait(PATIENCE)

    @hookimpl
    def pynenc_report_shutdown(self) -> None:
        self.release.wait(PATIENCE)


@pytest.fixture(autouse=True)
def shown(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.INFO)
    Hanging.release.clear()
    yield caplog
    Hanging.release.set()


def app_with(*plugins: object, deadline: float = 5.0, **settings: Any) -> Pynenc:
    manager = PluginManager(environ={"PYNENC_DISABLE_PLUGINS": "diagnostics-psutil"})
    for number, plugin in enumerate(plugins):
        manager.register(plugin, f"plugin-{number}")
    return app_of_its_own(plugins=manager, runner={"diagnostics_deadline_sec": deadline}, **settings)


@contextmanager
def stopped_by(app: Pynenc, signum: int | None) -> Iterator[BaseRunner]:
    """Run a thread runner, and stop it as this signal does when the block ends."""
    runner = app.make_runner("thread")
    thread = threading.Thread(target=runner.run, name="test-runner", daemon=True)
    thread.start()
    try:
        eventually(lambda: getattr(runner, "executor", None), "the runner")
        yield runner
    finally:
        runner.stop_runner_loop(signum)
        thread.join(PATIENCE)
        assert not thread.is_alive()


def blocks(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for record in caplog.records if " stops: " in (message := record.getMessage())]


def test_a_signal_gives_one_block_with_the_state_before_anything_was_torn_down(shown: pytest.LogCaptureFixture) -> None:
    plugin = Telling(lambda event: {"queue of mine": {"length": 3, "by": event.reason}})
    app, gate = app_with(plugin, threads=1), Gate()

    @app.task
    def child() -> int:
        gate.pass_through()
        return 1

    @app.task
    def parent() -> int:
        return child().result

    with stopped_by(app, signal.SIGTERM) as runner:
        waiting = parent()
        gate.wait_for()
        eventually(lambda: waiting.status == "PAUSED", "the wait")
        (found,) = app.state_backend.get_child_invocations(waiting.invocation_id)
        assert report_of(app.state_backend, runner.runner_id) is None
        runner.stop_runner_loop(signal.SIGTERM)
        eventually(lambda: blocks(shown), "the block")
        gate.open()
    (block,) = blocks(shown)
    assert block.splitlines()[0] == f"runner {runner.runner_id} stops: sigterm (SIGTERM)"
    (report,) = plugin.reports
    assert block == report.to_text()
    assert report_of(app.state_backend, runner.runner_id) == report
    assert (report.running, report.waiting) == ((found.invocation_id,), (waiting.invocation_id,))
    assert report.event.started_at is not None
    assert report.event.started_at <= report.event.at <= time.time()
    assert report.sections == {"queue of mine": {"length": 3, "by": "sigterm"}}
    assert {"MainThread", "pynenc-heartbeat", "pynenc-slot"} <= {thread.name for thread in report.threads}
    assert report.cpus
    assert report.python.startswith("3.")
    assert recent_ends(app.state_backend)[runner.runner_id].reason == "sigterm"


def test_a_stop_without_a_signal_is_one_short_line(shown: pytest.LogCaptureFixture) -> None:
    plugin = Telling(lambda _: {"never": "asked"})
    app = app_with(plugin)
    with stopped_by(app, None) as runner:
        pass
    assert blocks(shown) == [f"runner {runner.runner_id} stops: normal"]
    assert [(report.event.reason, report.sections, report.threads) for report in plugin.reports] == [("normal", {}, ())]
    assert report_of(app.state_backend, runner.runner_id) == plugin.reports[0]


def test_an_error_that_nobody_foresaw_is_the_reason(shown: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_with()
    runner = app.make_runner("thread")

    def fail() -> None:
        raise ZeroDivisionError("no such luck")

    monkeypatch.setattr(runner, "runner_loop_iteration", fail)
    with pytest.raises(ZeroDivisionError):
        runner.run()
    (block,) = blocks(shown)
    assert block.startswith(f"runner {runner.runner_id} stops: error (ZeroDivisionError: no such luck)\n")
    assert "\n  threads: " in block


def test_one_that_raises_is_named_and_the_others_have_their_sections(shown: pytest.LogCaptureFixture) -> None:
    def fail(event: ShutdownEvent) -> Mapping[str, object]:
        raise OSError(f"broken at {event.reason}")

    def unreadable(_: ShutdownEvent) -> Any:
        return "no mapping"

    app = app_with(Telling(lambda _: {"same": 1}), Telling(fail), Telling(unreadable), Telling(lambda _: {"same": 2}))
    with stopped_by(app, signal.SIGINT):
        pass
    (block,) = blocks(shown)
    assert "sigint (SIGINT)" in block
    assert "'plugin-1'" in block
    assert "broken at sigint" in block
    assert "  plugin plugin-2: it returned a str instead of a mapping of titles to sections" in block
    assert "  same: 2\n" in block
    assert "  same (plugin-0): 1" in block


@pytest.mark.timed
def test_one_that_hangs_costs_its_deadline_and_neither_claiming_nor_the_stop_waits_for_it(
    shown: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_with(Telling(lambda _: {"late": 1}), Hanging(), deadline=1.5)
    began: list[float] = []
    with stopped_by(app, None) as runner:
        stop_claiming = runner._on_stop_runner_loop

        def noted() -> None:
            began.append(time.monotonic())
            stop_claiming()

        monkeypatch.setattr(runner, "_on_stop_runner_loop", noted)
        asked = time.monotonic()
        runner.stop_runner_loop(signal.SIGTERM)
        assert runner.wait_until_stopped(PATIENCE)
        took = time.monotonic() - asked
    (block,) = blocks(shown)
    assert "'plugin-1'" in block
    assert "no answer within" in block
    assert "'plugin-0'" in block
    assert "not asked" in block
    assert "\n  threads: " in block
    assert began[0] - asked < 1.0, "a stop has a second to stop claiming"
    assert took < 4.0, "its deadline, and a second for observers"


def test_a_section_that_is_too_large_is_left_out(shown: pytest.LogCaptureFixture) -> None:
    app = app_with(Telling(lambda _: {"huge": [["x" * 1000] * 100], "small": 1}))
    with stopped_by(app, signal.SIGTERM):
        pass
    (block,) = blocks(shown)
    assert "  huge: left out: " in block
    assert "  small: 1" in block


def test_collecting_leaves_neither_threads_nor_descriptors_behind(tmp_path: Path) -> None:
    app = app_with(Telling(lambda _: {"some": 1}), url=f"sqlite:///{tmp_path}/jobs.db")
    context = RunnerContext.of_this_process("Runner")
    state = app.state_backend
    sources = Sources(
        event=ShutdownEvent(class_name="Runner", runner_id=context.runner_id, host="here", pid=1, at=0.0),
        children=tuple,
        owned=lambda runner_id: state.find(Query(runner_id=runner_id)),
        hooks=app.plugins.hooks,
    )
    collect(sources, 5.0)
    threads, descriptors = set(threading.enumerate()), len(list(Path("/dev/fd").iterdir()))
    for _ in range(5):
        assert collect(sources, 5.0).sections == {"some": 1}
    eventually(lambda: set(threading.enumerate()) <= threads, "the end of the threads")
    eventually(lambda: len(list(Path("/dev/fd").iterdir())) <= descriptors, "the end of the descriptors")
    app.close()


def test_an_app_whose_store_cannot_be_opened_still_says_why_it_stops(shown: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "jobs.db").mkdir()
    app = app_with(url=f"sqlite:///{tmp_path}/jobs.db")
    context = RunnerContext.of_this_process("Runner")
    app.report_shutdown(context, signal.SIGTERM)
    app.retire(context)
    (block,) = blocks(shown)
    assert "sigterm (SIGTERM)" in block
    assert not app.started


def test_children_that_cannot_be_told_are_a_section(shown: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_with()

    def fail() -> Sequence[ChildReport]:
        raise RuntimeError("they ran away")

    with stopped_by(app, signal.SIGTERM) as runner:
        monkeypatch.setattr(runner, "children", fail)
    (block,) = blocks(shown)
    assert "  children: could not be collected: RuntimeError: they ran away" in block


def test_a_store_that_is_away_holds_up_nothing(shown: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_with(plugin := Telling())
    with stopped_by(app, signal.SIGTERM):

        def away(*_: object, **__: object) -> Any:
            raise BackendUnavailableError("memory", "it is gone")

        for verb in ("put_value", "find"):
            monkeypatch.setattr(app.state_backend, verb, away)
    (block,) = blocks(shown)
    assert "  invocations: could not be collected: " in block
    assert "it is gone" in block
    assert len(plugin.reports) == 1
    assert any("could not be stored" in record.getMessage() for record in shown.records)


def test_written_as_json_it_is_one_line_that_can_be_read_back(shown: pytest.LogCaptureFixture) -> None:
    app = app_with(plugin := Telling(lambda _: {"mine": [1, {"a": None}]}), logging_format="json")
    with stopped_by(app, signal.SIGTERM):
        pass
    (record,) = [record for record in shown.records if " stops: " in record.getMessage()]
    line = JsonLines().format(record)
    assert "\n" not in line
    report = ShutdownReport.from_json(_field(line))
    assert report == plugin.reports[0]
    assert report.sections == {"mine": [1, {"a": None}]}


def _field(line: str) -> bytes:
    found = msgspec.json.decode(line, type=dict[str, Any])
    assert found["message"].endswith("sigterm (SIGTERM)")
    return msgspec.json.encode(found["shutdown"])


class Classifying:
    """A plugin that explains the end of processes."""

    def __init__(self, say: Callable[[ProcessExit], Any]) -> None:
        self.say = say

    @hookimpl
    def pynenc_classify_exit(self, exit: ProcessExit) -> str | None:  # noqa: A002 - the hook's argument
        found: str | None = self.say(exit)
        return found


class TestTheEndOfAChild:
    CHILD: ClassVar[RunnerContext] = RunnerContext.of_this_process("Worker")

    def test_the_core_has_a_table(self) -> None:
        app = app_with()
        assert app.exit_reason(self.CHILD, 3) == "exit code 3"
        other = RunnerContext.of_this_process("Worker")
        assert app.exit_reason(other, -11) == "killed by SIGSEGV"

    def test_a_risen_counter_means_that_there_was_no_memory_left(self) -> None:
        app, kills = app_with(), [3]
        app._oom_watch = OomWatch(lambda: kills[0])
        kills[0] = 4
        assert app.exit_reason(self.CHILD, -9) == "killed by SIGKILL: out of memory (cgroup oom_kill rose from 3 to 4)"

    def test_plugins_are_asked_first_and_one_without_an_answer_leaves_it_to_others(self) -> None:
        seen: list[ProcessExit] = []
        app = app_with(Classifying(lambda ended: f"evicted by {ended.pid}"), Classifying(seen.append))
        assert app.exit_reason(self.CHILD, -9) == f"evicted by {self.CHILD.pid}"
        assert [(each.runner_id, each.signal) for each in seen] == [(self.CHILD.runner_id, 9)]

    @pytest.mark.timed
    def test_one_that_raises_answers_nonsense_or_hangs_is_logged_and_the_core_answers(self, shown: pytest.LogCaptureFixture) -> None:
        def fail(_: ProcessExit) -> str:
            raise OSError("no idea")

        def hang(_: ProcessExit) -> None:
            Hanging.release.wait(PATIENCE)

        app = app_with(Classifying(hang), Classifying(fail), Classifying(lambda _: 7))
        began = time.monotonic()
        assert app.exit_reason(self.CHILD, 1) == "exit code 1"
        assert time.monotonic() - began < 1.0, "work waits to be handed on"
        said = "\n".join(record.getMessage() for record in shown.records)
        for words in ("plugin-2", "it said 7", "plugin-1", "no idea", "plugin-0", "no answer within 0.5 s"):
            assert words in said
