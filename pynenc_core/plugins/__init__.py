"""How others extend this project: the specs and hooks a plugin uses, and the manager through which the core sees plugins."""

from __future__ import annotations

from pynenc_core.plugins.hookspecs import hookimpl
from pynenc_core.plugins.manager import PluginInfo, PluginManager
from pynenc_core.plugins.snapshot import PluginSnapshot
from pynenc_core.plugins.specs import (
    API_VERSION,
    BackendSpec,
    BrokerSpec,
    BuilderFunction,
    BuilderMethodSpec,
    CommandSpec,
    RunnerSpec,
    SerializerSpec,
    StateBackendSpec,
)

__all__ = [
    "API_VERSION",
    "BackendSpec",
    "BrokerSpec",
    "BuilderFunction",
    "BuilderMethodSpec",
    "CommandSpec",
    "PluginInfo",
    "PluginManager",
    "PluginSnapshot",
    "RunnerSpec",
    "SerializerSpec",
    "StateBackendSpec",
    "hookimpl",
]
