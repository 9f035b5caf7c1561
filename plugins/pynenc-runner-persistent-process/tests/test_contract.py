"""The persistent-process runner under the kit's contracts."""

from __future__ import annotations

from typing import ClassVar

from pynenc_testkit.contracts import PluginContract, RunnerContract, ShutdownReportContract


class TestPlugin(PluginContract):
    plugin: ClassVar[str] = "runner-persistent-process"


class TestRunner(RunnerContract):
    runner: ClassVar[str] = "persistent-process"


class TestShutdownReport(ShutdownReportContract):
    runner: ClassVar[str] = "persistent-process"
