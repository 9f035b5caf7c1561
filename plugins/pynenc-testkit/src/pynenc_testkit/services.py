"""Servers that tests need: one that is missing is a failure which says how to get it."""

from __future__ import annotations

from collections.abc import Callable

import pytest


def require_service(name: str, probe: Callable[[], object], remedy: str) -> None:
    """Fail the test when `probe` raises: the service is not there; `remedy` says how to start it."""
    try:
        probe()
    except Exception as error:  # noqa: BLE001 - whatever the client raises, the service cannot be used
        pytest.fail(f"{name} is needed here and cannot be used ({type(error).__name__}: {error}); {remedy}", pytrace=False)
