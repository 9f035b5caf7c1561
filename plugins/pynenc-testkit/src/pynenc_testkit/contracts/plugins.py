"""What holds for every plugin, whatever it provides."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, EntryPoint, entry_points
from importlib.resources import files
from typing import Any, ClassVar

import pytest

from pynenc_core.plugins import API_VERSION, PluginManager
from pynenc_core.plugins.kinds import ALL_KINDS, BACKEND, BROKER, RUNNER, STATE_BACKEND
from pynenc_core.plugins.specs import Spec, TargetSpec
from pynenc_core.ports.broker import BaseBroker
from pynenc_core.ports.runner import BaseRunner
from pynenc_core.ports.state_backend import BaseStateBackend

HEAVY = frozenset(
    {"asyncio", "click", "concurrent.futures", "hypothesis", "multiprocessing", "psutil", "pymongo", "pytest", "redis", "sqlite3", "ssl"}
)
OPEN = frozenset({"serialize_exception", "deserialize_exception", "discover_app_infos"})
"""The public names of the state backend that a plugin may replace."""
_LISTING = """
import json, sys
from importlib.metadata import entry_points
(point,) = entry_points(group="pynenc", name=sys.argv[1])
before = set(sys.modules)
import pynenc_core.plugins.hookspecs, pynenc_core.plugins.specs
plugin = point.load()
for name in dir(plugin):
    if name in {"pynenc_runners", "pynenc_brokers", "pynenc_state_backends", "pynenc_backends", "pynenc_serializers"}:
        list(getattr(plugin, name)())
print(json.dumps(sorted(set(sys.modules) - before)))
"""


@pytest.mark.pynenc_contract
class PluginContract:
    """A plugin is installed, loads, says what it brings, and costs nothing until it is used. Give the entry point's name."""

    plugin: ClassVar[str] = ""
    heavy: ClassVar[frozenset[str]] = HEAVY
    """Modules that its entry point may not import: whoever lists plugins imports every one."""

    @pytest.fixture
    def manager(self) -> PluginManager:
        """A manager that sees what is installed, whatever the environment says."""
        return PluginManager(environ={})

    def _point(self) -> EntryPoint:
        points = entry_points(group="pynenc", name=self.plugin)
        assert len(points) == 1, f"{len(points)} entry points are named {self.plugin!r} in the group 'pynenc'"
        return next(iter(points))

    def _distribution(self) -> Distribution:
        found = self._point().dist
        assert found is not None
        return found

    def _specs(self, manager: PluginManager, *kinds: Any) -> list[Spec]:
        return [offer.spec for kind in kinds or ALL_KINDS for offer in manager.catalog.offers(kind) if offer.plugin == self.plugin]

    def test_it_loads_and_nothing_is_wrong_with_it(self, manager: PluginManager) -> None:
        manager.load()
        infos = {info.name: info for info in manager.installed()}
        assert self.plugin in infos, f"installed are {sorted(infos)}"
        assert (infos[self.plugin].state, infos[self.plugin].problem) == ("working", "")
        assert self.plugin not in manager.broken

    def test_listing_it_imports_nothing_heavy(self) -> None:
        run = subprocess.run([sys.executable, "-c", _LISTING, self.plugin], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        imported = set(json.loads(run.stdout))
        assert not {name for name in imported if name in self.heavy or name.partition(".")[0] in self.heavy}

    def test_it_speaks_this_version_of_the_plugin_api(self, manager: PluginManager) -> None:
        manager.load()
        assert self.plugin in manager.names()
        assert self.plugin not in manager.broken
        assert {spec.api for spec in self._specs(manager)} <= {API_VERSION}

    def test_its_code_is_where_it_says(self, manager: PluginManager) -> None:
        assert self._point().dist is not None
        for spec in self._specs(manager):
            if isinstance(spec, TargetSpec):
                assert manager.catalog.load(spec) is not None
            settings = getattr(spec, "settings", "")
            if settings:
                EntryPoint(spec.name, settings, "settings").load()()

    def test_its_classes_are_what_the_specs_say(self, manager: PluginManager) -> None:
        assert self._point().name == self.plugin
        catalog = manager.catalog
        for spec in self._specs(manager, BROKER):
            broker = catalog.load_class(catalog.broker(spec.name), BaseBroker)
            assert broker.name == spec.name
        for spec in self._specs(manager, STATE_BACKEND):
            found = catalog.load_class(catalog.state_backend(spec.name), BaseStateBackend)
            assert found.name == spec.name
            assert not overridden(found), "public names of the state backend are written once, in the core"
        for spec in self._specs(manager, RUNNER):
            runner = catalog.runner(spec.name)
            runs = catalog.load_class(runner, BaseRunner)
            assert runs.mem_compatible() == runner.mem_compatible

    def test_its_backends_promise_what_their_halves_hold(self, manager: PluginManager) -> None:
        assert self._point().name == self.plugin
        for spec in self._specs(manager, BACKEND):
            backend = manager.catalog.backend(spec.name)
            broker, state = manager.catalog.components(backend)
            assert (backend.crosses_processes, backend.durable) == (broker.crosses_processes and state.crosses_processes, state.durable)
            for scheme in backend.schemes:
                assert manager.catalog.backend_for_url(f"{scheme}://") == backend

    def test_it_can_be_left_out(self) -> None:
        manager = PluginManager(environ={"PYNENC_DISABLE_PLUGINS": self.plugin})
        states = {info.name: info.state for info in manager.installed()}
        assert states.get(self.plugin) == "disabled"
        assert self._specs(manager) == []

    def test_its_package_is_typed(self) -> None:
        package = self._point().module.partition(".")[0]
        assert files(package).joinpath("py.typed").is_file(), f"{package} has no py.typed"

    def test_its_distribution_names_the_core_it_needs(self) -> None:
        needed = self._distribution().requires or []
        assert any(line.startswith("pynenc-core") for line in needed), f"{self._distribution().name} needs {needed}"
        assert self._distribution().metadata["Summary"], "the distribution has no summary"


def overridden(found: type[BaseStateBackend]) -> list[str]:
    """Return the concrete public names of the core's state backend that a class replaces; it may only implement the verbs."""
    concrete = {name for name, value in _public(BaseStateBackend) if callable(value) and not getattr(value, "__isabstractmethod__", False)}
    theirs = [base for base in found.__mro__ if not base.__module__.startswith(("pynenc_core.", "builtins", "abc"))]
    return sorted({name for base in theirs for name in vars(base) if name in concrete} - OPEN)


def _public(owner: type) -> Iterable[tuple[str, object]]:
    for base in owner.__mro__:
        if base.__module__.startswith("pynenc_core."):
            yield from ((name, value) for name, value in vars(base).items() if not name.startswith("__"))
