"""Runs pytest over a file in a process of its own, and reads what became of each test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar
from xml.etree import ElementTree as ET

import attrs
import pytest


class Caught(Protocol):
    """A saboteur's class."""

    caught_by: ClassVar[tuple[str, ...]]


S = TypeVar("S", bound=Caught)

PATIENCE = "1"
"""Seconds after which the inner run gives up waiting for something that must happen: here it often never does."""


def caught_by(*tests: str) -> Callable[[type[S]], type[S]]:
    """Say which tests must notice a saboteur."""

    def name(saboteur: type[S]) -> type[S]:
        saboteur.caught_by = tests
        return saboteur

    return name


@attrs.frozen
class Result:
    """One test of the inner run."""

    cls: str
    name: str
    outcome: str
    message: str = ""

    @property
    def function(self) -> str:
        """The test's name without its parameters."""
        return self.name.partition("[")[0]


def run_inside(config: pytest.Config, folder: Path, *arguments: str, **environment: str) -> list[Result]:
    """Run pytest with this run's configuration; return the result of every test.

    Raises AssertionError with the inner run's output when it did not get as far as running tests.
    """
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", f"--config-file={config.inipath}", f"--rootdir={config.rootpath}", "-p", "no:cacheprovider"]
    command += ["-q", "--tb=line", "-o", "junit_family=xunit1", f"--junit-xml={report}", *arguments]
    run = subprocess.run(
        command, env={**os.environ, "PYNENC_TEST_PATIENCE": PATIENCE, **environment}, capture_output=True, text=True, check=False
    )
    assert run.returncode in {0, 1}, run.stdout + run.stderr
    return [_result(case) for case in ET.parse(report).iter("testcase")]  # noqa: S314 - written by the run above


def _result(case: ET.Element) -> Result:
    problem = next((child for child in case if child.tag in {"failure", "error", "skipped"}), None)
    outcome, message = ("passed", "") if problem is None else (problem.tag, problem.get("message", ""))
    return Result(case.get("classname", "").rpartition(".")[2], case.get("name", ""), outcome, message)
