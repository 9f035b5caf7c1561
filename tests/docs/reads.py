"""Finds in the sources which settings the core and the plugins read."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from docs.pages import ROOT
from docs.settings import all_sections
from pynenc_core import Pynenc
from pynenc_core.configuration import Settings
from pynenc_core.plugins.kinds import SERIALIZER

_ON_CONF = {"app": "", "runner": "runner", "orchestrator": "orchestrator", "client_data": "client_data", "task": "task"}
_BY_NAME = {"runner_settings": "runner", "orchestrator_settings": "orchestrator", "options": "task"}
_OF_CONF = frozenset(dir(Settings))
_RUNNER = "runner"
_PASS_ON = ("pynenc_core/configuration/", "pynenc_core/config.py", "pynenc_core/builder.py", "pynenc-testkit/")
"""What loads, sets and checks settings; a setting that only these mention has no effect."""

Handles = Mapping[str, str]


def read_settings() -> frozenset[str]:
    """Return all settings that something reads, as `section.setting`; also where no section declares one of that name."""
    files = [*ROOT.glob("pynenc_core/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]
    found = {read for path in files if not any(part in str(path) for part in _PASS_ON) for read in reads_of(path.read_text())}
    return frozenset(found | set(_passed_to_serializers()))


def reads_of(source: str) -> frozenset[str]:
    """Return the settings that one module reads."""
    classes = {section.cls.__name__: section.name for section in all_sections()}
    tree = ast.parse(source)
    attributes = _assigned(tree, classes, {}, ast.Attribute)
    found: set[str] = set()
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for function in functions:
        handles = {**attributes, **_annotated(function, classes)}
        handles |= _assigned(function, classes, handles, ast.Name)
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                section = _section_of(node.value, node.attr, classes, handles)
                if section is not None:
                    found.add(f"{section}.{node.attr}")
    return frozenset(found)


def _passed_to_serializers() -> Iterator[str]:
    """Yield what serializers are made with: the core passes each setting of their section as the argument of that name."""
    catalog = Pynenc().plugins.catalog
    for offer in catalog.offers(SERIALIZER):
        if offer.spec.settings:
            made = cast("type[object]", catalog.load(offer.spec))
            yield from (f"{offer.spec.name}.{name}" for name in inspect.signature(made).parameters)


def _annotated(function: ast.FunctionDef | ast.AsyncFunctionDef, classes: Handles) -> dict[str, str]:
    """Return the parameters that are sections, by their annotation."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    named = {each.arg: ast.unparse(each.annotation) for each in arguments if each.annotation is not None}
    return {name: classes[annotation] for name, annotation in named.items() if annotation in classes}


def _assigned(tree: ast.AST, classes: Handles, handles: Handles, kind: type[ast.expr]) -> dict[str, str]:
    """Return the names, of variables or of attributes, that a section is assigned to."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign):
            continue
        target, value = node.targets[0], node.value
        pairs: Iterable[tuple[ast.expr, ast.expr]] = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = zip(target.elts, value.elts, strict=True)
        for each, source in pairs:
            section = _section_of(source, "", classes, handles)
            if section is not None and isinstance(each, kind):
                found[_last(each)] = section
    return found


def _section_of(node: ast.expr, wanted: str, classes: Handles, handles: Handles) -> str | None:
    """Return the section that an expression is, where `wanted` is read from it; None when it is none."""
    name = _last(node)
    if isinstance(node, ast.Call):
        asked = isinstance(node.func, ast.Attribute) and node.func.attr == "section" and node.args
        return classes.get(_last(node.args[0])) if asked else None
    if isinstance(node, ast.Attribute) and _last(node.value) == "conf" and name in _ON_CONF:
        return _ON_CONF[name]
    if name == "conf" and wanted and wanted not in _OF_CONF:
        return _RUNNER  # a runner's own section; that of an app is all of them
    if isinstance(node, ast.Attribute) and name in _BY_NAME:
        return _BY_NAME[name]
    return handles.get(name)


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
