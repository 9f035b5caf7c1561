"""Asks the plugins what they offer, once for each kind, and checks every answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeGuard, TypeVar, cast

import attrs

from pynenc_core.errors.plugins import PluginApiError, PluginError, PluginHookError, PluginResultError
from pynenc_core.plugins.discovery import describe
from pynenc_core.plugins.kinds import Kind
from pynenc_core.plugins.registry import Implementation
from pynenc_core.plugins.specs import API_VERSION, Spec, TargetSpec

S = TypeVar("S", bound=Spec)
S_co = TypeVar("S_co", bound=Spec, covariant=True)


@attrs.frozen(eq=False)
class Offer(Generic[S_co]):
    """One spec and the plugin that brings it."""

    spec: S_co
    plugin: str
    distribution: str

    @property
    def claim(self) -> str:
        """Who offers what, as a conflict names it."""
        where = self.spec.target if isinstance(self.spec, TargetSpec) else self.spec.name
        return f"{self.distribution} ({where})"

    @property
    def names(self) -> tuple[str, ...]:
        """Every word by which it may be chosen: its name, the name of its class, the whole target."""
        return (self.spec.name, self.spec.target_name, self.spec.target) if isinstance(self.spec, TargetSpec) else (self.spec.name,)


class Offers:
    """The specs of all plugins by kind; what is wrong with a plugin's answer is reported, and the others' are used."""

    def __init__(self, implementations: Callable[[str], tuple[Implementation, ...]], report: Callable[[PluginError], None]) -> None:
        self._implementations = implementations
        self._report = report
        self._found: dict[str, tuple[Offer[Spec], ...]] = {}

    def forget(self) -> None:
        """Ask the plugins anew on the next look-up; called when one comes or goes."""
        self._found.clear()

    def of(self, kind: Kind[S]) -> tuple[Offer[S], ...]:
        """Return everything offered of one kind, sorted by name, then distribution."""
        found = self._found.get(kind.hook)
        if found is None:
            asked = [offer for implementation in self._implementations(kind.hook) for offer in self._ask(kind, implementation)]
            found = self._found[kind.hook] = tuple(sorted(asked, key=lambda offer: (offer.spec.name, offer.distribution)))
        # each spec was checked to be of its kind when it was collected
        return cast("tuple[Offer[S], ...]", found)

    def _ask(self, kind: Kind[Spec], found: Implementation) -> list[Offer[Spec]]:
        try:
            answer = found.call({})
            got = f"a value of type {type(answer).__name__}"
            good = isinstance(answer, Iterable) and not isinstance(answer, (str, Mapping))
            specs = list(cast("Iterable[object]", answer)) if good else None
        except Exception as error:  # noqa: BLE001 - a plugin's code may raise anything, and the others must go on
            report = PluginHookError(found.plugin, found.distribution, found.hook, describe(error))
            report.__cause__ = error
            self._report(report)
            return []
        expected = f"an iterable of {kind.spec.__name__}"
        if specs is None:
            self._report(PluginResultError(found.plugin, found.distribution, found.hook, expected, got))
            return []
        return [Offer(spec, found.plugin, found.distribution) for spec in specs if self._is_good(spec, kind, found, expected)]

    def _is_good(self, spec: object, kind: Kind[S], found: Implementation, expected: str) -> TypeGuard[S]:
        if not isinstance(spec, kind.spec):
            got = f"one with a value of type {type(spec).__name__} in it"
            self._report(PluginResultError(found.plugin, found.distribution, found.hook, expected, got))
            return False
        if spec.api != API_VERSION:
            provides = f"{kind.label} {spec.name!r}"
            self._report(PluginApiError(found.plugin, found.distribution, provides, spec.api, API_VERSION))
            return False
        return True
