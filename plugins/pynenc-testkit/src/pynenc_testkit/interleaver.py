"""Runs operations under every interleaving of their driver calls, one step at a time, the same way each time.

Racing threads do not find what goes wrong between two operations: 0 of 2,000 rounds, where 4 of 6 schedules do. So every
call of the driver's choke point (the one callable that all its traffic passes) stops at a gate first, and a conductor
opens one gate at a time, in the order that a schedule names. A step that stays silent for 50 ms counts as blocked, by a
lock that another operation holds for instance; the conductor passes it over until it is heard of again.
"""

from __future__ import annotations

import functools
import math
import random
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pkgutil import resolve_name
from typing import Any, cast

import attrs

SILENCE = 0.05
"""Seconds without a sign of life after which a step counts as blocked."""
_AT_A_TIME = 12
"""Turns of one operation after the last that a schedule names, before the others have theirs: who looks again and again waits for them."""
DEADLINE = 20.0
"""Seconds after which operations that are still blocked are given up: they wait for each other."""


class InterleavingError(AssertionError):
    """Operations did not end under a schedule, or did not come past the choke point at all."""


class _Phase(Enum):
    """Where an operation is, as the conductor sees it."""

    GOING = "going"
    AT_GATE = "at its next driver call"
    BLOCKED = "blocked"
    ENDED = "ended"


@attrs.define
class _Operation:
    phase: _Phase = _Phase.GOING
    calls: int = 0
    result: object = None
    thread: threading.Thread | None = None


class Schedule:
    """One order in which the driver calls of several operations take turns; good for one `run`."""

    def __init__(self, order: Iterable[int] = (), *, silence: float = SILENCE, deadline: float = DEADLINE) -> None:
        self._order = tuple(order)
        self._silence = silence
        self._deadline = deadline
        self._changed = threading.Condition()
        self._operations: list[_Operation] = []
        self._open: int | None = None
        self._local = threading.local()

    @property
    def calls(self) -> tuple[int, ...]:
        """How many driver calls each operation made."""
        return tuple(operation.calls for operation in self._operations)

    def step(self) -> None:
        """Wait until the schedule names the operation that this thread carries out; other threads pass."""
        number: int | None = getattr(self._local, "number", None)
        if number is None:
            return
        operation = self._operations[number]
        with self._changed:
            operation.phase = _Phase.AT_GATE
            self._changed.notify_all()
            while self._open != number:
                self._changed.wait()
            self._open = None
            operation.phase = _Phase.GOING
            operation.calls += 1
            self._changed.notify_all()

    def run(self, *operations: Callable[[], object]) -> tuple[object, ...]:
        """Carry out each operation in a thread of its own; return what each returned, or the exception it raised.

        Turns of operations that have ended or are blocked fall away; what is left after the last turn goes on one
        operation after the other, a dozen turns at a time. Raises InterleavingError when operations block each other for good.
        """
        self._operations = [_Operation() for _ in operations]
        ends = time.monotonic() + self._deadline
        for number, (state, call) in enumerate(zip(self._operations, operations, strict=True)):
            state.thread = threading.Thread(target=self._carry_out, args=(number, call), name=f"operation-{number}", daemon=True)
            state.thread.start()
            self._settle(number)
        for number in self._order:
            self._turn(number)
        while unfinished := [number for number, state in enumerate(self._operations) if state.phase is not _Phase.ENDED]:
            if time.monotonic() > ends:
                raise InterleavingError(self._stuck())
            for number in unfinished:
                for _ in range(_AT_A_TIME):
                    if not self._turn(number):
                        break
        return tuple(state.result for state in self._operations)

    def _carry_out(self, number: int, call: Callable[[], object]) -> None:
        self._local.number = number
        state = self._operations[number]
        try:
            state.result = call()
        except BaseException as error:  # noqa: BLE001 - the caller judges it
            state.result = error
        with self._changed:
            state.phase = _Phase.ENDED
            self._changed.notify_all()

    def _turn(self, number: int) -> bool:
        """Let an operation make one driver call, if it stands before one; return whether it did."""
        state = self._operations[number]
        with self._changed:
            if state.phase is _Phase.BLOCKED:
                self._changed.wait_for(lambda: state.phase is not _Phase.BLOCKED, timeout=self._patience())
            if state.phase is not _Phase.AT_GATE:
                return False
            self._open = number
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._open is None)
        self._settle(number)
        return True

    def _patience(self) -> float:
        """How long to listen for a blocked operation: briefly while another one stands ready and could free it."""
        others = any(state.phase is _Phase.AT_GATE for state in self._operations)
        return self._silence / 10 if others else self._silence

    def _settle(self, number: int) -> None:
        state = self._operations[number]
        with self._changed:
            if not self._changed.wait_for(lambda: state.phase is not _Phase.GOING, timeout=self._silence):
                state.phase = _Phase.BLOCKED

    def _stuck(self) -> str:
        phases = ", ".join(
            f"operation {number} {state.phase.value} after {state.calls} calls" for number, state in enumerate(self._operations)
        )
        return f"the operations did not end within {self._deadline:g} s under the schedule {self._order}: {phases}"


def schedules(calls: Sequence[int], limit: int = 2000) -> tuple[tuple[int, ...], ...]:
    """Return the distinct orders in which operations that make so many driver calls each may take turns.

    All of them, when there are at most `limit`; else first those with the fewest switches between operations, where most
    mistakes show, then seeded samples. The same arguments give the same orders.
    """
    total = math.factorial(sum(calls))
    for count in calls:
        total //= math.factorial(count)
    if total <= limit:
        return tuple(_permutations(tuple(calls)))
    found: dict[tuple[int, ...], None] = {}
    for order in _few_switches(calls):
        if len(found) >= limit // 2:
            break
        found[order] = None
    turns = [number for number, count in enumerate(calls) for _ in range(count)]
    rng = random.Random(0)  # noqa: S311 - repeatable on purpose
    while len(found) < limit:
        found[tuple(rng.sample(turns, len(turns)))] = None
    return tuple(found)


def _permutations(left: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    if not any(left):
        yield ()
        return
    for number, count in enumerate(left):
        if count:
            for rest in _permutations((*left[:number], count - 1, *left[number + 1 :])):
                yield (number, *rest)


def _few_switches(calls: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield orders in which one operation is interrupted once by one other, which then runs to its end."""
    numbers = range(len(calls))
    for first in numbers:
        rest = [number for number in numbers if number != first]
        for at in range(calls[first] + 1):
            inner = [number for number in rest for _ in range(calls[number])]
            yield (*[first] * at, *inner, *[first] * (calls[first] - at))


@attrs.frozen
class Outcome:
    """What the operations returned, or raised, under one schedule."""

    order: tuple[int, ...]
    results: tuple[object, ...]


class Interleaver:
    """Tries operations under all schedules; `chokes` are callables, each named `package.module:Class.method`."""

    def __init__(self, chokes: Sequence[str], *, limit: int = 2000, silence: float = SILENCE) -> None:
        self._chokes = tuple(chokes)
        self._limit = limit
        self._silence = silence

    def outcomes(self, prepare: Callable[[], Sequence[Callable[[], object]]]) -> Iterator[Outcome]:
        """Yield the outcome of each schedule; `prepare` makes a fresh situation, and the operations to race in it.

        Raises InterleavingError when an operation never passes a choke point: then there is nothing to interleave.
        """
        first = self._try((), prepare)
        yield first[0]
        calls = first[1]
        if not all(calls):
            raise InterleavingError(self._passed_by(calls))
        for order in schedules(calls, self._limit):
            yield self._try(order, prepare)[0]

    def _passed_by(self, calls: tuple[int, ...]) -> str:
        return f"the operations made {calls} calls of {', '.join(self._chokes) or 'nothing'}: name the driver's choke point in `chokes`"

    def _try(self, order: tuple[int, ...], prepare: Callable[[], Sequence[Callable[[], object]]]) -> tuple[Outcome, tuple[int, ...]]:
        operations = prepare()
        schedule = Schedule(order, silence=self._silence)
        with choked(self._chokes, schedule.step):
            results = schedule.run(*operations)
        return Outcome(order, results), schedule.calls


@contextmanager
def choked(targets: Iterable[str], before: Callable[[], None], after: Callable[[], None] | None = None) -> Generator[None]:
    """Patch callables, each named `package.module:Class.method`, so that `before` runs before each call and `after` after it.

    What `before` raises, the caller of the driver gets. Raises ImportError or AttributeError for a target that is not there.
    """
    undo: list[Callable[[], None]] = []
    try:
        for target in targets:
            module, _, path = target.partition(":")
            owner_path, _, name = path.rpartition(".")
            owner = resolve_name(f"{module}:{owner_path}" if owner_path else module)
            undo.append(_patch(owner, name, before, after))
        yield
    finally:
        for restore in reversed(undo):
            restore()


def _patch(owner: Any, name: str, before: Callable[[], None], after: Callable[[], None] | None) -> Callable[[], None]:
    original = getattr(owner, name)
    own: Any = cast("dict[str, Any]", vars(owner)).get(name)

    @functools.wraps(original)
    def gated(*args: Any, **kwargs: Any) -> Any:
        before()
        result = original(*args, **kwargs)
        if after is not None:
            after()
        return result

    setattr(owner, name, gated)

    def restore() -> None:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)

    return restore
