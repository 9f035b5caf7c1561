"""Nobody sleeps where somebody can notify: each call of `time.sleep` is listed with its reason."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

from arch import source

ALLOWED = Path(__file__).with_name("allowed_sleeps.toml")


def allowed() -> dict[str, str]:
    return tomllib.loads(ALLOWED.read_text(encoding="utf-8"))


def sleepers() -> set[str]:
    """The functions that call `time.sleep`, as `path::function`."""
    return {where for path in source.python_files() if path.name != "noxfile.py" for where in _sleepers(path)}


def _sleepers(path: Path) -> Iterator[str]:
    names = _names_of_sleep(source.tree(path))
    nodes: list[tuple[ast.AST, str]] = [(source.tree(path), "")]
    while nodes:
        node, inside = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = node.name
        # A reference counts too: `wait = time.sleep` sleeps as well.
        if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in names:
            yield f"{source.name(path)}::{inside}"
        nodes.extend((child, inside) for child in ast.iter_child_nodes(node))


def _names_of_sleep(module: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names |= {f"{alias.asname or alias.name}.sleep" for alias in node.names if alias.name == "time"}
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            names |= {alias.asname or alias.name for alias in node.names if alias.name == "sleep"}
    return names


def test_only_who_is_listed_sleeps() -> None:
    found = sorted(sleepers() - set(allowed()))
    assert not found, source.listing(found)


def test_the_list_names_nobody_who_does_not_sleep() -> None:
    found = sorted(set(allowed()) - sleepers())
    assert not found, source.listing(found)


def test_every_sleep_has_a_reason() -> None:
    found = [where for where, reason in allowed().items() if len(reason.split()) < 4]
    assert not found, source.listing(found)
