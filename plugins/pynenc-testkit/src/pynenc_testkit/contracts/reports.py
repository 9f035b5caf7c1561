"""What every runner tells when it stops, shown by a real process, its log, and what it leaves in the store."""

from __future__ import annotations

import re
from importlib.resources import files

from pynenc_core.model import ShutdownReport
from pynenc_core.orchestration.reporting.endings import report_of
from pynenc_core.orchestration.reporting.roster import RunnerEntry, roster
from pynenc_testkit.contracts.runner_subject import MakeProject, RunnerSubject
from pynenc_testkit.projects import START, Project
from pynenc_testkit.stores import eventually

_PLUGIN = """

from pynenc_core.plugins import hookimpl


class Telling:
    @hookimpl
    def pynenc_shutdown_diagnostics(self, event: object) -> dict[str, object]:
        if (FOLDER / "hang").exists():
            threading.Event().wait(60)
        return {"of the kit": {"files": sorted(path.name for path in FOLDER.glob("project.*"))}}


app.plugins.register(Telling(), "kit-telling")
"""


class ShutdownReportContract(RunnerSubject):
    """A runner that is stopped by a signal tells why and in which state, in its log and in the store; give `runner`."""

    def source(self) -> str:
        """Return the project's module, with a plugin that adds a section to the reports of its app."""
        return (super().source() or files("pynenc_testkit").joinpath("jobs.py").read_text(encoding="utf-8")) + _PLUGIN

    def test_a_signal_gives_one_block_of_the_state_before_anything_was_torn_down(self, projects: MakeProject) -> None:
        project = projects(1)
        runner = project.start()
        runs = project.jobs.wait_for_gate("runs")
        project.noted("+ runs")
        (entry,) = (entry for entry in _listed(project) if not entry.parent_id)
        runner.ask_to_stop()
        report = eventually(lambda: report_of(project.app.state_backend, entry.runner_id), "the stored report", START)
        assert report is not None
        project.open_gate()
        assert runner.wait() == 0
        log = runner.log.read_text()
        assert len(re.findall(r" stops: ", log)) == 1
        assert report.to_text() in log
        assert "sigterm" in log
        assert (report.event.reason, report.event.signum, report.event.pid) == ("sigterm", 15, entry.pid)
        assert (report.running, report.waiting) == ((runs.invocation_id,), ())
        assert report.sections["of the kit"] == {"files": ["project.toml"]}
        assert report.threads[0].name == "MainThread"
        assert report.platform
        assert ShutdownReport.from_json(report.to_json()) == report

    def test_it_is_listed_while_it_lives_and_after_it_ended(self, projects: MakeProject) -> None:
        project = projects(2)
        runner = project.start()
        assert project.jobs.add(1, 2).get_result(START) == 3
        living = _listed(project)
        assert {entry.state for entry in living} == {"alive"}
        (own,) = (entry for entry in living if not entry.parent_id)
        assert {entry.parent_id for entry in living if entry != own} <= {own.runner_id}
        assert runner.stop() == 0
        ended = {entry.runner_id: (entry.state, entry.reason) for entry in _listed(project)}
        assert ended[own.runner_id] == ("dead", "sigterm")
        assert {state for state, _ in ended.values()} == {"dead"}

    def test_a_plugin_that_hangs_is_named_and_the_stop_goes_on(self, projects: MakeProject) -> None:
        project = projects(1, diagnostics_deadline_sec=0.5)
        (project.folder / "hang").touch()
        runner = project.start()
        assert project.jobs.add(1, 2).get_result(START) == 3
        assert runner.stop() == 0
        log = runner.log.read_text()
        assert "'kit-telling'" in log
        assert "no answer within" in log
        assert "\n  threads: " in log

    def test_a_child_that_was_killed_is_told_of(self, projects: MakeProject) -> None:
        project = projects(1)
        runner = project.start()
        killed = project.jobs.die_once("victim")
        if not self.own_processes:
            project.noted("die_once victim")
            assert runner.wait() == -9  # who told of it would have to be told by somebody else
            eventually(lambda: [entry.state for entry in _listed(project)] == ["dead"], "the end of its lease", START)
            return
        assert killed.get_result(START) == "victim"
        (dead,) = eventually(lambda: [entry for entry in _listed(project) if entry.state == "dead"], "the dead child", START)
        assert (dead.reason, dead.depth) == ("killed by SIGKILL", 1)
        assert any("killed by SIGKILL" in entry.status_record.reason for entry in killed.history)
        assert runner.stop() == 0
        report = report_of(project.app.state_backend, dead.parent_id)
        assert report is not None
        assert [(child.runner_id, child.exit_code, child.exit_reason) for child in report.children if child.exit_code] == [
            (dead.runner_id, -9, "killed by SIGKILL")
        ]


def _listed(project: Project) -> tuple[RunnerEntry, ...]:
    return roster(project.app.state_backend).entries
