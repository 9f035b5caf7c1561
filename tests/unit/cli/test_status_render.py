"""The diagrams say what the table says, and the pages hold what the command prints."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET  # the drawing is our own
from pathlib import Path

import pytest

from pynenc_core.cli.diagram import FORMATS
from pynenc_core.status import ENTRY, RULES
from unit.cli.project import Project

ROOT = Path(__file__).resolve().parents[3]
TRANSITIONS = {(str(status), str(to)) for status, rule in RULES.items() for to in rule.next}
SVG = "{http://www.w3.org/2000/svg}"


def block(page: str, name: str = "status") -> str:
    """What stands between the marks of a page."""
    text = (ROOT / page).read_text()
    return text.partition(f"<!-- {name}:begin -->\n")[2].partition(f"<!-- {name}:end -->")[0]


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_the_command_prints_each_format(project: Project, form: str) -> None:
    assert project.prints("status", "render", "--format", form) == FORMATS[form]() + "\n"


def test_text_is_the_default_and_names_every_status_and_transition(project: Project) -> None:
    table, _, arrows = project.prints("status", "render").partition("\n\n")
    assert [line.split()[0] for line in table.splitlines()[1:]] == [*RULES]
    found = {tuple(re.split(r" +-> ", line)) for line in arrows.splitlines()}
    told = {(start, to) for start, ends in found for to in ends.split(", ")}
    assert told == TRANSITIONS | {("(none)", str(status)) for status in ENTRY}


def test_mermaid_has_every_transition() -> None:
    told = set(re.findall(r"^ +(\S+) --> (\S+)$", FORMATS["mermaid"](), re.MULTILINE))
    final = {(str(status), "[*]") for status, rule in RULES.items() if rule.final}
    assert told == TRANSITIONS | final | {("[*]", str(status)) for status in ENTRY}


def test_svg_has_a_box_for_each_status_and_an_arrow_for_each_transition_within_its_bounds() -> None:
    drawing = ET.fromstring(FORMATS["svg"]())  # noqa: S314 - made by us, a line above
    names = [node.text for node in drawing.iter(f"{SVG}text") if node.get("class") == "name"]
    assert names == [*RULES]
    arrows = {tuple(str(node.text).split(" to ")) for path in drawing.iter(f"{SVG}path") for node in path.iter(f"{SVG}title")}
    assert arrows == TRANSITIONS
    width, height = float(str(drawing.get("width"))), float(str(drawing.get("height")))
    for box in drawing.iter(f"{SVG}rect"):
        x, y, across, down = (float(str(box.get(key))) for key in ("x", "y", "width", "height"))
        assert 0 <= x <= width - across
        assert 0 <= y <= height - down


def test_no_two_boxes_of_the_drawing_overlap() -> None:
    drawing = ET.fromstring(FORMATS["svg"]())  # noqa: S314 - made by us, a line above
    corners = [(float(str(box.get("x"))), float(str(box.get("y")))) for box in drawing.iter(f"{SVG}rect")]
    assert len(set(corners)) == len(RULES)


def test_the_readme_shows_the_diagram() -> None:
    assert block("README.md") == f"```mermaid\n{FORMATS['mermaid']()}\n```\n"


def test_the_reference_shows_table_and_diagram() -> None:
    assert block("docs/reference/status.md") == f"{FORMATS['markdown']()}\n"
    assert block("docs/reference/status.md", "diagram") == f"```mermaid\n{FORMATS['mermaid']()}\n```\n"
