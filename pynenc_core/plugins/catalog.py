"""What the installed plugins offer: finds a component by name, by URL or by rank, and imports its code on first use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar, cast

from pynenc_core.errors.plugins import (
    BackendPromiseError,
    NothingInstalledError,
    PluginConflictError,
    PluginTargetError,
    ProcessesNotCrossedError,
    UnknownPluginError,
)
from pynenc_core.plugins import kinds
from pynenc_core.plugins.discovery import describe, import_target
from pynenc_core.plugins.kinds import Kind
from pynenc_core.plugins.offers import Offer, Offers
from pynenc_core.plugins.specs import BackendSpec, BrokerSpec, RunnerSpec, SerializerSpec, Spec, StateBackendSpec, TargetSpec
from pynenc_core.redaction import redact_url

S = TypeVar("S", bound=Spec)
T = TypeVar("T")
Store = BackendSpec | BrokerSpec | StateBackendSpec

_WITH_SETTINGS: tuple[Kind[Spec], ...] = (kinds.RUNNER, kinds.BROKER, kinds.STATE_BACKEND, kinds.BACKEND, kinds.SERIALIZER)
_SCHEME = "URL scheme"
_SECTION = "settings section"


class Catalog:
    """Everything on offer. A name is a plugin name (`some-thing`, also written `some_thing`), a class name or a whole target.

    Whoever looks for something may meet UnknownPluginError (what is installed, what was perhaps meant, what to install,
    and what is wrong with each broken plugin) or PluginConflictError (several offer it).
    """

    def __init__(self, offers: Offers, notes: Callable[[], tuple[str, ...]]) -> None:
        self._offers = offers
        self._notes = notes

    def find(self, kind: Kind[S], name: str) -> S:
        """Return the spec of this kind and name. Raises UnknownPluginError or PluginConflictError."""
        offers = self._offers.of(kind)
        found = [offer for offer in offers if name in offer.names] or [
            offer for offer in offers if offer.spec.name == name.lower().replace("_", "-")
        ]
        if len(found) > 1:
            raise _conflict(kind.label, name, found)
        if not found:
            raise self._unknown(kind, name, sorted({offer.spec.name for offer in offers}))
        return found[0].spec

    def offers(self, kind: Kind[S]) -> tuple[Offer[S], ...]:
        """Return everything offered of one kind with who offers it, sorted by name."""
        return self._offers.of(kind)

    def runner(self, name: str) -> RunnerSpec:
        """Return the runner of this name."""
        return self.find(kinds.RUNNER, name)

    def broker(self, name: str) -> BrokerSpec:
        """Return the broker of this name."""
        return self.find(kinds.BROKER, name)

    def state_backend(self, name: str) -> StateBackendSpec:
        """Return the state backend of this name."""
        return self.find(kinds.STATE_BACKEND, name)

    def backend(self, name: str) -> BackendSpec:
        """Return the backend of this name."""
        return self.find(kinds.BACKEND, name)

    def serializer(self, name: str) -> SerializerSpec:
        """Return the serializer of this name."""
        return self.find(kinds.SERIALIZER, name)

    def backend_for_url(self, url: str) -> BackendSpec:
        """Return the backend that owns the URL's scheme; text without "://" is looked up as a backend's name."""
        scheme, mark, _ = url.partition("://")
        if not mark:
            return self.backend(url)
        scheme = scheme.lower()
        offers = self._offers.of(kinds.BACKEND)
        found = [offer for offer in offers if scheme in offer.spec.schemes]
        if len(found) > 1:
            raise _conflict(_SCHEME, scheme, found)
        if not found:
            raise self._unknown_scheme(scheme)
        return found[0].spec

    def default_backend(self) -> BackendSpec:
        """Return the installed backend of the highest rank. Raises NothingInstalledError when there is none."""
        return self._best(kinds.BACKEND, self._offers.of(kinds.BACKEND), "")

    def default_runner(self, *stores: Store) -> RunnerSpec:
        """Return the installed runner of the highest rank that these stores allow. Raises NothingInstalledError when there is none."""
        confined = [store for store in stores if not store.crosses_processes]
        usable = [offer for offer in _that_execute(self._offers.of(kinds.RUNNER)) if offer.spec.mem_compatible or not confined]
        return self._best(kinds.RUNNER, usable, f"that works with {_label(confined[0])}" if confined else "")

    def components(self, backend: BackendSpec) -> tuple[BrokerSpec, StateBackendSpec]:
        """Return the two halves of a backend. Raises BackendPromiseError when it promises more than they do."""
        broker, state = self.broker(backend.broker), self.state_backend(backend.state_backend)
        for capability in ("crosses_processes", "durable"):
            for half in (broker, state):
                if getattr(backend, capability) and not getattr(half, capability, True):
                    raise BackendPromiseError(_label(backend), _label(half), capability)
        return broker, state

    def check_pair(self, runner: RunnerSpec, *stores: Store) -> None:
        """Raise ProcessesNotCrossedError, a CapabilityError, when the runner cannot work with one of these stores."""
        confined = [store for store in stores if not store.crosses_processes]
        if runner.mem_compatible or not confined:
            return
        runners = tuple(offer.spec.name for offer in _that_execute(self._offers.of(kinds.RUNNER)) if offer.spec.mem_compatible)
        backends = tuple(offer.spec.name for offer in self._offers.of(kinds.BACKEND) if offer.spec.crosses_processes)
        raise ProcessesNotCrossedError(_label(runner), _label(confined[0]), runners, backends)

    def settings_targets(self) -> dict[str, str]:
        """Return the targets of all plugins' settings classes by section: the spec's name with "_" for "-".

        Raises PluginConflictError when two plugins want one section.
        """
        owners: dict[str, Offer[Spec]] = {}
        targets: dict[str, str] = {}
        for kind in _WITH_SETTINGS:
            for offer in self._offers.of(kind):
                section, target = offer.spec.name.replace("-", "_"), getattr(offer.spec, "settings", "")
                if not target:
                    continue
                owner = owners.setdefault(section, offer)
                if targets.setdefault(section, target) != target:
                    raise _conflict(_SECTION, section, [owner, offer])
        return targets

    def load(self, spec: TargetSpec) -> object:
        """Import a spec's target. Raises PluginTargetError, naming the plugin and its distribution."""
        try:
            return import_target(spec.target)
        except Exception as error:
            raise _target_error(self._offers, spec, describe(error)) from error

    def load_class(self, spec: TargetSpec, base: type[T]) -> type[T]:
        """Import a spec's target and check that it is a subclass of `base`. Raises PluginTargetError."""
        found = self.load(spec)
        if isinstance(found, type) and issubclass(found, base):
            return found
        problem = f"it is not a subclass of {base.__module__}.{base.__qualname__}"
        raise _target_error(self._offers, spec, problem)

    def make(self, spec: TargetSpec, base: type[T], *arguments: object, **options: object) -> T:
        """Import a spec's class and return a new object of it. Raises PluginTargetError, and whatever its constructor does."""
        return cast("Callable[..., T]", self.load_class(spec, base))(*arguments, **options)

    def _best(self, kind: Kind[S], usable: Sequence[Offer[S]], needs: str) -> S:
        if not usable:
            installed = tuple(sorted({offer.spec.name for offer in self._offers.of(kind) if getattr(offer.spec, "default_rank", 0) >= 0}))
            raise NothingInstalledError(kind.label, needs, installed, self._notes())
        best = min(usable, key=lambda offer: (-getattr(offer.spec, "default_rank", 0), offer.spec.name))
        return self.find(kind, best.spec.name)

    def _unknown(self, kind: Kind[Spec], name: str, known: Sequence[str]) -> UnknownPluginError:
        """Return the error for a component; a class name is compared, and suggested, as the name it stands for."""
        guess = _near(kinds.slug(kind, name), known)
        install = kinds.distribution_for(kind, name)
        return UnknownPluginError(kind.label, redact_url(name), tuple(sorted(known)), guess, install, self._notes())

    def _unknown_scheme(self, scheme: str) -> UnknownPluginError:
        schemes = {each for offer in self._offers.of(kinds.BACKEND) for each in offer.spec.schemes}
        family = scheme.partition("+")[0]
        install = kinds.distribution_for(kinds.BACKEND, family)
        return UnknownPluginError(_SCHEME, scheme, tuple(sorted(schemes)), _near(family, schemes), install, self._notes())


def _that_execute(offers: Iterable[Offer[RunnerSpec]]) -> list[Offer[RunnerSpec]]:
    """Return the runners that may be chosen, or proposed, without having been asked for."""
    return [offer for offer in offers if offer.spec.default_rank >= 0]


def _near(word: str, words: Iterable[str]) -> str:
    from difflib import get_close_matches  # late: needed for a message only

    return next(iter(get_close_matches(word, sorted(words), n=1)), "")


def _label(spec: RunnerSpec | Store) -> str:
    label = next(kind.label for kind in kinds.ALL_KINDS if isinstance(spec, kind.spec))
    return f"{label} {spec.name!r}"


def _conflict(label: str, name: str, offers: Sequence[Offer[Spec]]) -> PluginConflictError:
    plugins = sorted({offer.plugin for offer in offers})
    return PluginConflictError(label, name, tuple(offer.claim for offer in offers), plugins[-1] if len(plugins) > 1 else "")


def _target_error(offers: Offers, spec: TargetSpec, problem: str) -> PluginTargetError:
    every = [(kind.label, offer) for kind in kinds.ALL_KINDS for offer in offers.of(kind) if offer.spec is spec]
    label, plugin, distribution = next(
        ((label, offer.plugin, offer.distribution) for label, offer in every),
        ("component", "(unregistered)", "the application"),
    )
    return PluginTargetError(plugin, distribution, f"{label} {spec.name!r}", spec.target, problem)
