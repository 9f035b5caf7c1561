"""`pynenc status`."""

from __future__ import annotations

import click

from pynenc_core.cli.diagram import FORMATS
from pynenc_core.cli.output import write_text


@click.group()
def status() -> None:
    """Draw the life of an invocation."""


@status.command()
@click.option("--format", "form", type=click.Choice(sorted(FORMATS)), default="text", show_default=True, help="How it is drawn.")
def render(form: str) -> None:
    """Draw the status machine, from the table that the code goes by."""
    write_text(FORMATS[form]())
