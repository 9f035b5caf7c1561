"""Both storage contracts on every saboteur; run by test_saboteurs.py, which reads who was caught by what."""

from __future__ import annotations

import os
from typing import Any, ClassVar

import pytest

from kit.dispatcher_saboteurs import DISPATCHER_SABOTEURS
from kit.state_saboteurs import STATE_SABOTEURS
from pynenc_backend_memory.broker import MemoryBroker
from pynenc_backend_memory.dispatcher import MemoryDispatcher
from pynenc_backend_memory.state_backend import MemoryStateBackend, _named
from pynenc_testkit.contracts import DispatcherContract, StateContract
from pynenc_testkit.stores import KitApp, Raw, Store, verbs_of


class _Raw:
    def __init__(self, place: str) -> None:
        self._name = place.partition("://")[2]

    def dump(self) -> object:
        return {
            app: (
                dict(table.records),
                {key: len(entries) for key, entries in table.entries.items()},
                dict(table.blobs),
                str(dict(table.values)),
                dict(table.leases),
            )
            for (name, app), table in _named.items()
            if name == self._name
        }

    def set_format(self, number: int) -> None:
        del number


class _Subject:
    """The memory backend, with one half of it replaced."""

    url: ClassVar[str] = "memory://{name}"
    schedules: ClassVar[int] = 20
    silence: ClassVar[float] = 0.01
    chokes: ClassVar[tuple[str, ...]] = verbs_of(
        "pynenc_backend_memory.state_backend:MemoryStateBackend",
        "pynenc_backend_memory.dispatcher:MemoryDispatcher",
    )
    state_class: ClassVar[type[MemoryStateBackend]] = MemoryStateBackend
    dispatcher_class: ClassVar[type[MemoryDispatcher]] = MemoryDispatcher

    def open_store(self, app: KitApp) -> Store:
        # The dispatcher works on a correct state backend over the same tables: each half is spoilt by itself.
        return Store(app, MemoryBroker(app), self.state_class(app), self.dispatcher_class(MemoryStateBackend(app)))

    @pytest.fixture
    def raw(self, place: str) -> Raw:
        return _Raw(place)


PART = os.environ.get("PYNENC_KIT_PART", "0/1")
"""Which of how many equal parts of the saboteurs this run takes."""


def _cases() -> dict[str, type]:
    """Make a class for each saboteur and contract, named `Test<Saboteur>Of<State|Dispatcher>`; `Nobody` is correct."""
    halves: list[tuple[str, dict[str, Any]]] = [("Nobody", {})]
    halves += [(spoilt.__name__, {"state_class": spoilt}) for spoilt in STATE_SABOTEURS]
    halves += [(spoilt.__name__, {"dispatcher_class": spoilt}) for spoilt in DISPATCHER_SABOTEURS]
    part, parts = map(int, PART.split("/"))
    contracts = {"State": StateContract, "Dispatcher": DispatcherContract}
    return {
        f"Test{name}Of{label}": type(f"Test{name}Of{label}", (_Subject, contract), {**body, "__module__": __name__})
        for name, body in halves[part::parts]
        for label, contract in contracts.items()
    }


globals().update(_cases())
