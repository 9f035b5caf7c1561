from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.pages import ROOT, Block, Role, blocks, pages
from docs.running import Project

_LANGUAGES = {"python", "console", "toml", "text", "json", "mermaid"}
_RUN = {"python", "console", "toml"}
_NOT_RUN_AT_MOST = 3
_PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages()]


@pytest.mark.parametrize("page", _PAGES)
def test_every_block_of_the_page_does_what_is_shown(page: Path, tmp_path: Path) -> None:
    with Project(tmp_path) as project:
        for block in blocks(page):
            project.run(block)


@pytest.mark.parametrize("page", _PAGES)
def test_every_fence_names_its_language(page: Path) -> None:
    strange = [block.place for block in blocks(page) if block.language not in _LANGUAGES and block.role is Role.RUN]
    assert not strange, f"known are {sorted(_LANGUAGES)}"


@pytest.mark.parametrize("page", _PAGES)
def test_no_command_hides_in_an_indented_block(page: Path) -> None:
    inside = False
    hidden = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        inside ^= line.lstrip().startswith("```")
        if not inside and re.match(r"    \s*(\$|pip|pynenc|make|python|from|import)\b", line):
            hidden.append(f"{page.relative_to(ROOT)}:{number}")
    assert not hidden, "only fenced blocks are run"


def test_blocks_that_cannot_run_are_few_and_say_why() -> None:
    left_out: list[Block] = [block for page in pages() for block in blocks(page) if block.role is Role.NOT_RUN]
    assert not [block.place for block in left_out if len(block.detail) < 10], "each needs a reason"
    assert len(left_out) <= _NOT_RUN_AT_MOST, [block.place for block in left_out]
    assert all(block.language in _RUN for block in left_out), "other blocks are not run anyway"


@pytest.mark.parametrize("page", _PAGES)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    lost = []
    for link in links:
        target, _, anchor = link.partition("#")
        there = (page.parent / target).resolve() if target else page
        if not there.exists() or (anchor and anchor not in _anchors(there)):
            lost.append(link)
    assert not lost, page.relative_to(ROOT)


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
