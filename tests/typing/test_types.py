"""The types that users see, as mypy and pyright see them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases"
_MYPY_ERROR = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+)(:\d+)?: error: (?P<said>.*)$", re.MULTILINE)


def mypy(file: Path, cache: Path) -> dict[int, str]:
    """Return what mypy says of a file, by line; its own settings only, as in a user's project with `--strict`."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={cache}", "--no-error-summary", str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode in {0, 1}, ran.stdout + ran.stderr
    return {int(found["line"]): found["said"] for found in _MYPY_ERROR.finditer(ran.stdout) if Path(found["file"]).name == file.name}


def pyright(file: Path) -> dict[int, str]:
    """Return what pyright says of a file, by line, in its strict mode."""
    settings = file.parent / "pyrightconfig.json"
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(settings)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    told = json.loads(ran.stdout)["generalDiagnostics"]
    return {
        each["range"]["start"]["line"] + 1: each["message"]
        for each in told
        if each["severity"] == "error" and Path(each["file"]).name == file.name
    }


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the cases to where nothing of this project's own settings reaches them."""
    folder = tmp_path_factory.mktemp("cases")
    for case in CASES.glob("*.case"):  # not named .py: the project's own checks would stumble over the mistakes
        (folder / case.stem).write_text(case.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict"}), encoding="utf-8")
    return folder


@pytest.fixture(params=["mypy", "pyright"])
def checked(request: pytest.FixtureRequest, cases: Path) -> dict[str, dict[int, str]]:
    """Give what one checker says of each case."""
    files = sorted(cases.glob("*.py"))
    if request.param == "mypy":
        return {file.stem: mypy(file, cases / ".mypy_cache") for file in files}
    return {file.stem: pyright(file) for file in files}


def test_users_get_the_types_they_wrote_and_their_mistakes_are_found(checked: dict[str, dict[int, str]]) -> None:
    assert checked.keys() == {"accepted", "refused"}
    assert checked["accepted"] == {}
    lines = (CASES / "refused.py.case").read_text(encoding="utf-8").splitlines()
    expected = {number for number, line in enumerate(lines, 1) if line.endswith("# EXPECT")}
    found = checked["refused"]
    assert {line: found[line] for line in found.keys() - expected} == {}, "errors where none are expected"
    assert expected - found.keys() == set(), "mistakes that nobody found"
