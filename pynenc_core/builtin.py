"""What the core itself offers through the hooks that plugins use: its serializers, and the runners that execute nothing."""

from __future__ import annotations

from collections.abc import Iterable

from pynenc_core.plugins import RunnerSpec, SerializerSpec, hookimpl


@hookimpl
def pynenc_runners() -> Iterable[RunnerSpec]:
    """Offer the runners of an app that is used outside of one."""
    return [
        RunnerSpec(
            name="dummy",
            summary="executes nothing: for an app that only registers calls and waits for results",
            target="pynenc_core.outside:DummyRunner",
            default_rank=-1,
            mem_compatible=True,
        ),
        RunnerSpec(
            name="external",
            summary="executes nothing: names a process, outside of any runner, that registers calls",
            target="pynenc_core.outside:ExternalRunner",
            default_rank=-1,
            mem_compatible=True,
        ),
    ]


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
