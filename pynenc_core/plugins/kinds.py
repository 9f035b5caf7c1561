"""The kinds of components plugins offer, and the rule by which the distribution that brings one is named."""

from __future__ import annotations

import re
from typing import Generic, TypeVar

import attrs

from pynenc_core.plugins.specs import (
    BackendSpec,
    BrokerSpec,
    BuilderMethodSpec,
    CommandSpec,
    RunnerSpec,
    SerializerSpec,
    Spec,
    StateBackendSpec,
)

S_co = TypeVar("S_co", bound=Spec, covariant=True)

_SLUG = r"[a-z0-9]+(-[a-z0-9]+){0,5}"
_LONGEST_SLUG = 40


@attrs.frozen(eq=False)
class Kind(Generic[S_co]):
    """One kind of component: how messages call it, the hook that offers it, the class of its specs."""

    label: str
    hook: str
    spec: type[S_co]
    prefix: str
    """What the names of the distributions that bring one begin with."""


RUNNER = Kind("runner", "pynenc_runners", RunnerSpec, "pynenc-runner-")
BROKER = Kind("broker", "pynenc_brokers", BrokerSpec, "pynenc-backend-")
STATE_BACKEND = Kind("state backend", "pynenc_state_backends", StateBackendSpec, "pynenc-backend-")
BACKEND = Kind("backend", "pynenc_backends", BackendSpec, "pynenc-backend-")
SERIALIZER = Kind("serializer", "pynenc_serializers", SerializerSpec, "pynenc-serializer-")
COMMAND = Kind("command", "pynenc_commands", CommandSpec, "pynenc-command-")
BUILDER_METHOD = Kind("builder method", "pynenc_builder_methods", BuilderMethodSpec, "pynenc-backend-")

ALL_KINDS: tuple[Kind[Spec], ...] = (RUNNER, BROKER, STATE_BACKEND, BACKEND, SERIALIZER, COMMAND, BUILDER_METHOD)


def slug(kind: Kind[Spec], name: str) -> str:
    """Return the plugin name that a user's word stands for: `FastThingRunner` and `fast_thing` are `fast-thing`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower().replace("_", "-")
    return words.removesuffix("-" + kind.label.replace(" ", "-"))


def distribution_for(kind: Kind[Spec], name: str) -> str:
    """Return the distribution that would bring `name`, by rule; empty where it cannot be part of a distribution's name."""
    word, prefix = slug(kind, name), kind.prefix
    if kind.hook == BUILDER_METHOD.hook and word.endswith("-runner"):
        word, prefix = word.removesuffix("-runner"), RUNNER.prefix
    return prefix + word if re.fullmatch(_SLUG, word) and len(word) <= _LONGEST_SLUG else ""
