"""Fixtures of the scenarios, and their lines at the end of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from faults.project import Project
from faults.scenario import LINES, Scenario

MakeScenario = Callable[..., Scenario]


def pytest_configure(config: pytest.Config) -> None:
    """Declare our mark; `full` is declared for all tests."""
    config.addinivalue_line("markers", "smoke: a scenario of the promises, short enough for `make test`")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one JSON line a scenario."""
    if LINES:
        terminalreporter.section("scenarios")
        for line in LINES:
            terminalreporter.write_line(line)


@pytest.fixture
def scenario(tmp_path: Path) -> Iterator[MakeScenario]:
    """A function that makes a scenario: its id, the runner's name, a seed, the grace period of its runners, and sections to configure."""
    projects: list[Project] = []

    def make(
        name: str, runner: str, seed: int = 0, *, grace: float = 25.0, store: Path | None = None, **sections: Mapping[str, object]
    ) -> Scenario:
        folder = tmp_path / f"project{len(projects)}"
        folder.mkdir()
        projects.append(Project(folder, grace=grace, store=store, **sections))
        return Scenario(name, runner, projects[-1], seed)

    yield make
    for project in projects:
        project.close()
