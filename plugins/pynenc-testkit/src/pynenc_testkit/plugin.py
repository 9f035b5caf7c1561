"""The kit as pytest sees it: marks, a clock, the check that contracts are whole, and what could not be verified here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from pynenc_testkit.clock import ManualClock

# By itself pytest rewrites the asserts of an installed distribution only, and an editable one is not that to it.
pytest.register_assert_rewrite("pynenc_testkit.contracts", "pynenc_testkit.samples", "pynenc_testkit.stores")

MONGOD_VARIABLE = "PYNENC_TEST_MONGO_URL"
"""The URL of a real mongod; without it, what only one can show is counted as not verified."""

_KIT = "pynenc_testkit."
_left_out = pytest.StashKey[int]()
_LEFT_OUT = "pynenc_left_out"
"""Under which name a process of pytest-xdist tells it to the one that prints."""


def pytest_configure(config: pytest.Config) -> None:
    """Declare the kit's marks."""
    config.addinivalue_line("markers", "pynenc_contract: a test that a contract of pynenc-testkit brings")
    config.addinivalue_line("markers", "needs_mongod: only a real mongod can show it; without its URL it is counted as not verified here")


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that stands still until the test advances it."""
    return ManualClock()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse contracts that were bent, and leave out what needs a server that is not there.

    Raises pytest.UsageError, naming each test that was replaced without a strict xfail and a reason.
    """
    bent = sorted({line for cls in {getattr(item, "cls", None) for item in items} if cls is not None for line in replaced(cls)})
    if bent:
        message = "\n  ".join(["contracts must stay whole:", *bent])
        raise pytest.UsageError(message)
    if not os.environ.get(MONGOD_VARIABLE):
        absent = [item for item in items if item.get_closest_marker("needs_mongod")]
        config.stash[_left_out] = len(absent)
        if absent:
            config.hook.pytest_deselected(items=absent)
            items[:] = [item for item in items if item not in absent]
        if (told := getattr(config, "workeroutput", None)) is not None:
            told[_LEFT_OUT] = len(absent)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Learn how much a process of pytest-xdist left out: each of them has collected everything."""
    count = getattr(node, "workeroutput", {}).get(_LEFT_OUT, 0)
    node.config.stash[_left_out] = max(count, node.config.stash.get(_left_out, 0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how much was not verified here."""
    count = config.stash.get(_left_out, 0)
    if count:
        terminalreporter.write_line(f"NOT VERIFIED HERE: {count} tests need a real mongod; give its URL in {MONGOD_VARIABLE}", yellow=True)


def replaced(cls: type) -> Iterator[str]:
    """Yield a line for each contract test that a class replaces other than by a strict xfail with a reason."""
    contracts = [base for base in cls.__mro__ if base.__module__.startswith(_KIT)]
    for name in sorted({name for base in contracts for name in vars(base) if name.startswith("test_")}):
        owner = next(base for base in cls.__mro__ if name in vars(base))
        if owner.__module__.startswith(_KIT):
            continue
        marks = [mark for mark in getattr(vars(owner)[name], "pytestmark", ()) if mark.name == "xfail"]
        if not any(mark.kwargs.get("reason") and mark.kwargs.get("strict") is True for mark in marks):
            original = next(base for base in contracts if name in vars(base))
            yield (
                f"{owner.__module__}.{owner.__qualname__}.{name} replaces {original.__qualname__}.{name}: "
                "mark it xfail(strict=True, reason=...) and call super() instead"
            )
