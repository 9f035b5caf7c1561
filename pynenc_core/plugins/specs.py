"""What a plugin declares: names, capabilities, and where its code is, without importing any of it.

A spec is returned from a plugin's hook when somebody first looks for a component of its kind; its `target`, written
`package.module:Name`, is imported only when that component is really used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

import attrs
from attrs.validators import deep_iterable, instance_of, matches_re

API_VERSION = 1
"""The version of the plugin API that this core speaks; raised when a spec, a hook or a port changes in a way that breaks plugins."""

_TARGET = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"


def _settings_target() -> str:
    """Declare the field that names a settings class: it becomes the configuration section named like the spec."""
    return attrs.field(default="", validator=matches_re(f"|{_TARGET}"))


@attrs.frozen(kw_only=True, eq=False)
class Spec:
    """What every spec has: the name by which users choose it, a line for listings, the plugin API it was written for."""

    name: str = attrs.field(validator=matches_re(r"[a-z][a-z0-9]*(-[a-z0-9]+)*"))
    summary: str = attrs.field(default="", validator=instance_of(str))
    api: int = attrs.field(default=API_VERSION, validator=instance_of(int))


@attrs.frozen(kw_only=True, eq=False)
class TargetSpec(Spec):
    """A spec that points at code: `target` is `package.module:Name`."""

    target: str = attrs.field(validator=matches_re(_TARGET))

    @property
    def target_name(self) -> str:
        """The last part of the target, by which the component may also be chosen: its class name."""
        return self.target.partition(":")[2].rpartition(".")[2]


@attrs.frozen(kw_only=True, eq=False)
class RunnerSpec(TargetSpec):
    """A runner: what executes invocations."""

    default_rank: int = attrs.field(default=0, validator=instance_of(int))
    """When none is configured, the installed one of the highest rank that the backend allows is taken; never one below 0."""
    mem_compatible: bool = attrs.field(default=False, validator=instance_of(bool))
    """All of it runs in the process that made the app, so it may use a backend that does not cross processes."""
    settings: str = _settings_target()


@attrs.frozen(kw_only=True, eq=False)
class BrokerSpec(TargetSpec):
    """A broker: what hands invocation ids to runners."""

    crosses_processes: bool = attrs.field(default=True, validator=instance_of(bool))
    """Two processes that open it with the same settings see the same queues."""
    settings: str = _settings_target()


@attrs.frozen(kw_only=True, eq=False)
class StateBackendSpec(TargetSpec):
    """A state backend: what keeps every record."""

    crosses_processes: bool = attrs.field(default=True, validator=instance_of(bool))
    """Two processes that open it with the same settings see the same records."""
    durable: bool = attrs.field(default=True, validator=instance_of(bool))
    """What it keeps survives the end of every process of ours."""
    settings: str = _settings_target()


@attrs.frozen(kw_only=True, eq=False)
class BackendSpec(Spec):
    """All storage at once, opened by one URL: a broker and a state backend that belong together, each by its spec's name.

    Its capabilities are those of the pair, and may not promise more than either half does.
    """

    schemes: tuple[str, ...] = attrs.field(validator=deep_iterable(matches_re(r"[a-z][a-z0-9+.-]*"), instance_of(tuple)))
    """URL schemes without "://", lower case; each belongs to one installed backend only."""
    broker: str
    state_backend: str
    default_rank: int = attrs.field(default=0, validator=instance_of(int))
    """When nothing is configured, the installed one of the highest rank is taken."""
    default_url: str = attrs.field(default="", validator=instance_of(str))
    """How to open it when nothing is configured; `{app_id}` in it stands for the app's id."""
    crosses_processes: bool = attrs.field(default=True, validator=instance_of(bool))
    durable: bool = attrs.field(default=True, validator=instance_of(bool))
    settings: str = _settings_target()

    def url_for(self, app_id: str) -> str:
        """Return the URL that opens this backend for an app when none is configured; empty where it has no such default."""
        return self.default_url.replace("{app_id}", re.sub(r"[^A-Za-z0-9._-]", "_", app_id))


@attrs.frozen(kw_only=True, eq=False)
class SerializerSpec(TargetSpec):
    """A serializer: how arguments and results become text."""

    settings: str = _settings_target()


@attrs.frozen(kw_only=True, eq=False)
class CommandSpec(TargetSpec):
    """A command of the CLI; the target is a click command or group, and `summary` its line in the help, which needs no import."""


class BuilderFunction(Protocol):
    """What the target of a `BuilderMethodSpec` is: it turns the arguments of a builder call into settings.

    It returns a mapping of setting names to values, `{"runner_cls": "...", "runner.max_threads": 8}`, and touches
    nothing else; its own annotated signature is what an editor shows.
    """

    def __call__(self, *args: object, **kwargs: object) -> Mapping[str, object]:
        """Return the settings that this builder call stands for."""
        ...


@attrs.frozen(kw_only=True, eq=False)
class BuilderMethodSpec(TargetSpec):
    """A method that `PynencBuilder` gains; the target is a typed function that returns settings (see `BuilderFunction`).

    A function, because it checks and converts its arguments as any call does, and its signature is the documentation;
    it stands in a small module of the plugin, which is imported when the method is first called.
    """

    name: str = attrs.field(validator=matches_re(r"[a-z][a-z0-9_]*"))
    kind: str = attrs.field(default="other", validator=matches_re(r"backend|runner|serializer|other"))
