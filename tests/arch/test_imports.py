"""The import contracts of pyproject.toml hold, and a broken one would be seen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from arch import source

# floor of the importer -> an import that its contract forbids
FORBIDDEN = {
    "a floor imports a higher one": ("pynenc_core/status.py", "import pynenc_core.orchestration", "floors"),
    "a room that has no floor": ("pynenc_core/attic.py", "", "floors"),
    "hidden under TYPE_CHECKING": ("pynenc_core/status.py", "if TYPE_CHECKING:\n    import pynenc_core.orchestration", "floors"),
    "hidden in a function": ("pynenc_core/status.py", "def late():\n    import pynenc_core.orchestration", "floors"),
    "the core imports a driver": ("pynenc_core/model/records.py", "import sqlite3", "core-knows-none"),
    "the core imports a plugin": ("pynenc_core/builtin.py", "import pynenc_runner_thread", "core-knows-none"),
    "a plugin imports another": (
        "plugins/pynenc-runner-thread/src/pynenc_runner_thread/other.py",
        "import pynenc_backend_memory",
        "plugins-apart",
    ),
    "a plugin imports the rules": (
        "plugins/pynenc-runner-thread/src/pynenc_runner_thread/other.py",
        "import pynenc_core.orchestration",
        "plugins-stay-low",
    ),
    "a plugin imports the facade": (
        "plugins/pynenc-runner-thread/src/pynenc_runner_thread/other.py",
        "from pynenc_core import Pynenc",
        "plugins-stay-low",
    ),
    "a port imports pluggy": ("pynenc_core/ports/clock.py", "import pluggy", "pluggy"),
}


def lint(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run import-linter over the tree of `project`, which shadows what is installed."""
    paths = [str(project), *(str(folder) for folder in sorted(project.glob("plugins/*/src")))]
    code = f"import sys; sys.path[:0] = {paths!r}; from importlinter.cli import lint_imports_command as run; run()"
    command = [sys.executable, "-c", code, "--config", str(project / "pyproject.toml"), "--no-cache", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=project)


def copy(target: Path) -> Path:
    """Copy what import-linter reads."""
    for path in (source.ROOT / "pyproject.toml", *source.shipped_modules()):
        there = target / path.relative_to(source.ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(path.read_bytes())
    return target


def test_every_import_contract_is_kept(tmp_path: Path) -> None:
    done = lint(copy(tmp_path))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("file", "line", "contract"), FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_a_forbidden_import_breaks_its_contract(tmp_path: Path, file: str, line: str, contract: str) -> None:
    project = copy(tmp_path)
    changed = project / file
    changed.parent.mkdir(parents=True, exist_ok=True)
    with changed.open("a", encoding="utf-8") as module:
        module.write(f"\n{line}\n")
    done = lint(project, "--contract", contract)
    assert done.returncode == 1, done.stdout
    assert " BROKEN" in done.stdout


def test_a_cycle_of_siblings_breaks_its_contract(tmp_path: Path) -> None:
    project = copy(tmp_path)
    package = project / "plugins/pynenc-runner-thread/src/pynenc_runner_thread"
    (package / "one.py").write_text("from pynenc_runner_thread import two\n", encoding="utf-8")
    (package / "two.py").write_text("def late():\n    from pynenc_runner_thread import one\n", encoding="utf-8")
    done = lint(project, "--contract", "acyclic")
    assert done.returncode == 1, done.stdout
    assert " BROKEN" in done.stdout
