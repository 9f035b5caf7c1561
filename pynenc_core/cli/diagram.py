"""The status machine as a table, as a Mermaid diagram and as a drawing, each made from the table that the code goes by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from html import escape

from pynenc_core.cli.output import columns
from pynenc_core.status import ENTRY, FINAL, RULES, Rule, Status

_BOX, _HIGH = 236, 40  # width and height of a status, in pixels
_ACROSS, _DOWN = 330, 74  # from one status to the next
_EDGE = 24
_HEAD = 60
_KINDS = ("claimable", "owned", "waits", "final")
_TITLES = {"claimable": "a runner may claim it", "owned": "a runner owns it", "waits": "waits to go on", "final": "nothing follows"}
_STYLE = """
  text { font-family: system-ui, sans-serif; fill: #1b1f24 } .title { font-size: 15px; font-weight: 600 }
  .name { font-size: 13px; font-weight: 600 } .why { font-size: 10.5px; fill: #57606a }
  rect { stroke: #57606a; rx: 6 } .claimable { fill: #ddf4ff } .owned { fill: #fff8c5 } .waits { fill: #f6f8fa } .final { fill: #dafbe1 }
  path { fill: none; stroke: #57606a; stroke-width: 1.2; marker-end: url(#head) } .ends { stroke: #afb8c1; stroke-width: 0.8 }
"""
_MARKER = (
    '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 8 4 0 8Z" style="fill:#57606a;stroke:none;marker-end:none"/></marker>'
)


def kind_of(rule: Rule) -> str:
    """Return the column a status belongs to."""
    if rule.final:
        return "final"
    return "claimable" if rule.claimable else "owned" if rule.owned else "waits"


def ordered_next(status: Status) -> list[Status]:
    """Return what may follow a status, in the order of the table."""
    return [each for each in RULES if each in RULES[status].next]


def text() -> str:
    """Return the table, and under it each status with an arrow to what may follow."""
    rows = [(str(status), _yes(rule.final), _claimable(status, rule), _owned(rule), rule.meaning) for status, rule in RULES.items()]
    arrows = [f"{'(none)':<30}-> {', '.join(status for status in RULES if status in ENTRY)}"]
    arrows += [f"{status:<30}-> {', '.join(ordered_next(status))}" for status, rule in RULES.items() if not rule.final]
    return columns(("status", "final", "may be claimed", "owned", "meaning"), rows) + "\n\n" + "\n".join(arrows)


def markdown() -> str:
    """Return the table in Markdown, with what may follow each status."""
    head = "| status | meaning | may be claimed | owned | next |\n|---|---|---|---|---|"
    lines = [
        f"| {status} | {rule.meaning} | {_claimable(status, rule)} | {_owned(rule)} | {', '.join(ordered_next(status)) or 'final'} |"
        for status, rule in RULES.items()
    ]
    first = ", ".join(status for status in RULES if status in ENTRY)
    return "\n".join((head, f"| (none) | not registered yet |  |  | {first} |", *lines))


def mermaid() -> str:
    """Return a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    direction LR"]
    lines += [f"    [*] --> {status}" for status in RULES if status in ENTRY]
    lines += [f"    {status} --> {each}" for status in RULES for each in ordered_next(status)]
    lines += [f"    {status} --> [*]" for status in RULES if status in FINAL]
    colours = {"claimable": "#ddf4ff", "owned": "#fff8c5", "waits": "#f6f8fa", "final": "#dafbe1"}
    for kind in _KINDS:
        members = ",".join(status for status, rule in RULES.items() if kind_of(rule) == kind)
        lines += [f"    classDef {kind} fill:{colours[kind]},color:#1b1f24", f"    class {members} {kind}"]
    return "\n".join(lines)


def svg() -> str:
    """Return a drawing: a column for each kind of status, an arrow for each transition, those to an end in grey."""
    places = _places()
    width = _EDGE * 2 + _ACROSS * (len(_KINDS) - 1) + _BOX
    height = max(y for _, y in places.values()) + _HIGH + _EDGE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        "<title>The life of an invocation</title>",
        f"<style>{_STYLE}</style>",
        f"<defs>{_MARKER}</defs>",
        *(f'<text class="title" x="{_EDGE + _ACROSS * place}" y="28">{_TITLES[kind]}</text>' for place, kind in enumerate(_KINDS)),
        *(_arrow(status, to, places) for status in RULES for to in ordered_next(status)),
        *(part for status, rule in RULES.items() for part in _box(status, rule, places[status])),
        "</svg>",
    ]
    return "\n".join(parts)


def _places() -> dict[Status, tuple[int, int]]:
    """Return the upper left corner of each status: its kind's column, and the next free row of it."""
    rows: dict[str, int] = dict.fromkeys(_KINDS, 0)
    places: dict[Status, tuple[int, int]] = {}
    for status, rule in RULES.items():
        kind = kind_of(rule)
        places[status] = (_EDGE + _ACROSS * _KINDS.index(kind), _HEAD + _DOWN * rows[kind])
        rows[kind] += 1
    return places


def _box(status: Status, rule: Rule, place: tuple[int, int]) -> Iterator[str]:
    x, y = place
    yield f'<rect class="{kind_of(rule)}" x="{x}" y="{y}" width="{_BOX}" height="{_HIGH}"/>'
    yield f'<text class="name" x="{x + 10}" y="{y + 17}">{status}</text>'
    yield f'<text class="why" x="{x + 10}" y="{y + 32}">{escape(rule.meaning[:44])}</text>'


def _arrow(status: Status, to: Status, places: Mapping[Status, tuple[int, int]]) -> str:
    (x1, y1), (x2, y2) = places[status], places[to]
    middle1, middle2 = y1 + _HIGH // 2, y2 + _HIGH // 2
    if x1 == x2:  # within a column, by way of its right side
        bow = 20 + abs(y2 - y1) // 6
        path = f"M{x1 + _BOX} {middle1}C{x1 + _BOX + bow} {middle1} {x1 + _BOX + bow} {middle2} {x1 + _BOX + 2} {middle2}"
    elif x1 < x2:
        start, end = x1 + _BOX, x2 - 2
        path = f"M{start} {middle1 + 4}C{start + 50} {middle1 + 4} {end - 50} {middle2 - 4} {end} {middle2 - 4}"
    else:
        start, end = x1, x2 + _BOX + 2
        path = f"M{start} {middle1 - 6}C{start - 50} {middle1 - 6} {end + 50} {middle2 + 6} {end} {middle2 + 6}"
    ends = ' class="ends"' if RULES[to].final else ""
    return f'<path{ends} d="{path}"><title>{status} to {to}</title></path>'


def _yes(value: bool) -> str:
    return "yes" if value else ""


def _claimable(status: Status, rule: Rule) -> str:
    return "when due" if status is Status.SCHEDULED else _yes(rule.claimable)


def _owned(rule: Rule) -> str:
    return "overrides" if rule.overrides else _yes(rule.owned)


FORMATS: Mapping[str, Callable[[], str]] = {"markdown": markdown, "mermaid": mermaid, "svg": svg, "text": text}
"""What `pynenc status render --format` takes."""
