"""No tracked file knows the machine it was written on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from arch import source

MACHINE = re.compile(r"/(?:root|home|work|farm|Users)/|[A-Z]:\\Users\b")
# An index or mirror in a file would answer for names that are ours.
REGISTRY = re.compile(r"(?:files\.pythonhosted|registry\.npmjs)\.|--?(?:extra-)?index-url\b|\bindex-url\s*=|pypi\.org/simple")
SECRET = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(?:ghp|gho|glpat|xox[bp])[-_][A-Za-z0-9]{16,}|\bAKIA[0-9A-Z]{16}\b")


def matches(pattern: re.Pattern[str]) -> Iterator[str]:
    for path in source.tracked():
        if path == Path(__file__).resolve():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if pattern.search(line):
                yield f"{source.name(path)}:{number} {line.strip()[:120]}"


@pytest.mark.parametrize("pattern", [MACHINE, REGISTRY, SECRET], ids=["machine", "registry", "secret"])
def test_no_file_holds_one(pattern: re.Pattern[str]) -> None:
    found = list(matches(pattern))
    assert not found, source.listing(found)


@pytest.mark.parametrize(
    ("pattern", "line"),
    [(MACHINE, "cd /home/me/project"), (REGISTRY, "pip install --index-url X"), (SECRET, "key = 'AKIAABCDEFGHIJKLMNOP'")],
    ids=["machine", "registry", "secret"],
)
def test_one_would_be_found(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)
