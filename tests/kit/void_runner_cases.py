"""The contracts of runners on one that runs nothing; run by test_void.py, which expects every test to fail."""

from __future__ import annotations

from kit.void_runner import project_source
from pynenc_testkit.contracts import ComboContract, RunnerContract, ShutdownReportContract
from pynenc_testkit.contracts.runner_subject import RunnerSubject


class TestRunner(RunnerContract):
    runner = "void"

    def source(self) -> str:
        return project_source()


class _Project(RunnerSubject):
    def source(self) -> str:
        return project_source()


class TestShutdownReport(ShutdownReportContract, _Project):
    runner = "void"
    own_processes = False


class TestCombo(ComboContract):
    runner = "void"
    url = "memory://"
    crosses_processes = False

    @classmethod
    def source(cls) -> str:
        return project_source()
