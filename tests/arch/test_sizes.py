"""Rooms stay small enough to be read: modules, functions, classes, and what a plugin's author has to write."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

from arch import source

# Lines of code: without docstrings (which every public name must have), comments and blank lines; docs/decisions/0003 says why.
PLUGIN_LINES = {
    "pynenc-backend-memory": 700,
    "pynenc-backend-mongo": 1900,
    "pynenc-backend-redis": 1600,
    "pynenc-backend-sqlite": 1600,
    "pynenc-runner-thread": 150,
}
RUNNER_LINES = 250
_NO_CODE = {tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def code_lines(path: Path) -> int:
    """How many lines hold code."""
    text = path.read_text(encoding="utf-8")
    bodies = [
        node.body
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    said = {
        line
        for body in bodies
        for node in body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return len({line for token in tokens if token.type not in _NO_CODE for line in range(token.start[0], token.end[0] + 1)} - said)


def percentile(values: list[int], percent: int) -> int:
    """The smallest value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * percent // 100) - 1]


def test_no_module_is_longer_than_400_lines() -> None:
    found = {source.name(path): size for path in source.shipped_modules() if (size := lines(path)) > 400}
    assert not found, source.listing(found)


def test_nine_modules_of_ten_have_at_most_300_lines() -> None:
    assert percentile([lines(path) for path in source.shipped_modules()], 90) <= 300


def test_no_function_is_longer_than_60_lines() -> None:
    functions = [function for path in source.shipped_modules() for function in source.functions(path)]
    found = {function.where: function.lines for function in functions if function.lines > 60}
    assert not found, source.listing(found)


def test_nineteen_functions_of_twenty_have_at_most_40_lines() -> None:
    assert percentile([function.lines for path in source.shipped_modules() for function in source.functions(path)], 95) <= 40


def test_no_class_has_more_than_20_methods_of_its_own() -> None:
    found = {
        f"{source.name(path)}:{cls.lineno} {cls.name}": own
        for path in source.shipped_modules()
        for cls in source.classes(path)
        if (own := len(methods(cls))) > 20
    }
    assert not found, source.listing(found)


def methods(cls: ast.ClassDef) -> set[str]:
    """The names a class defines; a property with its setter, or the overloads of one method, count once."""
    return {node.name for node in cls.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("plugin", source.PLUGINS, ids=lambda plugin: plugin.name)
def test_a_plugin_is_as_small_as_its_author_was_promised(plugin: Path) -> None:
    limit = PLUGIN_LINES.get(plugin.name, RUNNER_LINES if plugin.name.startswith("pynenc-runner-") else None)
    if limit is None:
        assert not plugin.name.startswith("pynenc-backend-"), f"a backend needs its line in PLUGIN_LINES: {plugin.name}"
        return
    assert sum(code_lines(path) for path in source.plugin_modules(plugin)) <= limit


@pytest.mark.parametrize("package", source.THIRD_PARTIES, ids=lambda package: package.name)
def test_a_third_partys_runner_package_takes_less_than_100_lines(package: Path) -> None:
    """Everything in it: its modules, its tests."""
    assert sum(code_lines(path) for path in source.python_files() if path.is_relative_to(package)) < 100
