"""The runners that the scenarios are run with, and everything in which they differ for who kills and counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs
import pytest

from faults.processes import children_of


@attrs.frozen
class Kind:
    """One runner, as the scenarios see it."""

    name: str
    generation: int
    """Where tasks run: 0 in the runner itself, 1 in its children, 2 in children of a process that it forks them from."""
    crowd: int
    """How many slots one worker has where a scenario does not say."""
    most: int = 0
    """How many it may have; 0: any number."""
    counts: tuple[str, ...] = ()
    """Settings that take the number of slots, or of processes where there are some."""
    crowds: tuple[str, ...] = ()
    """Settings that take the number of slots that share a process."""
    coroutines: bool = False
    """Whether async tasks are what it is made for."""
    forks: bool = False
    """Whether each invocation is a process, which costs about 30 ms of a CPU."""

    @property
    def pool(self) -> bool:
        """Whether tasks run in processes of their own, whose end the runner survives and sees at once."""
        return self.generation > 0

    def together(self, slots: int, crowd: int = 0) -> int:
        """Return how many of so many slots share a process: `crowd` of them, where that is possible; 0: where a scenario does not say."""
        if not self.pool:
            return slots
        wanted = min(crowd or self.crowd, slots, self.most or slots)
        return wanted if slots % wanted == 0 else 1

    def processes(self, slots: int, crowd: int = 0) -> int:
        """Return how many worker processes it starts for so many slots; 0 where tasks run in the runner itself."""
        return slots // self.together(slots, crowd) if self.pool else 0

    def variables(self, slots: int, crowd: int = 0) -> Mapping[str, str]:
        """Return the environment with which it runs so many invocations at once."""
        count = self.processes(slots, crowd) or slots
        values = {**dict.fromkeys(self.counts, count), **dict.fromkeys(self.crowds, self.together(slots, crowd))}
        return {f"PYNENC__RUNNER__{name}": str(value) for name, value in values.items()}

    def workers(self, pid: int) -> list[int]:
        """Return the pids of the processes in which tasks of a runner run."""
        found = [pid]
        for _ in range(self.generation):
            found = [child for each in found for child in children_of(each)]
        return found


THREAD = Kind("thread", generation=0, crowd=2, counts=("MAX_THREADS",))
ASYNCIO = Kind("asyncio", generation=0, crowd=4, counts=("MAX_TASKS",), coroutines=True)
PERSISTENT_PROCESS = Kind("persistent-process", generation=1, crowd=1, most=1, counts=("NUM_PROCESSES",))
MULTI_THREAD = Kind("multi-thread", generation=1, crowd=2, counts=("MAX_PROCESSES",), crowds=("MAX_THREADS",))
PROCESS = Kind("process", generation=2, crowd=1, most=1, counts=("NUM_PROCESSES",), forks=True)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (THREAD, ASYNCIO, PERSISTENT_PROCESS, MULTI_THREAD, PROCESS)}
POOLS = tuple(kind.name for kind in KINDS.values() if kind.pool)
"""Those whose tasks run in processes of their own."""
ALONE = tuple(kind.name for kind in KINDS.values() if not kind.pool)
"""Those that die with what they run."""


def runners(*quick: str, of: Iterable[str] = KINDS) -> pytest.MarkDecorator:
    """Return what gives a test each runner: `make test` runs it with the ones named first, `nox -s faults` with all."""
    return pytest.mark.parametrize("runner", [name if name in quick else pytest.param(name, marks=pytest.mark.full) for name in of])
