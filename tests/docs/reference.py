"""Writes the parts of the reference that the code itself knows: settings, errors, hooks and the public names.

`PYTHONPATH=tests .venv/bin/python -m docs.reference` puts them into the pages; a test compares.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

import pynenc_core
import pynenc_core.errors
from docs.pages import ROOT
from docs.settings import paragraphs, settings
from pynenc_core import Pynenc
from pynenc_core.builder import PynencBuilder
from pynenc_core.errors.base import PynencError
from pynenc_core.model import CgroupMemory, ChildReport, ProcessExit, RunnerContext, ShutdownEvent, ShutdownReport, ThreadReport
from pynenc_core.plugins.hookspecs import ALL_HOOKS
from pynenc_core.ports.executor_runner import ExecutorRunner
from pynenc_core.ports.gauge import Gauge
from pynenc_core.ports.pool_runner import PoolRunner
from pynenc_core.ports.runner import BaseRunner
from pynenc_core.ports.runtime import Duties, Executor, Orchestrator, RunnerView, StoreView
from pynenc_core.ports.shutdown import classify_signal, log_runner_shutdown
from pynenc_core.ports.workers_runner import WorkersRunner

_VIEWS = (StoreView, RunnerView)  # what stores and runners see of an app, documented where their authors look
_SPECS = {"backend_spec", "make_runner", "runner_spec", "store_specs"}
_INSIDE = {name for view in _VIEWS for base in view.__mro__ for name in vars(base)} - {"app_id", "logger", "orchestrator"} | _SPECS
_MARK = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL)


def errors() -> str:
    """Return a table of errors for each theme, with the module to import them from."""
    parts = []
    for found in pkgutil.iter_modules(pynenc_core.errors.__path__, "pynenc_core.errors."):
        module = importlib.import_module(found.name)
        classes = [each for each in vars(module).values() if _is_error_of(each, module)]
        rows = [f"| `{cls.__name__}` | {_kinds(cls)} | {paragraphs(cls)[0]} | {_fields(cls)} |" for cls in classes]
        head = "| error | kind of | when | fields |\n|---|---|---|---|"
        parts.append(f"## `{module.__name__}`\n\n{paragraphs(module)[0]}\n\n{head}\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _kinds(cls: type) -> str:
    return ", ".join(f"`{base.__name__}`" for base in cls.__bases__)


def _fields(cls: type[PynencError]) -> str:
    return ", ".join(f"`{name}`" for name in cls._field_names)


def _is_error_of(found: object, module: types.ModuleType) -> bool:
    return isinstance(found, type) and issubclass(found, PynencError) and found.__module__ == module.__name__


def hooks() -> str:
    """Return each hook with its signature and its documentation."""
    parts = []
    for protocol in ALL_HOOKS:
        for name, function in vars(protocol).items():
            if name.startswith("pynenc_"):
                options = function.pynenc_spec
                kind = "first result" if options["firstresult"] else "historic" if options["historic"] else "all"
                text = "\n\n".join(paragraphs(function))
                parts.append(f"## `{name}`\n\n`{name}{_signature(function)}` · {kind}\n\n{text}\n")
    return "\n".join(parts)


def api() -> str:
    """Return the public classes of the package with their methods and properties, each with its documentation."""
    classes = [getattr(pynenc_core, name) for name in pynenc_core.__all__]
    classes = list(dict.fromkeys((*classes, PynencBuilder)))
    return "\n".join(_class(cls, classes) for cls in classes)


def runners() -> str:
    """Return what a runner subclasses and what it is given, each with its documentation, also what a subclass implements."""
    classes: list[type] = [BaseRunner, ExecutorRunner, WorkersRunner, PoolRunner]
    classes += [RunnerContext, RunnerView, StoreView, Orchestrator, Executor, Duties, Gauge]
    return "\n".join(_class(cls, classes) for cls in classes)


def reports() -> str:
    """Return the records that the hooks of shutdowns and exits are given, field by field, and the functions over them."""
    records = (ShutdownEvent, ShutdownReport, CgroupMemory, ThreadReport, ChildReport, ProcessExit)
    parts = [_record(cls) for cls in records]
    functions = (classify_signal, log_runner_shutdown)
    parts += [f"**`{each.__name__}{_signature(each)}`**: {' '.join(paragraphs(each))}\n" for each in functions]
    return "\n".join(parts)


def _record(cls: type) -> str:
    made: Any = cls
    fields = ", ".join(f"`{field.name}: {field.type}`" for field in attrs.fields(made))
    lines = [f"### `{cls.__name__}`\n", "\n\n".join(paragraphs(cls)) + "\n", f"Fields: {fields}.\n"]
    for name, member in vars(cls).items():
        found = getattr(cls, name) if isinstance(member, classmethod) else member
        if not name.startswith("_") and isinstance(found, (property, types.FunctionType, types.MethodType)):
            call = "" if isinstance(found, property) else _signature(found)
            lines.append(f"**`{name}{call}`**: {' '.join(paragraphs(found))}\n")
    return "\n".join(lines)


def _class(cls: type, listed: list[type]) -> str:
    where = "pynenc_core" if cls.__name__ in pynenc_core.__all__ else cls.__module__
    made = f" · `{cls.__name__}{_signature(cls.__init__)}`" if cls is Pynenc else ""
    lines = [f"## `{cls.__name__}`\n", f"`from {where} import {cls.__name__}`{made}\n", "\n\n".join(paragraphs(cls)) + "\n"]
    if issubclass(cls, PynencError) and cls._field_names:
        lines.append(f"Fields: {_fields(cls)}.\n")
    for name, member in _members(cls, listed):
        kinds = {"abstract": getattr(member, "__isabstractmethod__", False), "property": isinstance(member, property)}
        kind = f" ({' '.join(kind for kind, so in kinds.items() if so)})" if any(kinds.values()) else ""
        lines.append(f"**`{name}{_signature(member) if callable(member) else ''}`**{kind}: " + " ".join(paragraphs(member)) + "\n")
    return "\n".join(lines)


def _members(cls: type, listed: list[type]) -> Iterator[tuple[str, Any]]:
    """Yield what a class adds to the bases that are on the page; of the app, without what its runners and stores see."""
    told = {base for above in listed if above in cls.__mro__[1:] for base in above.__mro__}
    own = [base for base in cls.__mro__ if base.__module__.startswith("pynenc_core") and base not in told]
    halves = BaseRunner in cls.__mro__  # a runner's author implements, or calls, what begins with one underscore
    names = dict.fromkeys(name for base in own for name in vars(base) if not name.startswith("__" if halves else "_") or name == "__call__")
    for name in names:
        member = inspect.getattr_static(cls, name)
        if (
            inspect.getdoc(member)
            and isinstance(member, (property, staticmethod, types.FunctionType))
            and not (cls is Pynenc and name in _INSIDE)
        ):
            yield name, member


def _signature(function: Callable[..., object]) -> str:
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=_AsWritten(parameter.annotation)) for name, parameter in signature.parameters.items() if name != "self"
    ]
    returns = signature.empty if signature.return_annotation == "None" else _AsWritten(signature.return_annotation)
    text = str(signature.replace(parameters=parameters, return_annotation=returns))
    return re.sub(r"<class '([\w.]+)'>|<[\w.]+ object at \w+>", lambda found: found[1] or "...", text)


class _AsWritten:
    """An annotation as it stands in the source, where `inspect` would put quotes around it."""

    def __init__(self, text: object) -> None:
        self._text = "Any" if text is inspect.Parameter.empty else str(text)

    def __repr__(self) -> str:
        return self._text


GENERATORS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "errors": errors,
    "hooks": hooks,
    "api": api,
    "runners": runners,
    "reports": reports,
}


def regenerated(page: str) -> str:
    """Return a page with its generated parts as the code has them now; parts that others generate stay."""

    def written(found: re.Match[str]) -> str:
        generate = GENERATORS.get(found["name"])
        return f"{found[1]}\n{generate()}\n{found[4]}" if generate else found[0]

    return _MARK.sub(written, page)


def generated_pages() -> list[Path]:
    """Return the pages that have generated parts."""
    marked = {page: {found["name"] for found in _MARK.finditer(page.read_text())} for page in (ROOT / "docs").rglob("*.md")}
    return sorted(page for page, names in marked.items() if names & set(GENERATORS))


if __name__ == "__main__":
    for path in generated_pages():
        path.write_text(regenerated(path.read_text()))
