"""A stub of the builder for editors and type checkers: its own methods, and those of the plugins that are installed here."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from pynenc_core import builder
from pynenc_core.builder import PynencBuilder
from pynenc_core.plugins import BuilderMethodSpec, PluginManager
from pynenc_core.plugins.kinds import BUILDER_METHOD

_PLACE = Path(*builder.__name__.split(".")).with_suffix(".pyi")
_HEAD = "# Written by `pynenc plugins stubs`; write it anew when plugins come or go."


def stub_of_builder(manager: PluginManager, folder: Path) -> Path:
    """Write the stub below `folder` and return where it is. Raises PluginTargetError for a plugin whose code is not there."""
    module = ast.parse(inspect.getsource(builder))
    imports: list[ast.stmt] = [node for node in module.body if isinstance(node, ast.Import | ast.ImportFrom)]
    methods: list[ast.stmt] = []
    for offer in manager.catalog.offers(BUILDER_METHOD):
        method, needed = _contributed(offer.spec, cast("Callable[..., Any]", manager.catalog.load(offer.spec)))
        methods.append(method)
        imports += needed
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    for cls in classes:
        # without __getattr__, so that a checker refuses what no plugin brings
        cls.body = [_bodiless(node) for node in cls.body if isinstance(node, ast.FunctionDef) and _is_public(node.name)]
        cls.body += methods if cls.name == PynencBuilder.__name__ else []
    lines = dict.fromkeys(map(ast.unparse, imports))
    path = folder / _PLACE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([_HEAD, *lines, "", *map(ast.unparse, classes), ""]), encoding="utf-8")
    return path


def _contributed(spec: BuilderMethodSpec, function: Callable[..., Any]) -> tuple[ast.FunctionDef, list[ast.stmt]]:
    """Return the method that a plugin's function becomes, and the imports that its annotations need."""
    tree = ast.parse(inspect.getsource(function).lstrip())
    method = _bodiless(next(node for node in tree.body if isinstance(node, ast.FunctionDef)))
    method.name, method.returns, method.decorator_list = spec.name, ast.Name("Self"), []
    names = {node.id for argument in ast.walk(method.args) if isinstance(argument, ast.arg) and argument.annotation
             for node in ast.walk(argument.annotation) if isinstance(node, ast.Name)}  # fmt: skip
    method.args.args.insert(0, ast.arg("self"))
    return method, list(_imports(sys.modules[function.__module__], names - set(vars(builtins))))


def _imports(module: ModuleType, names: set[str]) -> Iterator[ast.stmt]:
    """Yield what brings these names: the module's own imports, or an import from it where it defines them."""
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound = {alias.asname or alias.name.partition(".")[0]: alias for alias in node.names}
            node.names = [alias for name, alias in bound.items() if name in names]
            names -= set(bound)
            if node.names:
                yield node
    yield from (ast.ImportFrom(module.__name__, [ast.alias(name)], 0) for name in sorted(names))


def _bodiless(function: ast.FunctionDef) -> ast.FunctionDef:
    documented = ast.get_docstring(function) is not None
    function.body = [*(function.body[:1] if documented else []), ast.Expr(ast.Constant(...))]
    given = function.args
    given.defaults = [ast.Constant(...) for _ in given.defaults]
    given.kw_defaults = [default and ast.Constant(...) for default in given.kw_defaults]
    return function


def _is_public(name: str) -> bool:
    return name == "__init__" or not name.startswith("_")
