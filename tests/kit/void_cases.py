"""Every contract on the void backend; run by test_void.py, which expects every test to fail."""

from __future__ import annotations

import pytest

from kit.void import VoidRaw, VoidSubject
from pynenc_testkit.contracts import (
    DispatcherContract,
    DurableContract,
    PluginContract,
    PublicRecordsContract,
    RemoteContract,
    SharedBrokerContract,
    SplitContract,
    StateContract,
    StateMachineContract,
)
from pynenc_testkit.stores import Raw


class _Void(VoidSubject):
    @pytest.fixture
    def raw(self) -> Raw:
        return VoidRaw()


class TestState(_Void, StateContract):
    pass


class TestDispatcher(_Void, DispatcherContract):
    pass


class TestSplit(_Void, SplitContract):
    pass


class TestDurability(_Void, DurableContract):
    pass


class TestPublicRecords(_Void, PublicRecordsContract):
    pass


class TestRemote(_Void, RemoteContract):
    url = "{redis}"


class TestBroker(_Void, SharedBrokerContract):
    pass


class TestStateMachine(_Void, StateMachineContract):
    examples = 3
    steps = 5


class TestPlugin(PluginContract):
    plugin = "void"
