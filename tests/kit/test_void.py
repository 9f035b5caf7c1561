"""The kit's first proof: a backend that does nothing passes no test of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.inner_run import run_inside


def test_a_backend_that_does_nothing_fails_every_contract_test(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    results = run_inside(pytestconfig, tmp_path, str(Path(__file__).with_name("void_cases.py")))
    assert len(results) > 200
    assert [f"{result.cls}::{result.name}" for result in results if result.outcome not in {"failure", "error"}] == []
