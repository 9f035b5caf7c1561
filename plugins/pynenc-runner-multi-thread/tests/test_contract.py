"""The multi-thread runner under the kit's contracts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pynenc_testkit.contracts import PluginContract, RunnerContract, ShutdownReportContract


class TestPlugin(PluginContract):
    plugin: ClassVar[str] = "runner-multi-thread"


class TestRunner(RunnerContract):
    runner: ClassVar[str] = "multi-thread"


class TestShutdownReport(ShutdownReportContract):
    runner: ClassVar[str] = "multi-thread"

    def settings(self, slots: int) -> Mapping[str, object]:
        return {"max_threads": 1, "max_processes": slots}
