"""What the public names share: times as people write them, and the memory of what was stored a moment ago."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from pynenc_core.ports.lookups import Recently, seconds_of


class StoppedClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 30),  # noqa: DTZ001 - that naive times are UTC is what is tested
        datetime(2026, 3, 29, 10, 30, tzinfo=timezone(timedelta(hours=9))),
        1_774_747_800,
        1_774_747_800.0,
    ],
    ids=["utc", "naive", "elsewhere", "int", "float"],
)
def test_an_instant_may_be_written_in_any_way_and_a_naive_one_is_utc(moment: datetime | float) -> None:
    assert seconds_of(moment) == 1_774_747_800.0


def test_what_was_added_is_remembered_for_a_while() -> None:
    clock = StoppedClock()
    recently = Recently(clock, seconds=60)
    assert "a" not in recently
    recently.add("a")
    clock.now += 59.9
    assert "a" in recently
    assert "b" not in recently
    clock.now += 0.2
    assert "a" not in recently
    recently.add("a")
    assert "a" in recently


def test_the_memory_is_bounded() -> None:
    recently = Recently(StoppedClock(), most=3)
    for number in range(10):
        recently.add(number)
    assert 9 in recently
    assert sum(number in recently for number in range(10)) <= 3
