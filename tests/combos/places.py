"""Where the combos store, and which of all pairs a run is about.

`nox -s combos` installs one pair alone and names it in PYNENC_TEST_RUNNER and PYNENC_TEST_BACKEND; without them a run is about every
installed pair. `redis+sqlite` is two stores under one app: the queue in the first, the records in the second.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from pynenc_core.plugins import PluginManager
from pynenc_core.plugins.kinds import BACKEND, RUNNER
from pynenc_testkit.contracts.subject import all_filled

URLS = {"memory": "memory://{name}", "mongo": "{mongo}/{name}", "redis": "{redis}", "sqlite": "sqlite:///{folder}/jobs.db"}
"""By which URL a backend keeps both halves, or the records alone."""
QUEUES: Mapping[str, Mapping[str, object]] = {"redis": {"redis": {"url": "{redis}"}}}
"""With which settings beside the URL of the records a backend keeps the queue alone."""
CATALOG = PluginManager(environ={}).catalog


@attrs.frozen
class Place:
    """Where an app stores: its URL, and settings beside it; placeholders as the kit fills them in."""

    name: str
    url: str
    beside: Mapping[str, object]

    @property
    def crosses_processes(self) -> bool:
        """Whether other processes see what is stored there."""
        return all(CATALOG.backend(part).crosses_processes for part in self.name.split("+"))

    def settings(self, folder: str | Path) -> dict[str, object]:
        """Return the settings of an app that stores there, `url` among them, with a folder of the test's own for what is a file."""
        return all_filled({"url": self.url, **self.beside}, folder)


def place(name: str) -> Place:
    """Return the place of a backend, or of a queue and records as `queue+records`."""
    *queue, records = name.split("+")
    beside = {key: value for part in queue for key, value in {"broker_cls": part, **QUEUES[part]}.items()}
    return Place(name, URLS[records], beside)


def _chosen(variable: str, installed: Sequence[str]) -> list[str]:
    return [os.environ[variable]] if variable in os.environ else list(installed)


RUNNERS = _chosen("PYNENC_TEST_RUNNER", [offer.spec.name for offer in CATALOG.offers(RUNNER) if offer.distribution.startswith("pynenc-")])
PLACES = {name: place(name) for name in _chosen("PYNENC_TEST_BACKEND", [offer.spec.name for offer in CATALOG.offers(BACKEND)])}
PAIR = None if {"PYNENC_TEST_RUNNER", "PYNENC_TEST_BACKEND"}.isdisjoint(os.environ) else "-over-".join([*RUNNERS, *PLACES])
"""The pair that this run is about; None for every installed one."""


def works(runner: str, place: Place) -> bool:
    """Return whether a runner can work off what is stored there."""
    return CATALOG.runner(runner).mem_compatible or place.crosses_processes
