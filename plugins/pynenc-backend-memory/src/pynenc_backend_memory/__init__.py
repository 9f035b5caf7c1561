"""Queue and records in the memory of one process: `memory://`."""

from __future__ import annotations

import sys

from pynenc_core.plugins import BackendSpec, BrokerSpec, BuilderMethodSpec, StateBackendSpec, hookimpl


@hookimpl
def pynenc_brokers() -> list[BrokerSpec]:
    """Offer the broker."""
    return [
        BrokerSpec(
            name="memory",
            summary="queues in the memory of one process",
            target="pynenc_backend_memory.broker:MemoryBroker",
            crosses_processes=False,
        ),
    ]


@hookimpl
def pynenc_state_backends() -> list[StateBackendSpec]:
    """Offer the state backend."""
    return [
        StateBackendSpec(
            name="memory",
            summary="records in the memory of one process",
            target="pynenc_backend_memory.state_backend:MemoryStateBackend",
            crosses_processes=False,
            durable=False,
        ),
    ]


@hookimpl
def pynenc_backends() -> list[BackendSpec]:
    """Offer both under one URL."""
    return [
        BackendSpec(
            name="memory",
            summary="everything in the memory of one process",
            schemes=("memory",),
            broker="memory",
            state_backend="memory",
            default_rank=0,
            default_url="memory://",
            crosses_processes=False,
            durable=False,
        ),
    ]


@hookimpl
def pynenc_builder_methods() -> list[BuilderMethodSpec]:
    """Offer `PynencBuilder().memory()`."""
    return [
        BuilderMethodSpec(
            name="memory",
            summary="keep everything in the memory of this process",
            kind="backend",
            target="pynenc_backend_memory.building:memory",
        ),
    ]


@hookimpl
def pynenc_dispatcher(broker: object, state_backend: object) -> object | None:
    """Join our broker and our state backend."""
    if "pynenc_backend_memory.state_backend" not in sys.modules:  # nobody made one of ours, and importing it costs
        return None
    from pynenc_backend_memory.broker import MemoryBroker
    from pynenc_backend_memory.dispatcher import MemoryDispatcher
    from pynenc_backend_memory.state_backend import MemoryStateBackend

    if isinstance(broker, MemoryBroker) and isinstance(state_backend, MemoryStateBackend):
        return MemoryDispatcher(state_backend)
    return None
