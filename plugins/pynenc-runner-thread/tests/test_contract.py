"""The thread runner under the kit's contracts."""

from __future__ import annotations

from typing import ClassVar

from pynenc_testkit.contracts import PluginContract, RunnerContract, ShutdownReportContract


class TestPlugin(PluginContract):
    plugin: ClassVar[str] = "runner-thread"


class TestRunner(RunnerContract):
    runner: ClassVar[str] = "thread"
    own_processes: ClassVar[bool] = False


class TestShutdownReport(ShutdownReportContract):
    runner: ClassVar[str] = "thread"
    own_processes: ClassVar[bool] = False
