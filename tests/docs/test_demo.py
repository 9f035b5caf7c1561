from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from docs.pages import ROOT
from docs.running import reader_environment

_AT_MOST = 60.0  # seconds


def _environment() -> Mapping[str, str]:
    return {**reader_environment(), "PYTHONPATH": str(ROOT / "examples")}


def _demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "stdlib_index", *arguments]
    return subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, timeout=_AT_MOST, check=False)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="persistent-process-over-sqlite"),
        pytest.param(("--runner", "thread"), id="thread-over-sqlite"),
        pytest.param(("--backend", "memory"), id="thread-over-memory"),
    ],
)
def test_the_tree_of_tasks_counts_what_plain_code_counts(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = _demo(tmp_path, "--package", "json", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "both results are equal" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if re.match(r"\w+(Runner|Worker)@", line)]
    ran = sum(int(number) for row in rows for number in row[1:-1])  # between the name and the seconds
    modules = len(list((Path(os.__file__).parent / "json").glob("*.py")))
    assert ran == modules + 1, done.stdout


def test_every_command_that_it_recommends_works_on_the_store_it_leaves(tmp_path: Path) -> None:
    done = _demo(tmp_path, "--package", "json", "--runner", "thread")
    recommended = re.findall(r"^  (\S+ --app .*)$", done.stdout, re.MULTILINE)
    assert len(recommended) >= 4, done.stdout
    for command in recommended:
        told = subprocess.run(
            command.split(), cwd=tmp_path, env=_environment(), capture_output=True, text=True, timeout=_AT_MOST, check=False
        )
        assert told.returncode == 0, f"{command}\n{told.stdout}{told.stderr}"
        assert told.stdout


def _as_from_a_terminal() -> None:
    """Heed interrupts, which a suite that runs in the background was started to ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_stops_the_runner_and_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "stdlib_index"]
    demo = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=_as_from_a_terminal,  # noqa: PLW1509 - no thread of this process holds a lock that a signal setting needs
    )
    assert demo.stdout is not None
    seen = ""
    while not re.search(r"^ *[1-9][\d,]* of ", seen, re.MULTILINE):
        line = demo.stdout.readline()
        assert line, seen
        seen += line
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=_AT_MOST)
    assert demo.returncode == 130, rest
    assert "Traceback" not in rest
    assert "has stopped" in (tmp_path / ".pynenc" / "stdlib_index.runner.log").read_text()


def test_a_runner_that_does_not_start_is_told_with_what_it_said(tmp_path: Path) -> None:
    done = _demo(tmp_path, "--package", "json", "--runner", "thraed")
    assert done.returncode == 1
    assert "did you mean 'thread'" in done.stderr
    assert "Traceback" not in done.stderr
