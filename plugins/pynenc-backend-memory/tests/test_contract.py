"""The memory backend under the kit's contracts."""

from __future__ import annotations

from typing import ClassVar

import pytest

from pynenc_backend_memory import state_backend
from pynenc_testkit.contracts import BrokerContract, DispatcherContract, PluginContract, StateContract, StateMachineContract
from pynenc_testkit.contracts.public_records import PublicRecordsContract
from pynenc_testkit.stores import Raw, verbs_of

URL = "memory://{name}"
CHOKES = verbs_of("pynenc_backend_memory.state_backend:MemoryStateBackend", "pynenc_backend_memory.dispatcher:MemoryDispatcher")


class MemoryRaw:
    """Looks into the tables of every app."""

    def __init__(self, place: str) -> None:
        self._name = place.partition("://")[2]

    def dump(self) -> object:
        """Return what every table holds."""
        tables = {app: table for (name, app), table in state_backend._named.items() if name == self._name}
        return {
            app: {
                "records": dict(table.records),
                "history": {key: tuple(entries) for key, entries in table.entries.items()},
                "indexes": {label: frozenset(ids) for label, ids in table._index.items()},
                "queues": {name: dict(queue._current) for name, queue in table.queues.items() if len(queue)},
                "beside": {name: dict(queue._current) for name, queue in table.beside.items() if len(queue)},
                "blobs": dict(table.blobs),
                "values": {kind: dict(values) for kind, values in table.values.items() if values},
                "rest": (dict(table.beats), dict(table.leases), dict(table.unique), frozenset(table._signalled)),
            }
            for app, table in tables.items()
        }

    def set_format(self, number: int) -> None:
        """Do nothing: what lives in one process is never met by another version."""


class Memory:
    """What all contracts over storage are given."""

    url: ClassVar[str] = URL
    chokes: ClassVar[tuple[str, ...]] = CHOKES

    @pytest.fixture
    def raw(self, place: str) -> Raw:
        return MemoryRaw(place)


class TestState(Memory, StateContract):
    pass


class TestDispatcher(Memory, DispatcherContract):
    pass


class TestStateMachine(Memory, StateMachineContract):
    pass


class TestBroker(Memory, BrokerContract):
    pass


class TestPlugin(PluginContract):
    plugin: ClassVar[str] = "backend-memory"


class TestPublicRecords(Memory, PublicRecordsContract):
    pass
