"""The runner under test, and the projects that it runs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from pynenc_testkit.contracts.subject import filled, fresh_place
from pynenc_testkit.projects import FAST, Project, make_project

MakeProject = Callable[..., Project]
SQLITE = "sqlite:///{folder}/jobs.db"
"""A store that crosses processes; `{folder}` stands for the project's directory."""


@contextmanager
def making_projects(runner: str, url: str = SQLITE, **section: object) -> Generator[MakeProject]:
    """Give a function that makes a project for a runner, in a directory of its own; all that it made end with the block.

    It takes the source of the module, where that is not the kit's own jobs, and settings of the section `runner`, which stand
    before those of `section`.
    """
    made: list[Project] = []
    with fresh_place("{folder}") as folder:

        def make(source: str = "", **more: object) -> Project:
            place = Path(folder) / f"project{len(made)}"
            place.mkdir()
            settings: dict[str, object] = {**FAST, "runner_cls": runner, "runner": {**FAST["runner"], **section, **more}}
            made.append(make_project(place, filled(url, place), settings, source))
            return made[-1]

        yield make
        for project in made:
            project.close()


@pytest.mark.pynenc_contract
class RunnerSubject:
    """The runner under test: give its name, and where to store if not in an SQLite file."""

    runner: ClassVar[str] = ""
    url: ClassVar[str] = SQLITE
    own_processes: ClassVar[bool] = True
    """Whether tasks run in processes of their own, so that one that dies leaves the runner alive."""
    most_slots: ClassVar[int] = 0
    """How many invocations it can run at once, where that is bounded; 0: as many as it is given."""

    def settings(self, slots: int) -> Mapping[str, object]:
        """Return the section `runner` with which so many invocations run at once."""
        return {"max_threads": slots, "num_processes": slots, "max_tasks": slots, "max_processes": 1}

    def source(self) -> str:
        """Return the project's module; empty for the kit's own jobs."""
        return ""

    @pytest.fixture
    def projects(self) -> Iterator[MakeProject]:
        """A function that makes a project; it takes the number of slots and further settings of the runner."""
        with making_projects(self.runner, self.url) as make:
            yield lambda slots=2, **runner: make(self.source(), **{**self.settings(slots), **runner})
