"""The process runner under the kit's contracts."""

from __future__ import annotations

from typing import ClassVar

from pynenc_testkit.contracts import PluginContract, RunnerContract, ShutdownReportContract


class TestPlugin(PluginContract):
    plugin: ClassVar[str] = "runner-process"


class TestRunner(RunnerContract):
    runner: ClassVar[str] = "process"
    tree: ClassVar[tuple[int, int]] = (6, 2)


class TestShutdownReport(ShutdownReportContract):
    runner: ClassVar[str] = "process"
