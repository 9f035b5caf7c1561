"""Writes the tables of settings from the classes that declare them."""

from __future__ import annotations

import inspect
import re
import types
import typing
from typing import Any, Literal

import msgspec

from docs.pages import ROOT
from pynenc_core import Pynenc
from pynenc_core.config import CORE_SECTIONS
from pynenc_core.configuration.sections import APP, FieldInfo, Section, Sections

_COMPOUND = {tuple: "list of {}", dict: "table of {}", type: "class"}


def paragraphs(documented: object) -> list[str]:
    """Return the paragraphs of a docstring, each on one line; indented ones are code and stay as they are."""
    text = inspect.getdoc(documented) or ""
    return [
        f"```text\n{part}\n```" if part.startswith("    ") else " ".join(part.split()).replace("|", "\\|")
        for part in re.split(r"\n\s*\n", text)
    ]


def settings() -> str:
    """Return a table for each section of the configuration, the core's and those of the installed plugins."""
    return "\n".join(_section(section) for section in all_sections())


def all_sections() -> tuple[Section, ...]:
    """Return the sections of the core, then those of the installed plugins, but for third parties' (`examples/`)."""
    sections = Sections(CORE_SECTIONS, Pynenc().plugins.catalog.settings_targets)
    core = [cls.section for cls in CORE_SECTIONS]
    found = [sections.get(name) for name in [*core, *(name for name in sections.names() if name not in core)]]
    return tuple(section for section in found if not (ROOT / "examples" / _package(section).replace("_", "-")).exists())


def documented() -> frozenset[str]:
    """Return the settings that the reference page has a row for, as `section.setting`."""
    found: set[str] = set()
    section = ""
    for line in (ROOT / "docs" / "reference" / "settings.md").read_text().splitlines():
        if title := re.fullmatch(r"## `\[tool\.pynenc\.?(\w*)\]`", line):
            section = title[1]
        elif row := re.match(r"\| `(\w+)`", line):
            found.add(f"{section}.{row[1]}")
    return frozenset(found)


def _section(section: Section) -> str:
    title = f"[tool.pynenc.{section.name}]" if section.name != APP else "[tool.pynenc]"
    package = _package(section)
    brought = "" if package == "pynenc_core" else f" Brought by `{package.replace('_', '-')}`."
    rows = [
        f"| `{field.name}` | {_type(field.annotation)} | {_default(field)} | {field.summary} | `{_variable(section, field)}` |"
        for field in section.fields.values()
    ]
    head = "| setting | type | default | what it does | variable |\n|---|---|---|---|---|"
    return f"## `{title}`\n\n{paragraphs(section.cls)[0]}{brought}\n\n{head}\n" + "\n".join(rows) + "\n"


def _package(section: Section) -> str:
    return section.cls.__module__.partition(".")[0]


def _variable(section: Section, field: FieldInfo) -> str:
    return "__".join(part.upper() for part in ("pynenc", section.name, field.name) if part)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None:
        return "none"
    if value in ("", ()):
        return "empty"
    if isinstance(value, tuple):
        value = [getattr(item, "__name__", item) for item in value]
    return f"`{round(value, 4) if isinstance(value, float) else value!r}`"


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return " ".join(part for part in (_type(arguments[0]), *map(_bounds, arguments[1:])) if part)
    if origin is Literal:
        return " \\| ".join(f"`{value}`" for value in arguments)
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(_type(argument) for argument in arguments)
    if origin is not None:
        return _COMPOUND[origin].format(_type(arguments[-1] if origin is dict else arguments[0]))
    return "none" if annotation is type(None) else str(annotation.__name__)


def _bounds(meta: object) -> str:
    if not isinstance(meta, msgspec.Meta):
        return ""
    signs = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
    return ", ".join(f"{sign} {getattr(meta, name)}" for name, sign in signs if getattr(meta, name) is not None)
