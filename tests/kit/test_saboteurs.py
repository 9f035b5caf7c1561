"""The kit's second proof: each mistake is caught by the test made for it, and by none of another contract."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kit.dispatcher_saboteurs import DISPATCHER_SABOTEURS
from kit.dispatcher_saboteurs import Saboteur as DispatcherSaboteur
from kit.inner_run import Result, run_inside
from kit.state_saboteurs import STATE_SABOTEURS
from kit.state_saboteurs import Saboteur as StateSaboteur

CASES = Path(__file__).with_name("saboteur_cases.py")
PARTS = 4
"""So many runs at once: they mostly wait for what a saboteur has lost."""


@pytest.fixture(scope="module")
def results(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """What became of every contract test under every saboteur."""

    def run(part: int) -> list[Result]:
        return run_inside(pytestconfig, tmp_path_factory.mktemp(f"part{part}"), str(CASES), PYNENC_KIT_PART=f"{part}/{PARTS}")

    with ThreadPoolExecutor(PARTS) as pool:
        return [result for found in pool.map(run, range(PARTS)) for result in found]


def failed(results: list[Result], cls: str) -> set[str]:
    ran = [result for result in results if result.cls == cls]
    assert len(ran) > 40, f"{cls} did not run"
    return {result.function for result in ran if result.outcome != "passed"}


@pytest.mark.timeout(300)
def test_without_a_saboteur_everything_passes(results: list[Result]) -> None:
    assert failed(results, "TestNobodyOfState") | failed(results, "TestNobodyOfDispatcher") == set()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("saboteur", STATE_SABOTEURS, ids=lambda saboteur: saboteur.__name__)
def test_a_spoilt_state_backend_is_caught(results: list[Result], saboteur: type[StateSaboteur]) -> None:
    caught = failed(results, f"Test{saboteur.__name__}OfState")
    assert set(saboteur.caught_by) <= caught
    assert failed(results, f"Test{saboteur.__name__}OfDispatcher") == set()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("saboteur", DISPATCHER_SABOTEURS, ids=lambda saboteur: saboteur.__name__)
def test_a_spoilt_dispatcher_is_caught(results: list[Result], saboteur: type[DispatcherSaboteur]) -> None:
    caught = failed(results, f"Test{saboteur.__name__}OfDispatcher")
    assert set(saboteur.caught_by) <= caught
    assert failed(results, f"Test{saboteur.__name__}OfState") == set()
