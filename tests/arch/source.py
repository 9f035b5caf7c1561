"""The project's files as the architecture tests read them."""

from __future__ import annotations

import ast
import functools
import subprocess
import tokenize
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = tuple(sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml")))
THIRD_PARTIES = tuple(sorted(path.parent for path in ROOT.glob("examples/*/pyproject.toml")))


@frozen
class Function:
    """A function or method, and how it is called in a message."""

    where: str
    node: ast.FunctionDef | ast.AsyncFunctionDef
    owner: ast.ClassDef | None
    nested: bool

    @property
    def lines(self) -> int:
        """Its length from `def` to its last line, docstring included."""
        return (self.node.end_lineno or self.node.lineno) - self.node.lineno + 1


@functools.cache
def tracked() -> tuple[Path, ...]:
    """Every file git knows or would add, so that a new file is checked before it is committed."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return tuple(sorted(path for name in listed.split("\0") if name and (path := ROOT / name).is_file()))


@functools.cache
def python_files() -> tuple[Path, ...]:
    """Every Python file of the repository."""
    return tuple(path for path in tracked() if path.suffix == ".py")


def core_modules() -> tuple[Path, ...]:
    """The modules of the core."""
    return tuple(path for path in python_files() if path.is_relative_to(ROOT / "pynenc_core"))


def plugin_modules(plugin: Path) -> tuple[Path, ...]:
    """The modules that one plugin ships."""
    return tuple(path for path in python_files() if path.is_relative_to(plugin / "src"))


def shipped_modules() -> tuple[Path, ...]:
    """The modules of the core and of every plugin."""
    return (*core_modules(), *(path for plugin in PLUGINS for path in plugin_modules(plugin)))


def test_files() -> tuple[Path, ...]:
    """The Python files of every test folder."""
    return tuple(path for path in python_files() if "tests" in path.relative_to(ROOT).parts[:-1])


# pytest collects what is named test_*; this one is imported by tests and is none.
test_files.__test__ = False  # type: ignore[attr-defined]  # functions take attributes at run time


def name(path: Path) -> str:
    """The path as messages and lists write it."""
    return path.relative_to(ROOT).as_posix()


@functools.cache
def tree(path: Path) -> ast.Module:
    """The file, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@functools.cache
def project(folder: Path) -> dict[str, Any]:
    """The folder's pyproject.toml."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each comment of a Python file with its line number."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def functions(path: Path) -> Iterator[Function]:
    """Yield every function of a file, methods and nested ones too."""
    yield from _functions(tree(path), name(path), owner=None, nested=False)


def _functions(node: ast.AST, where: str, *, owner: ast.ClassDef | None, nested: bool) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            here = f"{where}:{child.lineno} {child.name}"
            yield Function(here, child, owner, nested)
            yield from _functions(child, where, owner=None, nested=True)
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, where, owner=child, nested=nested)
        else:
            yield from _functions(child, where, owner=owner, nested=nested)


def classes(path: Path) -> Iterator[ast.ClassDef]:
    """Yield every class of a file."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef))


def is_overload(function: Function) -> bool:
    """Tell whether it only declares one of several signatures."""
    return any(ast.unparse(decorator).rpartition(".")[2] == "overload" for decorator in function.node.decorator_list)


def listing(found: Iterable[object] | Mapping[Any, object]) -> str:
    """All that was found, one to a line; pytest would shorten it."""
    items = [f"{key}: {value}" for key, value in found.items()] if isinstance(found, Mapping) else [str(item) for item in found]
    return "\n".join(["", *items])
