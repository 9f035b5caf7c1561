"""Puts an app together by calls: each method stands for settings, and plugins bring methods of their own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Literal, Self, cast

from pynenc_core.app import Pynenc
from pynenc_core.config import ConcurrencyScope
from pynenc_core.errors.builder import UnknownBuilderMethodError
from pynenc_core.errors.plugins import PluginResultError
from pynenc_core.plugins import BuilderMethodSpec, PluginManager
from pynenc_core.plugins.kinds import BUILDER_METHOD, distribution_for
from pynenc_core.plugins.offers import Offer

_ORIGIN = "code, builder"
_RUNNER = "_runner"
_SIMILAR = 0.7


class ContributedMethods:
    """The layers of settings that were given so far, and the methods that plugins bring for giving more."""

    def __init__(self, *, plugins: PluginManager | None = None) -> None:
        self._plugins = plugins or PluginManager()
        self._layers: list[Mapping[str, object]] = []
        self._config_file: str | Path | None = None

    def __getattr__(self, name: str) -> Callable[..., Self]:
        """Return the method of this name that a plugin brings."""
        if name.startswith("_"):
            raise AttributeError(name)  # what copy, pickle and inspection ask every object for
        offers = self._plugins.catalog.offers(BUILDER_METHOD)
        named = [offer.spec for offer in offers if offer.spec.name == name]
        if not named:
            raise self._unknown(name, offers)
        # several are a conflict, which names who claims it
        spec = named[0] if len(named) == 1 else self._plugins.catalog.find(BUILDER_METHOD, name)
        function = cast("Callable[..., object]", self._plugins.catalog.load(spec))

        @wraps(function)
        def method(*args: object, **kwargs: object) -> Any:
            settings = function(*args, **kwargs)
            if not isinstance(settings, Mapping):
                raise _wrong_result(spec, offers, settings)
            return self._given(cast("Mapping[str, object]", settings), whole=True)

        return cast("Callable[..., Self]", method)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *(offer.spec.name for offer in self._plugins.catalog.offers(BUILDER_METHOD))})

    def _given(self, settings: Mapping[str, object], *, whole: bool = False) -> Self:
        """Add a layer of settings; without `whole`, None stands for an argument that was not given."""
        layer = {name: value for name, value in settings.items() if whole or value is not None}
        if layer:
            self._layers.append(layer)
        return self

    def _unknown(self, name: str, offers: tuple[Offer[BuilderMethodSpec], ...]) -> UnknownBuilderMethodError:
        brought = {offer.spec.name for offer in offers}
        own = {each for each, _ in inspect.getmembers(type(self), inspect.isfunction) if not each.startswith("_")}
        install = distribution_for(BUILDER_METHOD, name)
        return UnknownBuilderMethodError(name, tuple(sorted(brought)), _near(name, own | brought), install, self._plugins.notes())


def _near(name: str, names: Iterable[str]) -> str:
    """Return what was perhaps meant; of two runners only what tells them apart is compared."""
    from difflib import get_close_matches  # imported late: only a mistake needs it

    suffix = _RUNNER if name.endswith(_RUNNER) else ""
    stems = [each.removesuffix(suffix) for each in sorted(names) if each.endswith(suffix)]
    return next((each + suffix for each in get_close_matches(name.removesuffix(suffix), stems, n=1, cutoff=_SIMILAR)), "")


class PynencBuilder(ContributedMethods):
    """Collects settings and makes an app of them; a later call wins over an earlier one, and all win over files and variables.

        app = PynencBuilder().app_id("shop").backend("scheme://place").max_pending_seconds(10).build()

    Installed plugins add a method for each backend and each runner they bring (`dir()` shows them, and `pynenc plugins
    list` names them). A method that no installed plugin brings raises UnknownBuilderMethodError, an AttributeError that
    says what to install.
    """

    def app_id(self, app_id: str) -> Self:
        """Name the app: apps that share a store never see each other's data."""
        return self._given({"app_id": app_id}, whole=True)

    def config_file(self, path: str | Path) -> Self:
        """Read a configuration file (TOML, JSON; YAML with the extra); the builder's other calls win over it."""
        self._config_file = path
        return self

    def custom_config(self, **settings: object) -> Self:
        """Set anything by name: `custom_config(logging_level="debug", runner={"queues": ("default", "slow")})`."""
        return self._given(settings, whole=True)

    def backend(self, url: str) -> Self:
        """Store everything where this URL points; its scheme chooses the backend."""
        return self._given({"url": url}, whole=True)

    def dummy_runner(self) -> Self:
        """Execute nothing here, and let nobody start a runner by mistake: the app registers calls and waits for results."""
        return self._given({"runner_cls": "dummy"}, whole=True)

    def concurrency_control(
        self,
        *,
        running_concurrency: ConcurrencyScope | None = None,
        registration_concurrency: ConcurrencyScope | None = None,
        key_arguments: Iterable[str] | None = None,
        reroute_on_concurrency_control: bool | None = None,
    ) -> Self:
        """Control the concurrency of all tasks that do not say otherwise.

        The first says of what only one may run at a time, the second what makes a call a duplicate; each is `disabled`,
        `task`, `arguments` or `keys` (those in `key_arguments`). What may not run now waits, or is dropped where
        `reroute_on_concurrency_control` is False.
        """
        return self._given(
            {
                "task.running_concurrency": running_concurrency,
                "task.registration_concurrency": registration_concurrency,
                "task.key_arguments": None if key_arguments is None else tuple(key_arguments),
                "task.reroute_on_concurrency_control": reroute_on_concurrency_control,
            }
        )

    def serializer_json(self) -> Self:
        """Write arguments and results as typed JSON, which is the default."""
        return self._given({"serializer_cls": "json"}, whole=True)

    def serializer_pickle(self, key: str, *, key_id: str | None = None, older_keys: Mapping[str, str] | None = None) -> Self:
        """Write arguments and results as pickles signed with `key`, at least 32 random bytes that every process of the app shares.

        `older_keys` (by key id) are still read, so that keys can be rotated. A key does better in the environment, as
        PYNENC__PICKLE__KEY, with `custom_config(serializer_cls="pickle")`.
        """
        older = None if older_keys is None else dict(older_keys)
        return self._given({"serializer_cls": "pickle", "pickle.key": key, "pickle.key_id": key_id, "pickle.older_keys": older})

    def client_data_store(self, *, min_size_to_cache: int | None = None, local_cache_size: int | None = None) -> Self:
        """Keep large values apart from the records: from so many characters, with so many entries cached in each process."""
        return self._given(
            {
                "client_data.disabled": False,
                "client_data.min_size_to_cache": min_size_to_cache,
                "client_data.local_cache_size": local_cache_size,
            }
        )

    def disable_client_data_store(self) -> Self:
        """Keep every value in its record, however large."""
        return self._given({"client_data.disabled": True})

    def task_modules(self, *modules: str) -> Self:
        """Name the modules that a runner imports at start, so that their tasks are known."""
        return self._given({"task_modules": modules}, whole=True)

    def trigger_task_modules(self, *modules: str) -> Self:
        """Name the modules that a runner imports at start for their triggers."""
        return self._given({"trigger_task_modules": modules}, whole=True)

    def task_control(self, task_id: str = "", /, **options: object) -> Self:
        """Set task options, those of `@app.task(...)`: for all tasks, or for the one of this id, over its decorator."""
        prefix = f"task.{task_id}." if task_id else "task."
        return self._given({prefix + name: value for name, value in options.items()}, whole=True)

    def max_pending_seconds(self, seconds: float) -> Self:
        """Set after how many seconds what was claimed and not started may be recovered."""
        return self._given({"orchestrator.max_pending_seconds": seconds})

    def logging_level(self, level: Literal["debug", "info", "warning", "error", "critical"]) -> Self:
        """Set from which level the logs are shown."""
        return self._given({"logging_level": level}, whole=True)

    def logging_stream(self, stream: Literal["stderr", "stdout"]) -> Self:
        """Set where the logs of the command line go."""
        return self._given({"logging_stream": stream}, whole=True)

    def logging_format(self, form: Literal["text", "json"]) -> Self:
        """Set how a log line is written."""
        return self._given({"logging_format": form}, whole=True)

    def dev_mode(self, *, force_sync_tasks: bool = True) -> Self:
        """Run tasks where they are called, through the serializer all the same."""
        return self._given({"dev_mode_force_sync_tasks": force_sync_tasks}, whole=True)

    def build(self) -> Pynenc:
        """Return the app, without opening its stores.

        Raises ConfigurationError for what nothing reads or does not fit, UnknownPluginError for a name that no installed
        plugin offers, CapabilityError for a runner and a store that cannot work together.
        """
        app = Pynenc(config_filepath=self._config_file, plugins=self._plugins)
        for layer in self._layers:
            app.conf.apply(layer, _ORIGIN)
        app.conf.check()
        chosen = app.conf.app
        if chosen.url or chosen.broker_cls or chosen.state_backend_cls:
            app.store_specs()
        if chosen.runner_cls:
            app.runner_spec()
        return app


def _wrong_result(spec: BuilderMethodSpec, offers: tuple[Offer[Any], ...], got: object) -> PluginResultError:
    offer = next(offer for offer in offers if offer.spec is spec)
    expected = f"functions that return a mapping of settings, as {spec.target} does not"
    return PluginResultError(offer.plugin, offer.distribution, BUILDER_METHOD.hook, expected, f"a value of type {type(got).__name__}")
