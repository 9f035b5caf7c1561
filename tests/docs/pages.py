"""Reads the fenced blocks of a page, with what an HTML comment before a block says about it.

A comment on the line before a fence, blank lines apart, may be:

    <!-- file: tasks.py -->      the block is the content of this file
    <!-- fails: 1 -->            its commands end with this exit code
    <!-- output -->              the block is what the one before it prints, "..." standing for anything
    <!-- not run: reason -->     the block cannot run here, for this reason

and anywhere on a page, `<!-- background: command -->` runs a command beside the rest of the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}|~{3,})(?P<language>[\w-]*)\s*$")
_COMMENT = re.compile(r"^<!-- *(?P<text>.*?) *-->$")


class Role(StrEnum):
    """What a block is."""

    RUN = "run"
    FILE = "file"
    OUTPUT = "output"
    FAILS = "fails"
    NOT_RUN = "not run"
    BACKGROUND = "background"


@attrs.frozen
class Block:
    """One fenced block, or a command in a comment."""

    page: Path
    line: int
    language: str
    text: str
    role: Role = Role.RUN
    detail: str = ""
    """The file's name, the exit code, or the reason."""

    @property
    def place(self) -> str:
        """Where it stands, as an editor can open it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Return every page whose blocks are held to account; decision records tell of the past and are left alone."""
    found = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("plugins/*/README.md"), *ROOT.glob("examples/*/README.md")]
    return sorted(page for page in found if not page.is_relative_to(ROOT / "docs" / "decisions"))


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in order."""
    role, detail, opened, language, body = Role.RUN, "", 0, "", list[str]()
    fence: re.Match[str] | None = None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if fence is not None:
            if line.strip() == fence["ticks"]:
                yield Block(page, opened, language, "\n".join(body) + "\n", role, detail)
                fence, role, detail = None, Role.RUN, ""
            else:
                body.append(line.removeprefix(fence["indent"]))
        elif (found := _FENCE.match(line)) is not None:
            fence, opened, language, body = found, number, found["language"], []
        elif comment := _COMMENT.match(line.strip()):
            kind, _, said = comment["text"].partition(":")
            if kind == Role.BACKGROUND:
                yield Block(page, number, "console", f"$ {said.strip()}\n", Role.BACKGROUND)
            elif kind in set(Role):
                role, detail = Role(kind), said.strip()
        elif line.strip():
            role, detail = Role.RUN, ""
    assert fence is None, f"{page.relative_to(ROOT)}:{opened}: the block has no end"
