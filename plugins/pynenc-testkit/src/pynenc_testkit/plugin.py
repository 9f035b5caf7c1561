"""The kit as pytest sees it: marks, fixtures and the check that contracts are whole."""

from __future__ import annotations

import pytest

# By itself pytest rewrites the asserts of an installed distribution only, and an editable one is not that to it.
pytest.register_assert_rewrite("pynenc_testkit.contracts", "pynenc_testkit.samples", "pynenc_testkit.stores")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the kit's marks."""
    config.addinivalue_line("markers", "pynenc_contract: a test that a contract of pynenc-testkit brings")
