"""The contract of diagnostics catches each mistake by the test made for it, and lets an honest plugin pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.diagnostics_saboteurs import DIAGNOSTICS_SABOTEURS, Honest
from kit.inner_run import Result, run_inside

CASES = Path(__file__).with_name("diagnostics_cases.py")


@pytest.fixture(scope="module")
def results(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """What became of every contract test under every saboteur."""
    return run_inside(pytestconfig, tmp_path_factory.mktemp("diagnostics"), str(CASES), PYTHONPATH=str(CASES.parents[1]))


def failed(results: list[Result], cls: type) -> set[str]:
    ran = [result for result in results if result.cls == f"Test{cls.__name__}"]
    assert len(ran) > 6, f"{cls} did not run"
    return {result.function for result in ran if result.outcome != "passed"}


def test_an_honest_plugin_passes(results: list[Result]) -> None:
    assert failed(results, Honest) == set()


@pytest.mark.parametrize("saboteur", DIAGNOSTICS_SABOTEURS, ids=lambda saboteur: saboteur.__name__)
def test_a_mistake_is_caught(results: list[Result], saboteur: type[Honest]) -> None:
    assert set(saboteur.caught_by) <= failed(results, saboteur)
