"""A folder on `sys.path` that distributions are installed into."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from attrs import frozen

from pynenc_core.plugins import PluginManager
from pynenc_core.plugins.discovery import discover

GROUP = "pynenc_unit_tests"
"""Not the real group, so that what is installed in this environment does not show."""

HEADER = """
from pynenc_core.plugins import (
    BackendSpec, BrokerSpec, BuilderMethodSpec, CommandSpec, RunnerSpec, SerializerSpec, StateBackendSpec, hookimpl
)
"""


@frozen
class Site:
    """Distributions under `folder`, each a dist-info with METADATA and entry_points.txt beside its modules."""

    folder: Path

    def install(self, distribution: str, version: str = "1.0", *, points: Mapping[str, str], group: str = GROUP) -> None:
        """Write the metadata of a distribution with these entry points (name to target)."""
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n\nVersion: of the readme\n")
        lines = "".join(f"{name} = {target}\n" for name, target in points.items())
        (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")

    def module(self, name: str, code: str) -> None:
        """Write a module; specs and `hookimpl` are imported already."""
        (self.folder / f"{name}.py").write_text(HEADER + textwrap.dedent(code))

    def plugin(self, name: str, code: str, *, distribution: str = "", version: str = "1.0") -> None:
        """Install a distribution with one plugin: the module `plug_<name>`."""
        module = f"plug_{name.replace('-', '_')}"
        self.module(module, code)
        self.install(distribution or f"dist-{name}", version, points={name: module})

    def manager(self, **environ: str) -> PluginManager:
        """Return a manager that sees these distributions, under these variables."""
        return PluginManager(environ=environ, find=partial(discover, GROUP))


def runner(name: str, cls: str = "Runner", **fields: object) -> str:
    """Return the code of a plugin that offers one runner."""
    more = "".join(f", {field}={value!r}" for field, value in fields.items())
    return f"""
@hookimpl
def pynenc_runners():
    return [RunnerSpec(name={name!r}, target="plug_code:{cls}"{more})]
"""


def backend(name: str, **fields: object) -> str:
    """Return the code of a plugin that offers a backend and its two halves; `fields` are the backend's."""
    halves = "".join(f", {field}={fields[field]!r}" for field in ("crosses_processes",) if field in fields)
    more = "".join(f", {field}={value!r}" for field, value in fields.items() if field != "schemes")
    schemes = fields.get("schemes", (name,))
    return f"""
@hookimpl
def pynenc_brokers():
    return [BrokerSpec(name={name!r}, target="plug_code:Broker"{halves})]

@hookimpl
def pynenc_state_backends():
    return [StateBackendSpec(name={name!r}, target="plug_code:StateBackend"{halves})]

@hookimpl
def pynenc_backends():
    return [BackendSpec(name={name!r}, schemes={schemes!r}, broker={name!r}, state_backend={name!r}{more})]
"""
