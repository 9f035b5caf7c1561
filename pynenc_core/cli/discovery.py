"""Finds the app: by the locator that was given, or in the files of the current directory."""

from __future__ import annotations

import ast
import importlib
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from pynenc_core.app import Pynenc
from pynenc_core.errors.cli import AppModuleError, AppNotFoundError, NoAppFoundError, SeveralAppsFoundError
from pynenc_core.plugins.discovery import describe

_MAKERS = frozenset({"Pynenc", "PynencBuilder"})
_MENTION = re.compile(rb"\bPynenc(Builder)?\b")
_PACKAGE = "pynenc_core"
_LARGEST = 1_000_000  # bytes of a file that is looked into


def find_app(locator: str) -> Pynenc:
    """Return the app of this locator, or, without one, the only one that a file of the current directory makes.

    The current directory is put on the import path. Raises AppNotFoundError, NoAppFoundError, SeveralAppsFoundError, and
    AppModuleError where the module itself raises.
    """
    folder = _current_directory()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    found = _apps_of_locator(locator) if locator else _apps_of_folder(folder)
    where, app = next(iter(found.items()))
    if len(found) > 1:
        raise SeveralAppsFoundError(locator or str(folder), tuple(sorted(found)))
    app.found_as = where
    return app


def _apps_of_locator(locator: str) -> dict[str, Pynenc]:
    module_name, colon, path = locator.partition(":")
    if not colon and "." in locator:
        module_name, _, path = locator.rpartition(".")
    try:
        module = _import(module_name)
    except ModuleNotFoundError as error:
        problem = f"there is no module {error.name!r} on the import path"
        raise AppNotFoundError(locator, problem) from error
    if not path:
        found = _apps_in(module)
        if not found:
            raise AppNotFoundError(locator, "there is no app at the top of that module")
        return found
    value: object = module
    for name in path.split("."):
        if not hasattr(value, name):
            problem = f"module {module_name!r} has no {path!r}"
            raise AppNotFoundError(locator, problem)
        value = getattr(value, name)
    if not isinstance(value, Pynenc):
        problem = f"that is no app, it is of type {type(value).__name__}"
        raise AppNotFoundError(locator, problem)
    return {f"{module_name}:{path}": value}


def _apps_of_folder(folder: Path) -> dict[str, Pynenc]:
    likely = dict(_likely(folder))
    everywhere = [pair for module in likely for pair in _apps_in(_import(module)).items()]
    if not everywhere:
        raise NoAppFoundError(str(folder), tuple(sorted(likely.values())))
    # one that is imported from file to file is one app, known by the name in the module that made it
    named = {id(app): (where, app) for where, app in sorted(everywhere, key=lambda pair: pair[0].startswith(f"{pair[1].made_in}:"))}
    return dict(named.values())


def _likely(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield module and file of each that seems to make an app at its top: importing a file runs it, so others are left alone."""
    for path in sorted({*folder.glob("*.py"), *folder.glob("*/__init__.py")}):
        name = path.parent.name if path.name == "__init__.py" and path.parent != folder else path.stem
        try:
            if name.isidentifier() and path.stat().st_size <= _LARGEST and _makes_an_app(path.read_bytes()):
                yield name, str(path.relative_to(folder))
        except OSError:
            continue  # a file that cannot be read cannot be imported either


def _makes_an_app(raw: bytes) -> bool:
    if not _MENTION.search(raw) or _PACKAGE.encode() not in raw:
        return False
    try:
        tree = ast.parse(raw)
    except (SyntaxError, ValueError):
        return True  # importing it will say what is wrong
    values = [node.value for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None]
    called = [node.func for value in values for node in ast.walk(value) if isinstance(node, ast.Call)]
    annotations = [node.annotation for node in tree.body if isinstance(node, ast.AnnAssign)]
    return any(_last_name(node) in _MAKERS for node in (*called, *annotations))


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _apps_in(module: ModuleType) -> dict[str, Pynenc]:
    """Return the apps at the top of a module, each under the first of its names."""
    found: dict[int, tuple[str, Pynenc]] = {}
    for name, value in vars(module).items():
        if isinstance(value, Pynenc):
            found.setdefault(id(value), (f"{module.__name__}:{name}", value))
    return dict(found.values())


def _import(name: str) -> ModuleType:
    """Import a module of the user. Raises ModuleNotFoundError when it is not there, AppModuleError when it raises."""
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        absent = error.name if isinstance(error, ModuleNotFoundError) else None
        if absent is not None and (name == absent or name.startswith(f"{absent}.")):
            raise
        file, line = _place(error)
        raise AppModuleError(name, describe(error), file, line) from error


def _place(error: BaseException) -> tuple[str, int]:
    """Return file and line of the user's own code at which an import failed."""
    if isinstance(error, SyntaxError) and error.filename:
        return _shown(error.filename), error.lineno or 0
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_foreign(frame.filename)]
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(Path.cwd())] or frames
    return (_shown(own[-1].filename), own[-1].lineno or 0) if own else ("", 0)


def _is_foreign(filename: str) -> bool:
    return filename.startswith("<frozen") or Path(filename).is_relative_to(Path(__file__).parents[1])


def _shown(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else filename


def _current_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise NoAppFoundError("the current directory (which was removed)") from error
