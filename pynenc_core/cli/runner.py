"""`pynenc runner`."""

from __future__ import annotations

import attrs
import click

from pynenc_core.app import Pynenc
from pynenc_core.cli.output import columns, when
from pynenc_core.cli.session import Session, common_options, pass_session
from pynenc_core.cli.stores import store_of
from pynenc_core.errors.runners import NoShutdownReportError
from pynenc_core.logs import install_handler
from pynenc_core.orchestration.endings import report_of
from pynenc_core.orchestration.roster import Roster, RunnerEntry, roster

_HEAD = ("runner", "state", "on", "pid", "heard", "started (UTC)", "has", "ended (UTC)", "reason")
_MINUTE, _HOUR = 60, 3600


@click.group()
def runner() -> None:
    """Start runners, list them, and show how one ended."""


@runner.command(short_help="Run the app's tasks until a signal.")
@click.option("--runner", "name", metavar="NAME", help="Which one; else the configured one, or the best that is installed.")
@common_options
@pass_session
def start(session: Session, name: str | None) -> None:
    """Run the app's tasks until SIGTERM or SIGINT; a second one hands back at once what still runs.

    The exit code is 0 after a clean stop.
    """
    app: Pynenc = session.app
    install_handler(app)
    made = app.make_runner(name or "")
    spec = app.runner_spec(name or "")
    app.logger.info("app %s, found as %s, runs with the %s runner over %s", app.app_id, app.found_as, spec.name, store_of(app))
    if not session.stop.asked:
        made.run()


@runner.command(name="list", short_help="List the runners that live, and those that ended within the last hour.")
@common_options
@pass_session
def list_(session: Session) -> None:
    """List runners, each followed by its child processes: when they were last heard of, what they have, why they ended.

    A child whose parent is dead counts as dead. `pynenc runner show ID` prints what a runner told when it stopped.
    """
    app: Pynenc = session.app
    found = roster(app.state_backend)
    session.emit({"runners": [_data(entry, found) for entry in found.entries], "counted": found.counted}, lambda: _table(found))


@runner.command()
@click.argument("runner_id", metavar="ID")
@common_options
@pass_session
def show(session: Session, runner_id: str) -> None:
    """Print the report of the shutdown of the runner ID; the exit code is 3 when there is none.

    It is kept for a week. A runner that was killed could not write one; see `pynenc runner list` and the log of its parent.
    """
    app: Pynenc = session.app
    report = report_of(app.state_backend, runner_id)
    if report is None:
        raise NoShutdownReportError(runner_id, app.app_id)
    session.emit(report.to_data(), report.to_text)


def _data(entry: RunnerEntry, found: Roster) -> dict[str, object]:
    data: dict[str, object] = attrs.asdict(entry)
    data |= {name: when(getattr(entry, name)) for name in ("started_at", "heard_at", "ended_at")}
    data["heard_sec_ago"] = None if entry.heard_at is None else round(max(0.0, found.now - entry.heard_at), 3)
    return data


def _table(found: Roster) -> str:
    if not found.entries:
        return "no runner is alive, and none ended within the last hour: pynenc runner start"
    more = "" if found.counted else "\n\nthere are more invocations under way than were counted; the numbers may be too low"
    return columns(_HEAD, (_row(entry, found.now) for entry in found.entries)) + more


def _row(entry: RunnerEntry, now: float) -> tuple[object, ...]:
    heard = None if entry.heard_at is None else f"{_ago(now - entry.heard_at)} ago"
    started, ended = (None if at is None else (when(at) or "")[:19] for at in (entry.started_at, entry.ended_at))
    branch = f"{'- ' * entry.depth}{entry.runner_id}"
    return branch, entry.state, entry.host, entry.pid or None, heard, started, entry.owned, ended, entry.reason


def _ago(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.0f} h"
