"""`pynenc runner`."""

from __future__ import annotations

import click

from pynenc_core.app import Pynenc
from pynenc_core.cli.session import Session, common_options, pass_session
from pynenc_core.cli.stores import store_of
from pynenc_core.logs import install_handler


@click.group()
def runner() -> None:
    """Start a runner."""


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
