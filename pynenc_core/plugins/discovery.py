"""What is installed: entry points and their distributions, read from metadata without importing any plugin."""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Callable

import attrs

from pynenc_core.plugins.hookspecs import PROJECT

PUBLIC_DISTRIBUTION = "pynenc"
"""The public distribution whose command and entry-point group have the same names as ours."""

_NAME = r"(?im)^Name:\s*(\S+)"
_VERSION = r"(?im)^Version:\s*(\S+)"


@attrs.frozen
class InstalledPlugin:
    """One entry point of the group, as its distribution's metadata declares it."""

    name: str
    distribution: str
    version: str
    target: str
    """`package.module`, or `package.module:object`."""

    @property
    def origin(self) -> str:
        """The distribution and its version, as messages name it."""
        return f"{self.distribution} {self.version}".strip()


@attrs.frozen
class Discovery:
    """Everything that metadata says about plugins."""

    plugins: tuple[InstalledPlugin, ...] = ()
    """Sorted by name, then distribution; a name may occur more than once."""
    public: str = ""
    """The public distribution and its version, where it is installed too; its entry points are not among `plugins`."""
    public_plugins: tuple[str, ...] = ()


_kept: dict[str, Discovery] = {}
"""What `keep_discovery` has read."""


def keep_discovery() -> None:
    """Read the entry points now, for this process and all that are forked from it: what is installed later, none of them has imported."""
    _kept[PROJECT] = discover()


def discover(group: str = PROJECT) -> Discovery:
    """Read the entry points of `group` from the metadata of every installed distribution, unless that was done to be kept."""
    if group in _kept:
        return _kept[group]
    from importlib.metadata import (
        PackageNotFoundError,
        distribution,
        entry_points,
    )  # late: 20 to 35 ms, which an import of the core does not pay

    found: set[InstalledPlugin] = set()
    for point in entry_points(group=group):
        name, version = ("", "") if point.dist is None else _identity(point.dist.read_text("METADATA") or point.dist.read_text("PKG-INFO"))
        found.add(InstalledPlugin(point.name, name or "an unnamed distribution", version, re.sub(r"\s*\[.*", "", point.value)))
    public = ""
    try:
        metadata = distribution(PUBLIC_DISTRIBUTION)
        public = " ".join(_identity(metadata.read_text("METADATA") or metadata.read_text("PKG-INFO"))).strip()
    except PackageNotFoundError:
        pass
    theirs = {plugin for plugin in found if _normal(plugin.distribution) == PUBLIC_DISTRIBUTION}
    return Discovery(
        plugins=tuple(sorted(found - theirs, key=attrs.astuple)),
        public=public,
        public_plugins=tuple(sorted(plugin.name for plugin in theirs)),
    )


class Installation:
    """What is installed, read once at first need, without what `disabled` leaves out (`name` or `distribution:name`, comma-separated)."""

    def __init__(self, disabled: str, find: Callable[[], Discovery]) -> None:
        self._disabled = frozenset(name for name in (part.strip() for part in disabled.split(",")) if name)
        self._find = find
        self._lock = threading.Lock()
        self._found: Discovery | None = None

    @property
    def found(self) -> Discovery:
        """Everything that metadata says, the disabled plugins included."""
        with self._lock:
            if self._found is None:
                self._found = self._find()
            return self._found

    def is_disabled(self, plugin: InstalledPlugin) -> bool:
        """Tell whether a plugin is left out."""
        return not self._disabled.isdisjoint((plugin.name, f"{plugin.distribution}:{plugin.name}"))

    def enabled(self) -> tuple[InstalledPlugin, ...]:
        """Return the plugins that are not left out, sorted by name."""
        return tuple(each for each in self.found.plugins if not self.is_disabled(each))

    def disabled(self) -> tuple[InstalledPlugin, ...]:
        """Return the plugins that are left out, sorted by name."""
        return tuple(each for each in self.found.plugins if self.is_disabled(each))

    def disabled_in_vain(self) -> tuple[str, ...]:
        """Return the names that are to be left out and that no installed plugin has."""
        known = {name for each in self.found.plugins for name in (each.name, f"{each.distribution}:{each.name}")}
        return tuple(sorted(self._disabled - known))


def nothing() -> Discovery:
    """Return an empty discovery, for a manager that is to see only what is registered with it."""
    return Discovery()


def import_target(target: str) -> object:
    """Import `package.module` or `package.module:Name.inner` and return what it names.

    Raises ImportError or AttributeError, and whatever the module itself raises.
    """
    module, _, path = target.partition(":")
    found: object = importlib.import_module(module)
    for part in path.split(".") if path else ():
        found = getattr(found, part)
    return found


def describe(error: BaseException) -> str:
    """Return an error of foreign code as messages quote it: its class and its text."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _identity(metadata: str | None) -> tuple[str, str]:
    """Return name and version; read from the text, because the metadata API parses the whole readme as an e-mail first."""
    head = (metadata or "").partition("\n\n")[0]
    name, version = re.search(_NAME, head), re.search(_VERSION, head)
    return name.group(1) if name else "", version.group(1) if version else ""
