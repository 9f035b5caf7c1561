"""Ids: unique whoever makes them, sorted by when they were made."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynenc_core.identifiers import SortableIds, call_id, external_runner_id, first_id_at, new_id, new_runner_id, task_id

LETTERS = set("0123456789abcdefghjkmnpqrstvwxyz")
INSTANTS = st.floats(min_value=0, max_value=9e9)
FORKS = """
import os
from pynenc_core import identifiers

identifiers._ids._clock = lambda: 1_700_000_000.0
identifiers.new_id()
reader, writer = os.pipe()
children = []
for _ in range(4):
    child = os.fork()
    if child == 0:
        os.write(writer, "".join(identifiers.new_id() + " " for _ in range(20)).encode())
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
os.close(writer)
print(os.read(reader, 1 << 16).decode(), *(identifiers.new_id() for _ in range(20)))
"""


class Ticks:
    """A clock that shows each of some times, then the last one for ever."""

    def __init__(self, *times: float) -> None:
        self._times = list(times)

    def __call__(self) -> float:
        return self._times.pop(0) if len(self._times) > 1 else self._times[0]


def test_an_id_has_26_plain_characters() -> None:
    made = [new_id() for _ in range(100)]
    assert {len(each) for each in made} == {26}
    assert set("".join(made)) <= LETTERS


def test_ids_sort_as_they_were_made_also_within_a_millisecond() -> None:
    ids = SortableIds(Ticks(1.0))
    made = [ids.new() for _ in range(1000)]
    assert made == sorted(set(made))
    assert len({each[:9] for each in made}) == 1, "one millisecond"


def test_ids_sort_by_time() -> None:
    times = [0.0, 0.001, 1.5, 1_700_000_000.0, 1_700_000_000.001, 9e9]
    made = [SortableIds(Ticks(time)).new() for time in times]
    assert made == sorted(made)


def test_ids_sort_as_they_were_made_although_the_clock_goes_back() -> None:
    ids = SortableIds(Ticks(100.0, 50.0, 99.999, 100.0, 0.0))
    made = [ids.new() for _ in range(10)]
    assert made == sorted(set(made))


def test_two_makers_in_one_millisecond_do_not_meet() -> None:
    one, other = SortableIds(Ticks(1.0)), SortableIds(Ticks(1.0))
    assert not {one.new() for _ in range(1000)} & {other.new() for _ in range(1000)}


def test_threads_make_different_ids_and_each_its_own_in_order() -> None:
    made: list[list[str]] = [[] for _ in range(8)]
    start = threading.Barrier(8)

    def make(place: list[str]) -> None:
        start.wait()
        place += [new_id() for _ in range(3000)]

    threads = [threading.Thread(target=make, args=(place,)) for place in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each for place in made for each in place}) == 8 * 3000
    assert all(place == sorted(place) for place in made)


def test_forked_children_make_different_ids_in_the_same_millisecond() -> None:
    run = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=True)
    made = run.stdout.split()
    assert len(made) == len(set(made)) == 100


def test_a_process_goes_on_where_it_was_after_its_fork() -> None:
    ids = SortableIds(Ticks(1.0))
    before = ids.new()
    ids.forget_after_fork()
    after = ids.new()
    assert before[:9] == after[:9]
    assert before != after


# --- the first id of an instant ---------------------------------------------------------------------------------------


@given(INSTANTS)
def test_no_id_of_an_instant_is_below_its_first(instant: float) -> None:
    assert SortableIds(Ticks(instant)).new() >= first_id_at(instant)


@given(INSTANTS, INSTANTS)
def test_ids_of_earlier_milliseconds_are_below(one: float, other: float) -> None:
    early, late = sorted((one, other))
    below = SortableIds(Ticks(early)).new() < first_id_at(late)
    assert below == (int(early * 1000) < int(late * 1000))


def test_a_first_id_is_as_long_as_any_and_rises_with_the_milliseconds() -> None:
    firsts = [first_id_at(number / 1000) for number in range(0, 5000, 5)]
    assert {len(each) for each in firsts} == {26}
    assert all(low < high for low, high in pairwise(firsts))
    assert first_id_at(1.0002) == first_id_at(1.0008) < first_id_at(1.0012)


def test_an_instant_that_no_id_can_name_is_brought_near() -> None:
    assert first_id_at(-5.0) == first_id_at(0.0) == "0" * 26
    assert first_id_at(float("inf")) == first_id_at(1e300) > SortableIds(Ticks(2.8e11)).new()


# --- other names ------------------------------------------------------------------------------------------------------


def test_each_start_of_a_runner_has_an_id_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "till-3")
    monkeypatch.setattr(os, "getpid", lambda: 77)
    one, other = new_runner_id("ThreadRunner"), new_runner_id("ThreadRunner")
    assert one != other
    assert one[:-10] == other[:-10] == "ThreadRunner@till-3-77-"


def test_a_process_outside_any_runner_has_one_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "till-3")
    monkeypatch.setattr(os, "getpid", lambda: 77)
    assert external_runner_id() == external_runner_id() == "ExternalRunner@till-3-77"


def test_tasks_and_calls_are_named_after_what_they_are() -> None:
    assert task_id("shop.till", "Till.bill") == "shop.till.Till.bill"
    assert call_id("shop.till.bill", "abc") == "shop.till.bill#abc"
