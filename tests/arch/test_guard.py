"""A run that promised wheels refuses the source tree; without the guard it would pass and prove nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from arch import source

USAGE_ERROR = 4  # pytest's exit code for a run that could not start


def run_pytest(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--config-file={source.ROOT / 'pyproject.toml'}"]
    command += [f"--rootdir={source.ROOT}", "--collect-only", "-q", str(source.ROOT / "tests" / "arch" / "test_paths.py")]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ, **environment})


def test_the_source_tree_is_refused(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, PYNENC_TEST_WHEELS="1", PYTHONPATH=str(source.ROOT))
    assert done.returncode == USAGE_ERROR
    assert "tests installed wheels only" in done.stderr
    assert "pynenc_core would be imported from" in done.stderr


def test_without_the_promise_whatever_is_importable_is_tested(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, PYNENC_TEST_WHEELS="", PYTHONPATH=str(source.ROOT))
    assert done.returncode == 0, done.stdout
