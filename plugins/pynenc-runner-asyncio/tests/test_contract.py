"""The asyncio runner under the kit's contracts."""

from __future__ import annotations

from typing import ClassVar

from pynenc_testkit.contracts import PluginContract, RunnerContract, ShutdownReportContract


class TestPlugin(PluginContract):
    plugin: ClassVar[str] = "runner-asyncio"


class TestRunner(RunnerContract):
    runner: ClassVar[str] = "asyncio"
    own_processes: ClassVar[bool] = False


class TestShutdownReport(ShutdownReportContract):
    runner: ClassVar[str] = "asyncio"
    own_processes: ClassVar[bool] = False
