"""One process of the runner, with what it is about."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Sequence
from enum import Enum, auto

from pynenc_core.model import InvocationRecord, Signal
from pynenc_core.ports.children import Child
from pynenc_core.ports.control import Control, Hold, Resume


class Phase(Enum):
    """How far a process has come in its one life."""

    LOADING = auto()
    """It imports the app."""
    READY = auto()
    """It can run something now."""
    RUNNING = auto()
    """It has been given an invocation."""
    ENDING = auto()
    """It was told to end."""


class Member:
    """A worker process that runs one invocation at most, and may be stopped while that one waits."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.phase = Phase.LOADING
        self.invocation_id = ""
        self.holds: dict[int, Hold] = {}
        """What its invocation waits for, by number; while there is any it takes no slot."""
        self.stopped = False

    @property
    def takes_slot(self) -> bool:
        """Whether its invocation runs."""
        return self.phase is Phase.RUNNING and not self.holds

    @property
    def held(self) -> bool:
        """Whether its invocation waits."""
        return bool(self.holds)

    @property
    def spare(self) -> bool:
        """Whether it is for an invocation yet to come."""
        return self.phase in {Phase.LOADING, Phase.READY}

    def run(self, record: InvocationRecord) -> None:
        """Give it an invocation."""
        self.phase, self.invocation_id = Phase.RUNNING, record.invocation_id
        self.child.invocation_ids = (record.invocation_id,)
        self.child.tell(Control(run=record))

    def hold(self, hold: Hold) -> None:
        """Note that its invocation waits, and stop the process if nothing else runs there and nothing is on its way to it."""
        self.holds[hold.number] = hold
        if hold.may_stop and hold.heard == self.child.sent:
            self._signal(signal.SIGSTOP)
            self.stopped = True

    def resume(self, number: int, arrived: Sequence[str], refused_above: int = 0) -> None:
        """Let one of its waits end."""
        self.holds.pop(number, None)
        self._go_on()
        self.child.tell(Control(resume=Resume(number=number, arrived=list(arrived), refused_above=refused_above)))

    def deliver(self, asked: Signal) -> None:
        """Tell it of a request to its invocation; one that waits goes on with that."""
        self._go_on()
        self.child.deliver([asked])

    def end(self, grace: float) -> None:
        """Let it end what runs within `grace` seconds, hand back the rest, and exit."""
        if self.spare:
            self.phase = Phase.ENDING
        self._go_on()
        self.child.ask_to_stop(grace)

    def _go_on(self) -> None:
        if self.stopped:
            self.stopped = False
            self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it is gone, and found so in a moment
            self.child.process.send_signal(number)


class Members(dict[str, Member]):
    """The processes that there are, by their runner ids."""

    @property
    def running(self) -> int:
        """How many slots are taken."""
        return sum(member.takes_slot for member in self.values())

    @property
    def held(self) -> int:
        """How many have an invocation that waits."""
        return sum(member.held for member in self.values())

    @property
    def spare(self) -> int:
        """How many are for invocations yet to come."""
        return sum(member.spare for member in self.values())

    @property
    def ready(self) -> Member | None:
        """One that can run something now; None when there is none."""
        return next((member for member in self.values() if member.phase is Phase.READY), None)
