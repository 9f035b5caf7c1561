"""The commands there are, each imported when it is asked for, and what becomes of errors."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from pynenc_core import __version__
from pynenc_core.cli import EarlyStop
from pynenc_core.cli.exits import FAILED, OK, exit_code
from pynenc_core.cli.session import Session, common_options, muted
from pynenc_core.errors.base import PynencError
from pynenc_core.errors.cli import CommandTypeError
from pynenc_core.plugins.discovery import describe
from pynenc_core.plugins.kinds import COMMAND

_NAME, _COMPLETE = "pynenc", "_PYNENC_COMPLETE"

COMMANDS: Mapping[str, tuple[str, str]] = {
    "config": ("pynenc_core.cli.settings:config", "Show the configuration and where it comes from."),
    "doctor": ("pynenc_core.cli.doctor:doctor", "Check environment, plugins, configuration, store and runners."),
    "invocation": ("pynenc_core.cli.invocations:invocation", "List, show and cancel invocations."),
    "plugins": ("pynenc_core.cli.plugins:plugins", "List and check the installed plugins."),
    "runner": ("pynenc_core.cli.runner:runner", "Start runners, list them, and show how one ended."),
    "status": ("pynenc_core.cli.status:status", "Draw the life of an invocation."),
}
"""The core's own commands: where each is, and its line in the help, which then needs no import."""


class Program(click.Group):
    """The root command. Plugins add to the core's own commands, and cannot replace one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        return sorted({*COMMANDS, *self._contributed(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name, imported now; None when there is none. Raises PluginError or CommandTypeError."""
        if cmd_name in COMMANDS:
            module, _, name = COMMANDS[cmd_name][0].partition(":")
            found: click.Command = getattr(importlib.import_module(module), name)
            return found
        catalog = _session(ctx).plugins.catalog
        with muted():  # as in `_contributed`
            named = [offer.spec for offer in catalog.offers(COMMAND) if offer.spec.name == cmd_name]
        if not named:
            return None
        spec = named[0] if len(named) == 1 else catalog.find(COMMAND, cmd_name)  # which names who claims it
        loaded = catalog.load(spec)
        if not isinstance(loaded, click.Command):
            raise CommandTypeError(cmd_name, spec.target)
        return loaded

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their lines, importing none of them."""
        lines = {name: summary for name, (_, summary) in COMMANDS.items()}
        contributed = {name: summary for name, summary in self._contributed(ctx).items() if name not in lines}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(lines.items()))
        if contributed:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(sorted(contributed.items()))
        broken = len(_session(ctx).plugins.broken)
        if broken:
            formatter.write_paragraph()
            formatter.write_text(f"{broken} plugin{'s do' if broken > 1 else ' does'} not work; `pynenc plugins check` says why.")

    def _contributed(self, ctx: click.Context) -> dict[str, str]:
        """Return the commands of plugins with their summaries."""
        with muted():  # what is wrong with a plugin is said at the end of the help, and by its own commands
            offers = _session(ctx).plugins.catalog.offers(COMMAND)
        return {offer.spec.name: offer.spec.summary for offer in offers}


def _session(ctx: click.Context) -> Session:
    return ctx.ensure_object(Session)  # `run` gives it to the root command


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@common_options
@click.version_option(__version__, "--version", message="pynenc-core %(version)s")
def program() -> None:
    """Distributed tasks: start runners, look at what they do, check that all is well."""


def run(arguments: Sequence[str], stop: EarlyStop) -> int:
    """Carry out one command line; return the exit code. Nothing but KeyboardInterrupt is raised."""
    _have_output()
    session = Session(stop)
    session.reserved = frozenset(COMMANDS)
    try:
        try:
            _carry_out(list(arguments), session)
            sys.stdout.flush()
        finally:
            session.close()
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        return _quietly()
    except Exception as error:  # noqa: BLE001 - the last place where somebody can be told
        return _failed(error, session)
    return OK


def _carry_out(arguments: list[str], session: Session) -> None:
    """Parse and invoke as click's own `main` does, which would also end the process, in its own way, on an error."""
    if _COMPLETE in os.environ:
        program.main(arguments, prog_name=_NAME, obj=session)
    with program.make_context(_NAME, arguments, obj=session) as context:
        program.invoke(context)


def _have_output() -> None:
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] # it is, where it was closed before we started
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - it is the output until the process ends


def _quietly() -> int:
    """End without a word: who read our output has seen enough. What is left in the buffer must go somewhere at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return OK


def _failed(error: Exception, session: Session) -> int:
    """Say what is wrong, in one message; the traceback only where it was asked for."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EIO} and error.filename is None:
        _quietly()  # or the rest of the output would fail again at exit
        click.echo(f"Error: the output cannot be written: {error.strerror}", err=True)
        return FAILED
    if session.debug:
        traceback.print_exception(error)
    if isinstance(error, PynencError):
        click.echo(f"Error: {error}", err=True)
    elif not session.debug:
        click.echo(f"Error, which nobody foresaw: {describe(error)}; `pynenc --debug ...` shows the traceback", err=True)
    return exit_code(error)
