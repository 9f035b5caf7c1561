"""What every module owes its reader: annotations, docstrings, reasons."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from arch import source

CODES = r"[A-Z]+[0-9]+(?:\s*,\s*[A-Z]+[0-9]+)*"
REASON = r"\s*\S.{7,}"
IGNORES = {
    re.compile(r"#\s*(?:ruff:\s*)?noqa\b", re.IGNORECASE): re.compile(rf"#\s*(?:ruff:\s*)?noqa:\s*{CODES}\s+{REASON}"),
    re.compile(r"#\s*type:\s*ignore\b"): re.compile(rf"#\s*type:\s*ignore\[[\w, -]+\]\s+#{REASON}"),
    re.compile(r"#\s*pyright:\s*ignore\b"): re.compile(rf"#\s*pyright:\s*ignore\[\w+(?:, *\w+)*\]\s+#{REASON}"),
    re.compile(r"#\s*mypy:"): re.compile("(?!)"),
    re.compile(r"#\s*pragma:"): re.compile("(?!)"),
}


def test_every_function_is_annotated() -> None:
    found = [function.where for path in source.shipped_modules() for function in source.functions(path) if not annotated(function)]
    assert not found, source.listing(found)


def annotated(function: source.Function) -> bool:
    parameters = function.node.args
    named = [*parameters.posonlyargs, *parameters.args]
    static = any(ast.unparse(decorator) == "staticmethod" for decorator in function.node.decorator_list)
    if function.owner is not None and not static:
        named = named[1:]
    others = [parameter for parameter in (parameters.vararg, parameters.kwarg) if parameter]
    return function.node.returns is not None and all(parameter.annotation for parameter in (*named, *parameters.kwonlyargs, *others))


def test_everything_public_has_a_docstring() -> None:
    found = [where for path in source.shipped_modules() for where in undocumented(path)]
    assert not found, source.listing(found)


def undocumented(path: Path) -> Iterator[str]:
    module = source.tree(path)
    if not ast.get_docstring(module):
        yield source.name(path)
    for cls in source.classes(path):
        if public(cls.name) and not ast.get_docstring(cls):
            yield f"{source.name(path)}:{cls.lineno} {cls.name}"
    for function in source.functions(path):
        owned_by_public = function.owner is None or public(function.owner.name)
        if function.node.name.startswith("test_"):
            continue  # of a contract in the kit: a test's name is its sentence
        wanted = public(function.node.name) and owned_by_public and not function.nested and not source.is_overload(function)
        if wanted and not setter(function) and not ast.get_docstring(function.node):
            yield function.where


def public(name: str) -> bool:
    return not name.startswith("_")


def setter(function: source.Function) -> bool:
    """A setter or deleter is documented by its property."""
    return any(
        isinstance(decorator, ast.Attribute) and decorator.attr in {"setter", "deleter"} for decorator in function.node.decorator_list
    )


def test_no_import_hides_under_type_checking() -> None:
    found = [
        f"{source.name(path)}:{node.lineno}"
        for path in source.shipped_modules()
        for node in ast.walk(source.tree(path))
        if (isinstance(node, ast.Name) and node.id == "TYPE_CHECKING") or (isinstance(node, ast.Attribute) and node.attr == "TYPE_CHECKING")
    ]
    assert not found, source.listing(found)


def test_an_import_inside_a_function_says_why_it_is_late() -> None:
    found = [where for path in source.shipped_modules() for where in unexplained_late_imports(path)]
    assert not found, source.listing(found)


def unexplained_late_imports(path: Path) -> Iterator[str]:
    """Yield each run of late imports without a comment on one of its lines, or on the three before it."""
    explained = {line for line, _ in source.comments(path)}
    seen: set[int] = set()
    for function in source.functions(path):
        late = sorted(
            {line for node in ast.walk(function.node) if isinstance(node, ast.Import | ast.ImportFrom) for line in span(node)} - seen
        )
        seen.update(late)
        for line in late:
            first = line
            while first - 1 in late:
                first -= 1
            last = line
            while last + 1 in late:
                last += 1
            if not explained & set(range(first - 3, last + 1)):
                yield f"{source.name(path)}:{line}"


def span(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def test_an_error_builds_its_own_message() -> None:
    """A formatted string at `raise` is a message that no error class owns and no test pins."""
    found = [
        f"{source.name(path)}:{node.lineno}"
        for path in source.shipped_modules()
        for node in ast.walk(source.tree(path))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and constructs(node.exc) and any(map(formatted, node.exc.args))
    ]
    assert not found, source.listing(found)


def constructs(call: ast.Call) -> bool:
    """Tell a class, whose arguments are an error's words, from a method of an error at hand."""
    return ast.unparse(call.func).rpartition(".")[2][:1].isupper()


def formatted(argument: ast.expr) -> bool:
    if isinstance(argument, ast.BinOp):
        return any(
            isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
            for side in (argument.left, argument.right)
        )
    method = argument.func if isinstance(argument, ast.Call) else None
    return isinstance(argument, ast.JoinedStr) or (isinstance(method, ast.Attribute) and method.attr == "format")


def test_what_is_ignored_is_named_and_has_a_reason() -> None:
    found = [
        f"{source.name(path)}:{line} {text}" for path in source.python_files() for line, text in source.comments(path) if not reasoned(text)
    ]
    assert not found, source.listing(found)


def reasoned(comment: str) -> bool:
    return all(good.search(comment) for bad, good in IGNORES.items() if bad.search(comment))


@pytest.mark.parametrize(
    ("comment", "good"),
    [
        ("# noqa", False),
        ("# noqa: S301", False),
        ("# noqa: S301 signed and opt-in", True),
        ("# noqa: S301, BLE001 - the caller judges it", True),
        ("# ruff: noqa", False),
        ("# ruff: noqa: S608 - all text here is constant", True),
        ("# type: ignore", False),
        ("# type: ignore[arg-type]", False),
        ("# type: ignore[arg-type]  # the stub lacks None", True),
        ("# pyright: ignore[reportUnknownMemberType]  # no stubs for it", True),
        ("# pyright: ignore[reportUnknownMemberType]", False),
        ("# says why the noqa rule matters", True),
    ],
)
def test_a_reason_is_told_from_none(comment: str, good: bool) -> None:
    assert reasoned(comment) is good
