"""Every runner over every backend that it can work with: the main path.

`nox -s combos` installs one pair alone and names it in PYNENC_TEST_RUNNER and PYNENC_TEST_BACKEND; without them it is
every installed pair.
"""

from __future__ import annotations

import os

import pytest

from pynenc_core import PynencBuilder
from pynenc_core.errors.plugins import CapabilityError
from pynenc_core.plugins import PluginManager
from pynenc_core.plugins.kinds import BACKEND, RUNNER
from pynenc_testkit.contracts import ComboContract

SLOTS = {"inline": 1}
"""How many invocations a runner can run at once, where that cannot be set."""
URLS = {"memory": "memory://", "mongo": "{mongo}/{name}", "redis": "{redis}", "sqlite": "sqlite:///{folder}/jobs.db"}


def _chosen(variable: str, names: list[str]) -> list[str]:
    wanted = os.environ.get(variable)
    return [wanted] if wanted else names


def _pairs() -> list[tuple[str, str]]:
    catalog = PluginManager(environ={}).catalog
    runners = _chosen(
        "PYNENC_TEST_RUNNER", [offer.spec.name for offer in catalog.offers(RUNNER) if offer.distribution.startswith("pynenc-")]
    )
    backends = _chosen("PYNENC_TEST_BACKEND", [offer.spec.name for offer in catalog.offers(BACKEND)])
    return [(runner, backend) for runner in runners for backend in backends]


def _works(runner: str, backend: str) -> bool:
    catalog = PluginManager(environ={}).catalog
    return catalog.runner(runner).mem_compatible or catalog.backend(backend).crosses_processes


def _contract(runner: str, backend: str) -> type:
    crosses = PluginManager(environ={}).catalog.backend(backend).crosses_processes
    name = "Test" + f"{runner}-over-{backend}".title().replace("-", "")
    body = {"runner": runner, "url": URLS[backend], "crosses_processes": crosses, "slots": SLOTS.get(runner, 2), "__module__": __name__}
    return type(name, (ComboContract,), body)


globals().update({found.__name__: found for pair in _pairs() if _works(*pair) for found in [_contract(*pair)]})


@pytest.mark.parametrize(("runner", "backend"), [pair for pair in _pairs() if not _works(*pair)], ids=lambda name: name)
def test_a_pair_that_cannot_work_is_refused_at_build(runner: str, backend: str) -> None:
    builder = PynencBuilder().app_id("kit").custom_config(runner_cls=runner).backend(URLS[backend])
    with pytest.raises(CapabilityError):
        builder.build()
