"""`pynenc doctor`."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import click

from pynenc_core.app import Pynenc
from pynenc_core.cli.checks import Check, check_app, check_defaults, check_environment
from pynenc_core.cli.exits import FAILED
from pynenc_core.cli.output import columns
from pynenc_core.cli.session import Session, common_options, muted, pass_session
from pynenc_core.errors.base import PynencError


@click.command()
@common_options
@pass_session
def doctor(session: Session) -> None:
    """Check environment, plugins, configuration, store and runners.

    Each line is `ok`, `note` (worth knowing) or `wrong`; the exit code is 1 when anything is wrong.
    """
    with muted():  # the report says it
        found = list(_checks(session))
    healthy = all(each.state != "wrong" for each in found)
    rows = ((each.state, each.name, each.detail) for each in found)
    verdict = "all is well" if healthy else f"{sum(each.state == 'wrong' for each in found)} of {len(found)} checks found something wrong"
    session.emit(
        {"ok": healthy, "checks": [attrs.asdict(each) for each in found]},
        lambda: f"{columns(('', 'check', 'found'), rows)}\n\n{verdict}",
    )
    if not healthy:
        click.get_current_context().exit(FAILED)


def _checks(session: Session) -> Iterator[Check]:
    try:
        app: Pynenc | None = session.app_or_none
    except PynencError as error:
        yield from check_environment(session.plugins, session.reserved)
        yield Check("app", "wrong", str(error))
        return
    yield from check_environment(app.plugins if app else session.plugins, session.reserved)
    if app is None:
        yield from check_defaults(session.plugins)
        yield Check(
            "app", "note", "none was named and none is here, so its store and runners were not looked at; give --app module:attribute"
        )
    else:
        yield from check_app(app)
