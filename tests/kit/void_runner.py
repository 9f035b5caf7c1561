"""A runner that runs nothing, as a plugin that a project registers in code."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files

from pynenc_core.plugins import PluginManager, RunnerSpec, hookimpl
from pynenc_core.ports.runner import BaseRunner


class VoidRunner(BaseRunner):
    """Starts, does nothing, and is over."""

    @staticmethod
    def mem_compatible() -> bool:
        return True

    @property
    def max_parallel_slots(self) -> int:
        return 0

    def get_active_child_runner_ids(self) -> Collection[str]:
        return ()

    def run(self) -> None:
        pass

    def _on_start(self) -> None:
        pass

    def _on_stop(self) -> None:
        pass

    def runner_loop_iteration(self) -> None:
        pass

    def _on_stop_runner_loop(self) -> None:
        pass

    def _waiting_for_results(
        self,
        running_invocation_id: str,
        result_invocation_ids: Sequence[str],
        runner_args: Mapping[str, object] | None = None,
    ) -> frozenset[str]:
        del running_invocation_id, result_invocation_ids, runner_args
        return frozenset()


@hookimpl
def pynenc_runners() -> list[RunnerSpec]:
    return [RunnerSpec(name="void", target="kit.void_runner:VoidRunner", mem_compatible=True)]


def plugins() -> PluginManager:
    """Return a manager that knows this runner beside what is installed."""
    manager = PluginManager()
    manager.register(sys.modules[__name__], "void")
    return manager


def project_source() -> str:
    """Return the kit's jobs for an app that knows this runner."""
    jobs = files("pynenc_testkit").joinpath("jobs.py").read_text(encoding="utf-8")
    made = 'app = Pynenc(config_filepath=FOLDER / "project.toml"'
    assert made in jobs
    return jobs.replace(made, f"from kit.void_runner import plugins\n\n{made}, plugins=plugins()")
