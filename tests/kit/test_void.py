"""The kit's first proof: what does nothing passes no test of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.inner_run import run_inside

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("cases", "least", "patience"),
    [("void_cases.py", 200, "0.1"), ("void_runner_cases.py", 20, "0.2"), ("void_diagnostics_cases.py", 7, "0.2")],
    ids=["storage", "runner", "diagnostics"],
)
def test_what_does_nothing_fails_every_contract_test(
    pytestconfig: pytest.Config, tmp_path: Path, cases: str, least: int, patience: str
) -> None:
    results = run_inside(pytestconfig, tmp_path, str(HERE / cases), PYTHONPATH=str(HERE.parent), PYNENC_TEST_PATIENCE=patience)
    assert len(results) > least
    assert [f"{result.cls}::{result.name}" for result in results if result.outcome not in {"failure", "error"}] == []
