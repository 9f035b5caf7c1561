"""`pynenc runner`."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import attrs
import click

from pynenc_core.app import Pynenc
from pynenc_core.cli.output import columns, when
from pynenc_core.cli.session import Session, common_options, pass_session
from pynenc_core.cli.stores import store_of
from pynenc_core.errors.runners import NoShutdownReportError
from pynenc_core.logs import install_handler
from pynenc_core.orchestration.reporting.endings import report_of
from pynenc_core.orchestration.reporting.roster import Roster, RunnerEntry, roster
from pynenc_core.orchestration.shutdown import take_back_in_children
from pynenc_core.outside import DummyRunner
from pynenc_core.ports.runner import BaseRunner

_HEAD = ("runner", "state", "on", "pid", "heard", "started (UTC)", "has", "ended (UTC)", "reason")
_MINUTE, _HOUR = 60, 3600


@click.group()
def runner() -> None:
    """Start runners, list them, and show how one ended."""


@runner.command(short_help="Run the app's tasks until a signal.")
@click.option("--runner", "name", metavar="NAME", help="Which one; else the configured one, or the best that is installed.")
@click.option("--reload", is_flag=True, help="Start it anew when a source file changes: for development, with `pynenc-core[reload]`.")
@click.option(
    "--reload-dir",
    "folders",
    metavar="FOLDER",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Watch this folder as well; may be repeated, and implies `--reload`.",
)
@click.option(
    "--health-port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    help="Serve `/live`, `/ready` and `/metrics` there; 0 is any free port, which the log names.",
)
@click.option(
    "--health-host", metavar="HOST", default="127.0.0.1", show_default=True, help="The address that `--health-port` is opened on."
)
@click.option("--supervisor", type=int, hidden=True, help="The descriptor of a connection to who has started this runner.")
@common_options
@pass_session
def start(
    session: Session,
    name: str | None,
    *,
    reload: bool,
    folders: tuple[Path, ...],
    health_port: int | None,
    health_host: str,
    supervisor: int | None,
) -> None:
    """Run the app's tasks until SIGTERM or SIGINT; a second one hands back at once what still runs.

    The exit code is 0 after a clean stop.
    """
    if reload or folders:
        health = () if health_port is None else ("--health-port", str(health_port), "--health-host", health_host)
        raise click.exceptions.Exit(_supervise(session, folders, (*(("--runner", name) if name else ()), *health)))
    link = None
    if supervisor is not None:
        from pynenc_core.cli.supervised import Supervisor  # imported late: for development only

        link = Supervisor(supervisor)
    app: Pynenc = session.app
    install_handler(app)
    made = app.make_runner(name or "")
    spec = app.runner_spec(name or "")
    if isinstance(made, DummyRunner):
        made.run()  # which says that it cannot, before anything says that it does
    app.logger.info("app %s, found as %s, runs with the %s runner over %s", app.app_id, app.found_as, spec.name, store_of(app))
    with ExitStack() as companions:
        _tell_of_health(companions, app, made, spec.name, health_host, health_port)
        if link is not None:
            link.report(app)
        take_back_in_children(session.stop.handle, session.stop.before)
        if not session.stop.asked:
            made.run()


def _supervise(session: Session, folders: tuple[Path, ...], options: tuple[str, ...]) -> int:
    """Run the same command without `--reload` as a child process, again and again; return the exit code."""
    from pynenc_core.cli.reload import Reloading  # imported late: for development only
    from pynenc_core.cli.supervised import folders_of, put_current_directory_on_path

    put_current_directory_on_path()
    module = session.locator.partition(":")[0]
    known = folders_of([module]) if module else ()
    common = (*(("--app", session.locator) if session.locator else ()), *(("--debug",) if session.debug else ()))
    return Reloading((*common, "runner", "start", *options), (*(known or (Path.cwd(),)), *folders)).run()


def _tell_of_health(companions: ExitStack, app: Pynenc, made: BaseRunner, name: str, host: str, port: int | None) -> None:
    """Open what tells others of a runner's health, where that was asked for. Raises HealthPortError."""
    under_systemd = bool(os.environ.get("NOTIFY_SOCKET"))
    if port is None and not under_systemd:
        return
    from pynenc_core.cli.health import Health  # imported late, as what follows: most runners start without

    health = Health(made, name)
    app.plugins.register(health, "pynenc-health")
    if port is not None:
        from pynenc_core.cli.probes import HealthServer  # imported late: it brings http.server

        companions.enter_context(HealthServer(health, host, port, app.logger))
    if under_systemd:
        from pynenc_core.cli.systemd import Systemd  # imported late: most runners are no service of systemd's

        systemd = companions.enter_context(Systemd(health, os.environ, app.logger))
        app.plugins.register(systemd, "pynenc-systemd")


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
