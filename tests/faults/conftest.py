"""Fixtures of the scenarios, and their lines at the end of the run."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from faults.project import Project
from faults.scenario import LINES, Scenario
from faults.stores import STORES
from pynenc_testkit.contracts.subject import filled

MakeScenario = Callable[..., Scenario]


def pytest_configure(config: pytest.Config) -> None:
    """Declare our mark; `full` is declared for all tests."""
    config.addinivalue_line("markers", "smoke: a scenario of the promises, short enough for `make test`")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the lines of a process of pytest-xdist to the one that prints."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["scenarios"] = list(LINES)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take such lines over."""
    LINES.extend(getattr(node, "workeroutput", {}).get("scenarios", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one JSON line a scenario."""
    if LINES:
        terminalreporter.section("scenarios")
        for line in LINES:
            terminalreporter.write_line(line)


@pytest.fixture
def scenario(tmp_path: Path) -> Iterator[MakeScenario]:
    """A function that makes a scenario: its id, names of runner and store, a seed, the grace period of its runners, sections to configure.

    `url` is where the store is, if not at a place of the scenario's own.
    """
    projects: list[Project] = []

    def make(
        name: str,
        runner: str,
        store: str = "sqlite",
        *,
        seed: int = 0,
        grace: float = 25.0,
        url: str = "",
        **sections: Mapping[str, object],
    ) -> Scenario:
        folder = tmp_path / f"faults_{secrets.token_hex(4)}"  # of no other test: all stores of a server tell apps by it
        folder.mkdir()
        settings = {**STORES[store].sections, **sections}
        projects.append(Project(folder, filled(url or STORES[store].url, folder), grace=grace, **settings))
        return Scenario(name, runner, STORES[store], projects[-1], seed)

    yield make
    for project in projects:
        project.close()
