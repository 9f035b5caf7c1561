"""The runner under test, and the projects that it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from pynenc_testkit.contracts.subject import filled, fresh_place
from pynenc_testkit.projects import FAST, Project, make_project

MakeProject = Callable[..., Project]


@pytest.mark.pynenc_contract
class RunnerSubject:
    """The runner under test: give its name, and where to store if not in an SQLite file."""

    runner: ClassVar[str] = ""
    url: ClassVar[str] = "sqlite:///{folder}/jobs.db"
    """A store that crosses processes; `{folder}` stands for the project's directory."""
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
        made: list[Project] = []
        with fresh_place("{folder}") as folder:

            def make(slots: int = 2, **runner: object) -> Project:
                place = Path(folder) / f"project{len(made)}"
                place.mkdir()
                section = {**FAST["runner"], **self.settings(slots), **runner}
                settings: dict[str, object] = {**FAST, "runner_cls": self.runner, "runner": section}
                made.append(make_project(place, filled(self.url, place), settings, self.source()))
                return made[-1]

            yield make
            for project in made:
                project.close()
