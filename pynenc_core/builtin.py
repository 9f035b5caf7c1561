"""What the core itself offers through the hooks that plugins use: its serializers, and the dispatcher for stores of two kinds."""

from __future__ import annotations

from collections.abc import Iterable

from pynenc_core.orchestration.split import SplitDispatcher
from pynenc_core.plugins import SerializerSpec, hookimpl
from pynenc_core.ports.broker import BaseBroker
from pynenc_core.ports.state_backend import BaseStateBackend


@hookimpl
def pynenc_serializers() -> Iterable[SerializerSpec]:
    """Offer the serializers."""
    return [
        SerializerSpec(
            name="json",
            summary="typed JSON: no code or class name from data is ever run or imported",
            target="pynenc_core.serializers.json_serializer:JsonSerializer",
        ),
    ]


@hookimpl(trylast=True)
def pynenc_dispatcher(broker: object, state_backend: object) -> object | None:
    """Join any broker with any state backend, when no plugin joins the two itself."""
    if isinstance(broker, BaseBroker) and isinstance(state_backend, BaseStateBackend):
        return SplitDispatcher(broker, state_backend)
    return None
