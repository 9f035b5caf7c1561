"""What is counted, and the plain sequential way to count it. Nothing here knows of tasks."""

from __future__ import annotations

import keyword
import os
import sysconfig
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import attrs

NAMES_OF_A_MODULE = 20
"""How many of its most used identifiers a module reports, so that results stay small."""
_LEFT_OUT = frozenset({"__pycache__", "dist-packages", "site-packages"})


def library() -> Path:
    """Return the folder of the standard library of this interpreter."""
    return Path(sysconfig.get_paths()["stdlib"])


@attrs.frozen(kw_only=True)
class Index:
    """What was counted in a module, or in everything below a folder."""

    modules: int = 0
    """Files that were counted."""
    skipped: int = 0
    """Files that could not be read, decoded or tokenised."""
    lines: int = 0
    tokens: int = 0
    functions: int = 0
    classes: int = 0
    names: dict[str, int] = attrs.field(factory=dict)
    """How often each identifier is used, over the `NAMES_OF_A_MODULE` most used ones of each module."""


@attrs.frozen
class Folder:
    """A package, as the names in it relative to the library, in order. The library itself has the name ''."""

    name: str
    modules: tuple[str, ...]
    folders: tuple[str, ...]


def list_folder(name: str) -> Folder:
    """Return what is in a folder of the library; nothing, if it may not be listed."""
    modules, folders = [], []
    with suppress(PermissionError), os.scandir(library() / name) as entries:
        for entry in entries:
            inner = f"{name}/{entry.name}" if name else entry.name
            if entry.name.endswith(".py") and entry.is_file():
                modules.append(inner)
            elif entry.is_dir(follow_symlinks=False) and entry.name not in _LEFT_OUT:
                folders.append(inner)
    return Folder(name, tuple(sorted(modules)), tuple(sorted(folders)))


def walk(name: str) -> Iterator[Folder]:
    """Yield a folder of the library and all that are below it."""
    folder = list_folder(name)
    yield folder
    for inner in folder.folders:
        yield from walk(inner)


def count_module(name: str) -> Index:
    """Count one file of the library; one that cannot be read, decoded or tokenised counts as skipped."""
    names: Counter[str] = Counter()
    tokens = functions = classes = lines = 0
    try:
        with (library() / name).open("rb") as source:
            for kind, text, _, (last_line, _), _ in tokenize.tokenize(source.readline):
                tokens += 1
                if kind == tokenize.NAME:
                    functions += text == "def"
                    classes += text == "class"
                    names[text] += 1
                elif kind == tokenize.ENDMARKER:
                    lines = last_line - 1
    except (OSError, SyntaxError, UnicodeDecodeError, tokenize.TokenError):
        return Index(skipped=1)
    identifiers = {text: count for text, count in names.items() if not keyword.iskeyword(text)}
    return Index(
        modules=1,
        lines=lines,
        tokens=tokens,
        functions=functions,
        classes=classes,
        names=dict(most_used(identifiers, NAMES_OF_A_MODULE)),
    )


def most_used(names: dict[str, int], limit: int) -> list[tuple[str, int]]:
    """Return the identifiers that are used most, with their counts; the alphabet decides between equals."""
    return sorted(names.items(), key=lambda item: (-item[1], item[0]))[:limit]


def total(parts: Iterable[Index]) -> Index:
    """Return the sum of several counts, in whatever order they come."""
    modules = skipped = lines = tokens = functions = classes = 0
    names: Counter[str] = Counter()
    for part in parts:
        modules += part.modules
        skipped += part.skipped
        lines += part.lines
        tokens += part.tokens
        functions += part.functions
        classes += part.classes
        names.update(part.names)
    return Index(modules=modules, skipped=skipped, lines=lines, tokens=tokens, functions=functions, classes=classes, names=dict(names))


def count_one_by_one(name: str) -> Index:
    """Count everything below a folder of the library in this thread: what the tree of tasks is compared with."""
    return total(count_module(module) for folder in walk(name) for module in folder.modules)
