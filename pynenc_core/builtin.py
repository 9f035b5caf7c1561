"""What the core itself offers through the hooks that plugins use: its serializers."""

from __future__ import annotations

from collections.abc import Iterable

from pynenc_core.plugins import SerializerSpec, hookimpl


@hookimpl
def pynenc_serializers() -> Iterable[SerializerSpec]:
    """Offer the serializers."""
    return [
        SerializerSpec(
            name="json",
            summary="typed JSON: no code or class name from data is ever run or imported",
            target="pynenc_core.serializers.json_serializer:JsonSerializer",
        ),
        SerializerSpec(
            name="pickle",
            summary="whatever pickle carries, under a signature; needs a key in [tool.pynenc.pickle]",
            target="pynenc_core.serializers.pickle_serializer:PickleSerializer",
            settings="pynenc_core.serializers.pickle_settings:PickleSettings",
        ),
    ]
