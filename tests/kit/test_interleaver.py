"""The interleaver finds what racing threads do not, the same way each time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from pynenc_testkit.interleaver import Interleaver, InterleavingError, Outcome, Schedule, choked, schedules


class Register:
    """A store with one number, read and written by separate driver calls."""

    def __init__(self) -> None:
        self.value = 0
        self.lock = threading.Lock()

    def read(self) -> int:
        return self.value

    def write(self, value: int) -> None:
        self.value = value

    def increment(self) -> int:
        value = self.read() + 1
        self.write(value)
        return value

    def increment_locked(self) -> int:
        with self.lock:
            return self.increment()


CHOKES = tuple(f"{__name__}:Register.{name}" for name in ("read", "write"))


def outcomes(chokes: Sequence[str], make: Callable[[Register], Callable[[], object]], limit: int = 2000) -> list[tuple[Outcome, int]]:
    registers: list[Register] = []

    def prepare() -> Sequence[Callable[[], object]]:
        registers.append(Register())
        return make(registers[-1]), make(registers[-1])

    interleaver = Interleaver(chokes, limit=limit, silence=0.02)
    return [(outcome, registers[-1].value) for outcome in interleaver.outcomes(prepare)]


def test_all_orders_of_two_operations_of_two_calls_are_tried() -> None:
    assert schedules((2, 2)) == ((0, 0, 1, 1), (0, 1, 0, 1), (0, 1, 1, 0), (1, 0, 0, 1), (1, 0, 1, 0), (1, 1, 0, 0))
    assert len(schedules((3, 2, 1))) == 60


def test_of_too_many_orders_those_with_few_switches_come_first_and_samples_follow() -> None:
    chosen = schedules((10, 10), limit=100)
    assert len(set(chosen)) == 100
    assert chosen == schedules((10, 10), limit=100)
    assert chosen[0] == (1,) * 10 + (0,) * 10
    assert all(sorted(order) == [0] * 10 + [1] * 10 for order in chosen)


def test_an_update_without_a_lock_is_lost_in_four_of_six_orders() -> None:
    found = outcomes(CHOKES, lambda register: register.increment)
    assert [outcome.order for outcome, _ in found] == [(), *schedules((2, 2))]
    assert [value for _, value in found] == [2, 2, 1, 1, 1, 1, 2]
    assert found == outcomes(CHOKES, lambda register: register.increment)


def test_an_operation_that_waits_for_another_ones_lock_is_passed_over() -> None:
    found = outcomes(CHOKES, lambda register: register.increment_locked)
    assert [value for _, value in found] == [2] * 7
    assert all(sorted(map(str, outcome.results)) == ["1", "2"] for outcome, _ in found)


def test_what_an_operation_raises_is_its_result() -> None:
    error = OSError("broken")

    def broken() -> None:
        raise error

    assert Schedule((0, 1)).run(broken, lambda: 7) == (error, 7)


def test_operations_that_wait_for_each_other_are_given_up() -> None:
    never = threading.Event()
    schedule = Schedule((0,), silence=0.01, deadline=0.05)
    with pytest.raises(InterleavingError, match=r"did not end within 0.05 s .*operation 0 blocked after 0 calls"):
        schedule.run(lambda: never.wait(2))
    never.set()


def test_an_operation_that_never_passes_the_choke_point_is_no_test() -> None:
    with pytest.raises(InterleavingError, match="name the driver's choke point"):
        outcomes(CHOKES, lambda register: lambda: register.value)


def test_other_threads_pass_the_choke_point() -> None:
    register, schedule = Register(), Schedule()
    with choked(CHOKES, schedule.step):
        assert register.increment() == 1
    assert schedule.calls == ()


def test_a_choke_point_is_put_back_as_it_was() -> None:
    before = dict(vars(Register))
    with choked([*CHOKES, f"{__name__}:Late.read"], lambda: None):
        assert vars(Register)["read"] is not before["read"]
        assert "read" in vars(Late)
    assert dict(vars(Register)) == before
    assert "read" not in vars(Late)
    with pytest.raises(AttributeError), choked([f"{__name__}:Register.nothing"], lambda: None):
        pass


class Late(Register):
    """Has its methods from elsewhere."""
