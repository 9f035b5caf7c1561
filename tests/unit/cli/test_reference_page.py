"""`docs/reference/cli.md` lists every command and option, as the commands themselves describe them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from pynenc_core.cli.program import COMMANDS, program
from pynenc_core.cli.session import Session

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "cli.md"
ANYWHERE = {"app", "json", "debug"}


def commands(group: click.Group, context: click.Context, name: str) -> Iterator[tuple[str, click.Command, click.Context]]:
    names = sorted(COMMANDS) if group is program else group.list_commands(context)
    for each in names:
        command = group.get_command(context, each)
        assert command is not None
        inner = click.Context(command, info_name=each, parent=context)
        if isinstance(command, click.Group):
            yield from commands(command, inner, f"{name} {each}")
        else:
            yield f"{name} {each}", command, inner


def section(name: str, command: click.Command, context: click.Context) -> str:
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc(command.help or ""))
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    options = [option for option in options if option.name not in ANYWHERE and not option.hidden]
    lines = [f"- `{'`, `'.join(option.opts)}`: {option.help}{_more(option)}" for option in options]
    return "\n\n".join([f"### `{usage.replace('[OPTIONS] ', '').replace(' [OPTIONS]', '')}`", text, *(["\n".join(lines)] if lines else [])])


def _more(option: click.Option) -> str:
    choice = f" One of {', '.join(f'`{each}`' for each in option.type.choices)}." if isinstance(option.type, click.Choice) else ""
    return choice + (f" Default: `{option.default}`." if option.show_default else "")


def generated() -> str:
    root = click.Context(program, info_name="pynenc", obj=Session())
    anywhere = [option for option in program.params if isinstance(option, click.Option) and option.name in ANYWHERE]
    head = "Anywhere on the line:\n\n" + "\n".join(f"- `{option.opts[0]}`: {option.help}" for option in anywhere)
    return "\n\n".join([head, *(section(*found) for found in commands(program, root, "pynenc"))]) + "\n"


def test_the_page_describes_every_command() -> None:
    block = PAGE.read_text().partition("<!-- cli:begin -->\n")[2].partition("<!-- cli:end -->")[0]
    assert block == generated(), "write the block anew: it is what `generated()` of this file returns"
