"""The parent of this process, as a worker sees it."""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import time

from pynenc_core.ports.control import Report, line
from pynenc_core.ports.gauge import Gauge


class Parent:
    """The runner that started this process, at the other end of a socket."""

    def __init__(self, control: socket.socket) -> None:
        """Take the gauge that the parent shares. Raises EOFError when it is gone already."""
        self._socket = control
        first, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not first or not descriptors:
            raise EOFError
        self.gauge = Gauge(memoryview(mmap.mmap(descriptors[0], mmap.PAGESIZE)))
        os.close(descriptors[0])
        self.lines = control.makefile("rb")

    def tell(self, report: Report) -> None:
        """Say something; if the parent is gone, the end of its lines will tell."""
        with contextlib.suppress(OSError):
            self._socket.sendall(line(report))


def take_control() -> socket.socket:
    """Return the socket to the parent, and leave an empty standard input: a task that reads it must not read our control."""
    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return control


class NoDuties:
    """A worker's parent gives its heartbeats and knows from the operating system whether it lives."""

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._renewed = time.monotonic()

    def note_renewal(self) -> None:
        """Note that the parent has just given a heartbeat."""
        self._renewed = time.monotonic()

    @property
    def may_claim(self) -> bool:
        """False while no heartbeat was given for one lease: the parent stands still, and others recover what is claimed here."""
        return time.monotonic() - self._renewed < self._lease

    @property
    def beating(self) -> bool:
        """Return True: they are the parent's."""
        return True

    @property
    def beaten_at(self) -> float:
        """When the parent last gave one, as far as it has said."""
        return self._renewed

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""

    def beat_now(self) -> None:
        """Do nothing."""

    def check_services(self) -> None:
        """Do nothing."""

    def stand_down(self) -> None:
        """Do nothing."""
