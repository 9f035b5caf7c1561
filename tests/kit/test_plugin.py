"""What the kit does to a pytest run: contracts stay whole, and what was not verified is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest
from pynenc_testkit.contracts import PluginContract

class TestPlugin(PluginContract):
    plugin = "backend-memory"

    {override}
"""
BENT = "def test_its_package_is_typed(self): pass"
REMOVED = "test_its_package_is_typed = None"
EXCUSED = """
    @pytest.mark.xfail(strict=True, reason="until 0.2 it is not")
    def test_its_package_is_typed(self):
        super().test_its_package_is_typed()
        raise AssertionError
"""
MONGO = """
import pytest

@pytest.mark.needs_mongod
def test_transactions():
    raise AssertionError

def test_other():
    pass
"""


def run(folder: Path, text: str, *arguments: str) -> tuple[int, str]:
    path = folder / "test_inner.py"
    path.write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--rootdir", str(folder), str(path), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("override", [BENT, REMOVED], ids=["replaced", "removed"])
def test_a_contract_that_is_bent_is_refused_by_name(tmp_path: Path, override: str) -> None:
    code, output = run(tmp_path, TESTS.format(override=override))
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "contracts must stay whole" in output
    assert "TestPlugin.test_its_package_is_typed replaces PluginContract.test_its_package_is_typed" in output


def test_a_strict_xfail_with_its_reason_is_no_bending(tmp_path: Path) -> None:
    code, output = run(tmp_path, TESTS.format(override=EXCUSED.strip()), "-k", "typed", "-rx")
    assert (code, "1 xfailed" in output, "until 0.2 it is not" in output) == (0, True, True), output


@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["alone", "distributed"])
def test_what_needs_a_server_that_is_not_there_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: tuple[str, ...]
) -> None:
    monkeypatch.delenv("PYNENC_TEST_MONGO_URL", raising=False)
    code, output = run(tmp_path, MONGO, *processes)
    assert code == 0
    assert "NOT VERIFIED HERE: 1 tests need a real mongod; give its URL in PYNENC_TEST_MONGO_URL" in output
    monkeypatch.setenv("PYNENC_TEST_MONGO_URL", "mongodb://localhost")
    code, output = run(tmp_path, MONGO, *processes)
    assert (code, "NOT VERIFIED" in output) == (1, False)


def test_a_failing_contract_shows_both_sides(tmp_path: Path) -> None:
    code, output = run(tmp_path, TESTS.format(override="").replace("backend-memory", "nobody"), "-k", "left_out")
    assert code == 1
    assert "assert None == 'disabled'" in output
