"""The core names no backend and no runner: not in code, not in a comment, not in a docstring.

What names one is metadata (`pyproject.toml`), which is not under `pynenc_core/`.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from arch import source

# Words that mean one of ours or of the field's, and nothing else. "memory", "thread", "process" are words of the language too,
# so of those only what can name a plugin is here.
NAMES = re.compile(
    r"""
    sqlite | redis | valkey | mongo | postgres | rabbit | kafka | psutil
    | persistent[-_ ]?process | multi[-_ ]?thread[-_ ]?runner | multi-thread\b
    | \bthread[-_ ]?runner | \bprocess[-_ ]?runner | asyncio[-_ ]?runner
    | memory:// | \bin[-_ ]?memory[-_ ]?(?:backend|broker)
    | \bmemory[-_ ]?(?:backend|broker|state) | (?:backend|broker|runner)s?/(?:memory|thread)
    | pynenc[-_](?:backend|runner)[-_](?!(?:started|stopped)\b)[a-z]
    """,
    re.VERBOSE | re.IGNORECASE,
)


@pytest.mark.parametrize("path", source.core_modules(), ids=source.name)
def test_no_name_of_a_backend_or_runner_is_in_the_core(path: Path) -> None:
    numbered = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    found = {number: line for number, line in numbered if NAMES.search(line)}
    assert not found, source.listing(found)


def test_no_class_of_a_plugin_is_named_in_the_core() -> None:
    """Of names of one word (`Store`) nobody can say whose they are; those of two (`ThreadRunner`) are looked for."""
    modules = [path for plugin in source.PLUGINS if plugin.name != "pynenc-testkit" for path in source.plugin_modules(plugin)]
    theirs = {cls.name for path in modules for cls in source.classes(path) if re.fullmatch(r"_?(?:[A-Z][a-z0-9]+){2,}", cls.name)}
    ours = {cls.name for path in source.core_modules() for cls in source.classes(path)}
    words = {word for path in source.core_modules() for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    found = sorted((theirs - ours) & words)
    assert not found, source.listing(found)


def test_no_default_in_the_core_names_an_installed_plugin() -> None:
    """A bare string such as "thread" would choose a plugin in code; defaults come from the specs' rank."""
    plugins = {plugin.name.removeprefix("pynenc-backend-").removeprefix("pynenc-runner-") for plugin in source.PLUGINS}
    found = [
        f"{source.name(path)}:{node.lineno} {node.value!r}"
        for path in source.core_modules()
        for node in ast.walk(source.tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in plugins
    ]
    assert not found, source.listing(found)


@pytest.mark.parametrize(
    ("text", "names_one"),
    [
        ("import sqlite3", True),
        ('"persistent-process"', True),
        ("class PersistentProcessRunner", True),
        ("Pynenc('memory://')", True),
        ("the ThreadRunner does", True),
        ('f"pynenc-backend-{name}"', False),
        ("threading.Thread(target=run)", False),
        ("shares_memory: bool", False),
        ("the child process runs", False),
    ],
)
def test_a_name_is_told_from_a_word(text: str, names_one: bool) -> None:
    assert bool(NAMES.search(text)) is names_one
