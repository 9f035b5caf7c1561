"""The one place that talks to pluggy: registers a plugin whole or not at all, and says in which order it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

import attrs
import pluggy

from pynenc_core.errors.plugins import PluginHookNameError, PluginLoadError
from pynenc_core.plugins.hookspecs import ALL_HOOKS, PROJECT

CORE = "core"
"""The name under which the core registers its own implementations; they are called after all others."""

_UNMARKED = "it is not marked with @hookimpl"
_EMPTY = "it implements no hook of this project (is anything marked with @hookimpl?)"
_REFUSED_KINDS = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)

_HOOKS = type("Hooks", (), {name: found for hook in ALL_HOOKS for name, found in vars(hook).items() if name.startswith(f"{PROJECT}_")})
"""All hooks in one class: pluggy looks at each attribute of what it is given, and every class has 26 of `object` (5 ms for all)."""


@attrs.frozen(eq=False)
class Implementation:
    """One plugin's function for one hook."""

    plugin: str
    distribution: str
    hook: str
    function: Callable[..., object]
    argnames: tuple[str, ...]

    def call(self, arguments: Mapping[str, object]) -> object:
        """Call it with those of the hook's arguments it asks for."""
        return self.function(*[arguments[name] for name in self.argnames])


class Registry:
    """Plugins and their hook implementations. Not thread-safe by itself: its owner holds a lock while changing it."""

    def __init__(self) -> None:
        self._pluggy = pluggy.PluginManager(PROJECT)
        self._pluggy.add_hookspecs(_HOOKS)
        self._hooks = frozenset(vars(self._pluggy.hook))
        self._distributions: dict[str, str] = {}
        self._order: dict[str, tuple[Implementation, ...]] = {}
        self._entering: dict[str, tuple[Implementation, ...]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._distributions

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all plugins, in the order of registration."""
        return tuple(self._distributions)

    def distribution(self, name: str) -> str:
        """Return where a plugin comes from, as messages name it; empty for one that is not registered."""
        return self._distributions.get(name, "")

    def add(self, plugin: object, name: str, distribution: str) -> None:
        """Register a plugin; when anything is wrong with it, nothing of it stays.

        Raises PluginLoadError, or PluginHookNameError for a function that would silently never be called.
        """
        if name in self:
            taken = f"the name is taken by a plugin from {self._distributions[name]}"
            raise PluginLoadError(name, distribution, taken)
        try:
            self._pluggy.register(plugin, name)
            self._check(plugin, name, distribution)
        except BaseException as error:
            # pluggy up to 1.6 may leave a refused plugin half registered
            if self._pluggy.has_plugin(name):
                self._pluggy.unregister(name=name)
            if isinstance(error, (ValueError, pluggy.PluginValidationError)):
                problem = " ".join(str(error).split())
                raise PluginLoadError(name, distribution, problem) from error
            raise
        self._distributions[name] = distribution
        self._changed()

    def remove(self, name: str) -> None:
        """Take a plugin out again; does nothing for one that is not registered."""
        if self._distributions.pop(name, None) is not None:
            self._pluggy.unregister(name=name)
            self._changed()

    def implementations(self, hook: str) -> tuple[Implementation, ...]:
        """Return who implements a hook, in calling order: last registered first, the core's own last of all."""
        order = self._order.get(hook)
        if order is None:
            found = [self._wrap(hook, each) for each in reversed(getattr(self._pluggy.hook, hook).get_hookimpls())]
            order = self._order[hook] = tuple(sorted(found, key=lambda each: each.plugin == CORE))
        return order

    def entering_order(self, hook: str) -> tuple[Implementation, ...]:
        """Return who implements a hook, first registered first, within `tryfirst`, unmarked and `trylast`."""
        order = self._entering.get(hook)
        if order is None:
            place = {name: number for number, name in enumerate(self._distributions)}
            found = sorted(
                getattr(self._pluggy.hook, hook).get_hookimpls(),
                key=lambda each: (each.trylast - each.tryfirst, place[each.plugin_name]),
            )
            order = self._entering[hook] = tuple(self._wrap(hook, each) for each in found)
        return order

    def _changed(self) -> None:
        self._order.clear()
        self._entering.clear()

    def _wrap(self, hook: str, found: pluggy.HookImpl) -> Implementation:
        distribution = self._distributions[found.plugin_name]
        return Implementation(found.plugin_name, distribution, hook, found.function, tuple(found.argnames))

    def _check(self, plugin: object, name: str, distribution: str) -> None:
        """Refuse what pluggy would pass over in silence."""
        callers = self._pluggy.get_hookcallers(plugin) or []
        for caller in callers:
            for found in caller.get_hookimpls():
                if found.plugin is plugin and (problem := self._problem(caller, found)):
                    raise PluginHookNameError(name, distribution, caller.name, problem)
        implemented = {caller.name for caller in callers}
        for hook in sorted((self._hooks - implemented).intersection(dir(plugin))):
            if callable(inspect.getattr_static(plugin, hook, None)):
                raise PluginHookNameError(name, distribution, hook, _UNMARKED)
        if not implemented:
            raise PluginLoadError(name, distribution, _EMPTY)

    def _problem(self, caller: pluggy.HookCaller, found: pluggy.HookImpl) -> str:
        if not caller.has_spec():
            return "" if found.optionalhook else f"there is no such hook{_near(caller.name, self._hooks)}"
        if found.hookwrapper or found.wrapper:
            return "implementations are called one by one, so a wrapper would wrap nothing"
        for parameter in inspect.signature(found.function).parameters.values():
            if parameter.kind in _REFUSED_KINDS or parameter.default is not parameter.empty:
                return f"its parameter {parameter.name!r} would not be given a value; a hook's parameters are plain names without defaults"
        return ""


def _near(name: str, names: frozenset[str]) -> str:
    from difflib import get_close_matches  # late: needed for a message only

    found = get_close_matches(name, sorted(names), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""
