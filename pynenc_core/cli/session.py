"""What all commands share: which app, how to print, and the options that mean the same everywhere.

A plugin's command finds it as `click.get_current_context().obj`, and uses `app` and `emit` of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import click

from pynenc_core.cli import EarlyStop
from pynenc_core.cli.output import write_json, write_text
from pynenc_core.errors.cli import NoAppFoundError
from pynenc_core.plugins import PluginManager

F = TypeVar("F", bound=Callable[..., Any])


class Session:
    """One run of the command line."""

    def __init__(self, stop: EarlyStop | None = None) -> None:
        self.stop = stop or EarlyStop()
        self.locator = ""
        """What was given as `--app`."""
        self.reserved: frozenset[str] = frozenset()
        """The names of the core's own commands."""
        self.json = False
        self.debug = False
        self._app: Any = None

    @property
    def app(self) -> Any:
        """The app, a `Pynenc`: the one that was named, or that is in the current directory.

        Raises UsageError where there is none or more than one, AppModuleError where its module does not import.
        """
        if self._app is None:
            from pynenc_core.cli.discovery import find_app  # imported late: help and listings of plugins need no app

            self._app = find_app(self.locator)
        return self._app

    @property
    def app_or_none(self) -> Any:
        """The same; None where none was named and none is here. Raises as `app` does for everything else."""
        try:
            return self.app
        except NoAppFoundError:
            return None

    @cached_property
    def plugins(self) -> PluginManager:
        """The installed plugins, without those that an app registers in its code."""
        return PluginManager()

    def emit(self, data: object, text: Callable[[], str]) -> None:
        """Print `data` as JSON where that was asked for, else what `text` returns."""
        if self.json:
            write_json(data)
        else:
            write_text(text())

    def close(self) -> None:
        """Close what was opened."""
        if self._app is not None:
            self._app.close()


class muted:  # noqa: N801 - used as a word of the language: `with muted()`
    """Keeps warnings about plugins and stores off the terminal while the block runs: they are shown in another way there.

    What a program has handlers for goes there all the same, but for the warnings about plugins.
    """

    def __enter__(self) -> None:
        self._logger = logging.getLogger("pynenc.plugins")
        self._before = self._logger.disabled
        self._logger.disabled = True
        self._nobody = logging.NullHandler()  # where there is no handler, the logging module itself prints warnings
        logging.getLogger("pynenc").addHandler(self._nobody)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("pynenc").removeHandler(self._nobody)
        self._logger.disabled = self._before


pass_session = click.make_pass_decorator(Session)


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Return a callback that notes an option in the session, wherever on the line it was given."""

    def callback(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        del parameter
        if value:
            setattr(context.find_object(Session), name, value)

    return callback


def common_options(command: F) -> F:
    """Give a command the options that may stand anywhere: `--app`, `--json`, `--debug`."""
    options = (
        click.option(
            "--app", metavar="MODULE:ATTR", expose_value=False, callback=_keep("locator"), help="The app; else the one found here."
        ),
        click.option("--json", is_flag=True, expose_value=False, callback=_keep("json"), help="Print JSON."),
        click.option("--debug", is_flag=True, expose_value=False, callback=_keep("debug"), help="Show the traceback of an error."),
    )
    for option in reversed(options):
        command = option(command)
    return command
