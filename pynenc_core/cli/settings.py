"""`pynenc config`."""

from __future__ import annotations

import click
import msgspec

from pynenc_core.app import Pynenc
from pynenc_core.cli.output import columns
from pynenc_core.cli.session import Session, common_options, pass_session
from pynenc_core.configuration import SettingOrigin


@click.group()
def config() -> None:
    """Show the configuration and where it comes from."""


@config.command()
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@click.option("--changed", is_flag=True, help="Leave out what is at its default.")
@common_options
@pass_session
def show(session: Session, *, origin: bool, changed: bool) -> None:
    """Show every setting with its value; passwords and other secrets are shown as ***.

    Where there is no app, the settings are those that files and variables give.
    """
    app: Pynenc | None = session.app_or_none
    lines = [line for line in (app or Pynenc()).conf.origins() if not (changed and line.is_default)]
    if app is None:
        click.echo("no app was named and none is here: this is what files and variables say", err=True)
    session.emit([_plain(line) for line in lines], lambda: _table(lines, origin=origin))


def _plain(line: SettingOrigin) -> dict[str, object]:
    value = msgspec.to_builtins(line.value, enc_hook=_name)
    return {"key": line.key, "value": value, "origin": line.origin, "summary": line.summary}


def _table(lines: list[SettingOrigin], *, origin: bool) -> str:
    head = ("setting", "value", "origin") if origin else ("setting", "value")
    return columns(head, ((line.key, shown(line.value), line.origin)[: len(head)] for line in lines))


def shown(value: object) -> str:
    """Return a value as it would stand in a configuration file."""
    return msgspec.json.encode(value, enc_hook=_name).decode()


def _name(value: object) -> str:
    return f"{value.__module__}:{value.__qualname__}" if isinstance(value, type) else repr(value)
