"""The contracts: subclass one in a test file, give it a URL or a name, and pytest does the rest."""

from __future__ import annotations

from pynenc_testkit.contracts.brokers import BrokerContract, SharedBrokerContract
from pynenc_testkit.contracts.combos import ComboContract
from pynenc_testkit.contracts.diagnostics import DiagnosticsContract
from pynenc_testkit.contracts.dispatch import DispatcherContract
from pynenc_testkit.contracts.durability import DurableContract
from pynenc_testkit.contracts.machine import StateMachineContract
from pynenc_testkit.contracts.plugins import PluginContract
from pynenc_testkit.contracts.public_records import PublicRecordsContract
from pynenc_testkit.contracts.remote import RemoteContract
from pynenc_testkit.contracts.reports import ShutdownReportContract
from pynenc_testkit.contracts.runners import RunnerContract
from pynenc_testkit.contracts.split import SplitContract
from pynenc_testkit.contracts.state import StateContract

__all__ = [
    "BrokerContract",
    "ComboContract",
    "DiagnosticsContract",
    "DispatcherContract",
    "DurableContract",
    "PluginContract",
    "PublicRecordsContract",
    "RemoteContract",
    "RunnerContract",
    "SharedBrokerContract",
    "ShutdownReportContract",
    "SplitContract",
    "StateContract",
    "StateMachineContract",
]
