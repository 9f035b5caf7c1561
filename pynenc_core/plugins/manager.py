"""Finds plugins, keeps a broken one from breaking the rest, and says what went wrong."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NoReturn

import attrs

from pynenc_core.errors.base import PynencError
from pynenc_core.errors.plugins import (
    ManagerNotPicklableError,
    PluginConflictError,
    PluginError,
    PluginHookError,
    PluginLoadError,
    SharedEntryPointsError,
)
from pynenc_core.plugins.calling import HookCaller
from pynenc_core.plugins.catalog import Catalog
from pynenc_core.plugins.discovery import Discovery, Installation, InstalledPlugin, describe, discover, import_target
from pynenc_core.plugins.kinds import ALL_KINDS
from pynenc_core.plugins.offers import Offers
from pynenc_core.plugins.registry import CORE, Implementation, Registry
from pynenc_core.plugins.snapshot import PluginSnapshot

logger = logging.getLogger("pynenc.plugins")

DISABLE_VARIABLE = "PYNENC_DISABLE_PLUGINS"
STRICT_VARIABLE = "PYNENC_STRICT_PLUGINS"

_CONFIGURE = "pynenc_configure"
_FALSE = frozenset({"", "0", "false", "no", "off"})


@attrs.frozen
class PluginInfo:
    """One line of `pynenc plugins list`."""

    name: str
    distribution: str
    version: str
    state: Literal["working", "broken", "disabled"]
    problem: str = ""
    provides: tuple[str, ...] = ()
    """What it offers, as in "runner inline"."""


class PluginManager:
    """All plugins of this process, in three steps of laziness: names from metadata, specs at first look-up, code on use.

    `hooks` calls hooks, `catalog` finds components; both load the plugins' entry points when they are first used. A
    plugin that does not work is left out, logged, and kept in `broken` for whoever asks for something that is missing;
    PYNENC_STRICT_PLUGINS=1 raises its error at once instead. PYNENC_DISABLE_PLUGINS leaves plugins out by name, or
    by `distribution:name`. Any thread may use a manager; it cannot be pickled.
    """

    def __init__(self, *, environ: Mapping[str, str] | None = None, find: Callable[[], Discovery] = discover) -> None:
        environ = os.environ if environ is None else environ
        self.strict = environ.get(STRICT_VARIABLE, "").strip().lower() not in _FALSE
        self.broken: dict[str, PluginError | PluginConflictError] = {}
        """The first thing that is wrong with each plugin that does not, or not fully, work; by entry-point name."""
        self.notices: list[PynencError] = []
        """What is wrong with the environment as a whole, logged as warnings when the plugins are loaded."""
        self._installation = Installation(environ.get(DISABLE_VARIABLE, ""), find)
        self._registry = Registry()
        self._offers = Offers(self._calling_order, self._report)
        self._settings: list[object] = []
        self._lock = threading.RLock()
        self._loaded = False
        self._loading = False
        self.hooks = HookCaller(self._calling_order, self._entering_order)
        self.catalog = Catalog(self._offers, self.notes)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled. Raises ManagerNotPicklableError."""
        raise ManagerNotPicklableError

    def names(self) -> list[str]:
        """Return the names of the installed plugins that are not disabled, importing none of them."""
        return sorted({each.name for each in self._installation.enabled()})

    def has(self, name: str) -> bool:
        """Tell whether a plugin of this name is registered: in code, or by an entry point that was loaded."""
        return name in self._registry

    def load(self) -> None:
        """Import every enabled plugin's entry point, once; does nothing the second time.

        In strict mode raises the error of the first plugin that does not work.
        """
        with self._lock:
            if self._loaded or self._loading:
                return
            self._loading = True
            try:
                self._warn()
                self._load_all()
                self._loaded = True
            except BaseException:
                # a second attempt, after a strict refusal, begins from nothing
                for each in self._installation.enabled():
                    if self._registry.distribution(each.name) == each.origin:
                        self.unregister(each.name)
                raise
            finally:
                self._loading = False

    def register(self, plugin: object, name: str, *, distribution: str = "the application") -> None:
        """Add a plugin in code; it is called before all that are there already.

        Raises PluginLoadError or PluginHookNameError when anything is wrong with it, and PluginHookError when it fails
        on the settings that are known already; then nothing of it stays.
        """
        with self._lock:
            self._registry.add(plugin, name, "pynenc-core" if name == CORE else distribution)
            self._offers.forget()
            mine = [each for each in self._registry.implementations(_CONFIGURE) if each.plugin == name]
            for settings in self._settings:
                for found in mine:
                    self._configure_one(found, settings)

    def unregister(self, name: str) -> None:
        """Take a plugin out again; does nothing for one that is not registered."""
        with self._lock:
            self._registry.remove(name)
            self._offers.forget()

    def configure(self, settings: object) -> None:
        """Tell every plugin the settings, also those that are registered later. One that raises is left out as broken."""
        self.load()
        with self._lock:
            self._settings.append(settings)
            for found in self._registry.implementations(_CONFIGURE):
                try:
                    self._configure_one(found, settings)
                except PluginHookError as error:
                    self._report(error)

    def snapshot(self) -> PluginSnapshot:
        """Return what a child process must find as well. Plugins registered in code are not in it: the child's own code does that."""
        return PluginSnapshot.of(self._installation.enabled())

    def check_snapshot(self, parents: PluginSnapshot) -> None:
        """Raise PluginSnapshotError when this process has other plugins than the one that started it."""
        parents.check(self.snapshot())

    def installed(self) -> list[PluginInfo]:
        """Return every plugin with its state and what it offers, the disabled and the broken included, sorted by name."""
        provides: dict[str, list[str]] = {}
        for kind in ALL_KINDS:
            for offer in self.catalog.offers(kind):
                provides.setdefault(offer.plugin, []).append(f"{kind.label} {offer.spec.name}")
        infos = [self._info(each, provides) for each in self._installation.found.plugins]
        known = {info.name for info in infos}
        infos += [
            self._info(InstalledPlugin(name, self._registry.distribution(name), "", ""), provides)
            for name in self._registry.names
            if name not in known
        ]
        return sorted(infos, key=lambda info: (info.name, info.distribution))

    def notes(self) -> tuple[str, ...]:
        """Return why something may be missing: a line for each broken and each disabled plugin."""
        broken = [str(self.broken[name]) for name in sorted(self.broken)]
        disabled = (f"plugin {each.name!r} from {each.origin} is left out by {DISABLE_VARIABLE}" for each in self._installation.disabled())
        return (*broken, *disabled)

    def _calling_order(self, hook: str) -> tuple[Implementation, ...]:
        if not self._loaded:
            self.load()
        return self._registry.implementations(hook)

    def _entering_order(self, hook: str) -> tuple[Implementation, ...]:
        if not self._loaded:
            self.load()
        return self._registry.entering_order(hook)

    def _load_all(self) -> None:
        by_name: dict[str, list[InstalledPlugin]] = {}
        for each in self._installation.enabled():
            by_name.setdefault(each.name, []).append(each)
        for name, claimants in by_name.items():
            if len(claimants) > 1:
                last = claimants[-1]
                claims = tuple(f"{each.origin} ({each.target})" for each in claimants)
                self._report(PluginConflictError("plugin", name, claims, f"{last.distribution}:{name}"))
            else:
                self._load_one(claimants[0])

    def _load_one(self, plugin: InstalledPlugin) -> None:
        try:
            self.register(import_target(plugin.target), plugin.name, distribution=plugin.origin)
        except PluginError as error:
            self._report(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin's module may raise anything, and the others must go on
            report = PluginLoadError(plugin.name, plugin.origin, describe(error))
            report.__cause__ = error
            self._report(report)

    def _configure_one(self, found: Implementation, settings: object) -> None:
        try:
            found.call({"settings": settings})
        except Exception as error:
            self.unregister(found.plugin)
            raise PluginHookError(found.plugin, found.distribution, _CONFIGURE, describe(error)) from error

    def _report(self, error: PluginError | PluginConflictError) -> None:
        """Raise in strict mode; else log the error and keep the first one of each plugin."""
        if self.strict:
            raise error
        logger.warning("%s", error)
        self.broken.setdefault(error.name if isinstance(error, PluginConflictError) else error.plugin, error)

    def _warn(self) -> None:
        found = self._installation.found
        if found.public:
            self.notices[:] = [SharedEntryPointsError(found.public, found.public_plugins)]
            logger.warning("%s", self.notices[0])
        for name in self._installation.disabled_in_vain():
            logger.warning("%s names %r, and no plugin of that name is installed", DISABLE_VARIABLE, name)

    def _info(self, plugin: InstalledPlugin, provides: Mapping[str, Iterable[str]]) -> PluginInfo:
        error = self.broken.get(plugin.name)
        disabled = self._installation.is_disabled(plugin)
        return PluginInfo(
            plugin.name,
            plugin.distribution,
            plugin.version,
            "disabled" if disabled else "broken" if error else "working",
            str(error) if error and not disabled else "",
            () if disabled else tuple(provides.get(plugin.name, ())),
        )
