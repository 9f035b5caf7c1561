"""Puts the parts of an app together, at its first use: settings, plugins, stores, rules."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import attrs

from pynenc_core import builtin
from pynenc_core.client_data import ClientDataStore
from pynenc_core.configuration.settings import Settings, load_settings
from pynenc_core.hooks import PluginHooks
from pynenc_core.orchestration.codec import CallCodec
from pynenc_core.orchestration.current import running_job
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.orchestrator import AppOrchestrator
from pynenc_core.orchestration.registry import TaskRegistry
from pynenc_core.orchestration.split import SplitDispatcher
from pynenc_core.orchestration.values import TaskValues
from pynenc_core.plugins import BackendSpec, BrokerSpec, PluginManager, RunnerSpec, StateBackendSpec
from pynenc_core.plugins.discovery import import_target
from pynenc_core.ports.broker import BaseBroker
from pynenc_core.ports.clock import SYSTEM_CLOCK, Clock
from pynenc_core.ports.dispatcher import Dispatcher
from pynenc_core.ports.serializer import BaseSerializer
from pynenc_core.ports.state_backend import BaseStateBackend
from pynenc_core.redaction import redact_url
from pynenc_core.status import Owner

S = TypeVar("S")
_CORE = "core"
_GRACE_OF_BLOBS = 7 * 24 * 3600.0  # seconds for which what refers to a blob may be open, before its own time to be kept begins
_FOR_EVER = 100 * 365 * 24 * 3600.0  # seconds


class AppParts:
    """The parts of one app. They are put together once, when somebody first needs a store."""

    def __init__(
        self,
        url: str = "",
        *,
        overrides: Mapping[str, object] | None = None,
        config_filepath: str | Path | None = None,
        plugins: PluginManager | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.plugins = plugins or PluginManager()
        if not self.plugins.has(_CORE):  # two apps may share a manager
            self.plugins.register(builtin, _CORE)
        self._clock = clock
        given = {**({"url": url} if url else {}), **(overrides or {})}
        self._given = given
        self.conf: Settings = load_settings(given, plugin_sections=self.plugins.catalog.settings_targets, config_filepath=config_filepath)
        """The settings; they may be assigned to until the app has started."""
        self.tasks = TaskRegistry()
        self._starting = threading.RLock()
        self._orchestrator: AppOrchestrator | None = None
        self._values: TaskValues | None = None
        """Made with the first start; stays after a close, since what still runs may have an exception to tell."""
        self._decorated: dict[str, Mapping[str, Any]] = {}

    @property
    def app_id(self) -> str:
        """The app's id: apps that share a store never see each other's data."""
        return self.conf.app.app_id

    @property
    def logger(self) -> logging.Logger:
        """The logger `pynenc.<app_id>`."""
        return logging.getLogger(f"pynenc.{self.app_id}")

    @property
    def clock(self) -> Clock:
        """Where waits and intervals take their time from."""
        return self._clock

    def section(self, settings_class: type[S]) -> S:
        """Return the settings of one section, loaded from all layers."""
        return self.conf.section(settings_class)  # type: ignore[type-var] # plugins' classes are checked when they are loaded

    @property
    def values(self) -> TaskValues:
        """What turns results, exceptions and arguments into what is stored, and back; starts the app at the first use."""
        if self._values is None:
            return TaskValues(self.app_id, self.orchestrator.engine.codec, self.tasks)
        return self._values

    def acting_owner(self, invocation_id: str) -> Owner | None:
        """Return the claim under which this thread or coroutine executes that invocation; None when it does not."""
        job = running_job.get()
        return job.owner if job is not None and job.invocation_id == invocation_id else None

    def store_url(self, part: str) -> str:
        """Return where a part stores: the app's URL, unless that part was chosen by name and has settings of its own."""
        named = self.conf.app.broker_cls if part == "broker" else self.conf.app.state_backend_cls
        return "" if named else self.conf.app.url or self.backend_spec().url_for(self.app_id)

    def backend_spec(self) -> BackendSpec:
        """Return the backend of the app's URL, or the installed one of the highest rank. Raises PluginError."""
        url = self.conf.app.url
        return self.plugins.catalog.backend_for_url(url) if url else self.plugins.catalog.default_backend()

    def store_specs(self) -> tuple[BrokerSpec, StateBackendSpec]:
        """Return what is used as broker and as state backend. Raises PluginError naming what to install."""
        catalog, chosen = self.plugins.catalog, self.conf.app
        if chosen.broker_cls and chosen.state_backend_cls:
            return catalog.broker(chosen.broker_cls), catalog.state_backend(chosen.state_backend_cls)
        broker, state = catalog.components(self.backend_spec())
        return (
            catalog.broker(chosen.broker_cls) if chosen.broker_cls else broker,
            catalog.state_backend(chosen.state_backend_cls) if chosen.state_backend_cls else state,
        )

    def runner_spec(self, name: str = "") -> RunnerSpec:
        """Return the runner of this name, or the configured one, or the best that the stores allow.

        Raises UnknownPluginError, NothingInstalledError, or CapabilityError for a pair that cannot work.
        """
        stores = self.store_specs()
        wanted = name or self.conf.app.runner_cls
        if not wanted:
            return self.plugins.catalog.default_runner(*stores)
        spec = self.plugins.catalog.runner(wanted)
        self.plugins.catalog.check_pair(spec, *stores)
        return spec

    @property
    def orchestrator(self) -> AppOrchestrator:
        """The rules over this app's stores; starts the app at the first use.

        Raises PluginError, ConfigurationError, BackendUnavailableError, StoreFormatError.
        """
        if self._orchestrator is None:
            with self._starting:
                if self._orchestrator is None:
                    self._orchestrator = self._start()
        return self._orchestrator

    @property
    def state_backend(self) -> BaseStateBackend:
        """The store of every record of this app; starts the app at the first use. Raises as `orchestrator`."""
        return self.orchestrator.engine.state

    @property
    def started(self) -> bool:
        """Whether the stores are open."""
        return self._orchestrator is not None

    def close(self) -> None:
        """Release every connection; the next use opens them again."""
        with self._starting:
            orchestrator, self._orchestrator = self._orchestrator, None
        if orchestrator is not None:
            orchestrator.engine.disconnect()

    def purge(self) -> None:
        """Remove everything of this app from its stores, and nothing of any other app."""
        self.orchestrator.purge()
        self.orchestrator.engine.broker.purge()

    def _start(self) -> AppOrchestrator:
        broker_spec, state_spec = self.store_specs()
        if self.conf.app.runner_cls:
            self.runner_spec()  # a pair that cannot work is refused before anything is stored
        catalog = self.plugins.catalog
        if not self.conf.frozen:
            self.plugins.configure(self.conf)
        for definition in self.tasks.definitions():
            definition.options = self.conf.task_options(definition.task_id, self._decorated.get(definition.task_id))
        self.conf.freeze()
        state = catalog.make(state_spec, BaseStateBackend, self)
        broker = catalog.make(broker_spec, BaseBroker, self)
        state.prepare()
        where = redact_url(self.store_url("state_backend")) or state_spec.name
        if not self.conf.app.url and not self.conf.app.state_backend_cls:
            self.logger.info("app %s stores in %s, the installed default; name another with `url` in [tool.pynenc]", self.app_id, where)
        return AppOrchestrator(self._engine(broker, state))

    def _engine(self, broker: BaseBroker, state: BaseStateBackend) -> Engine:
        joined = self.plugins.hooks.first_result("pynenc_dispatcher", Dispatcher, broker=broker, state_backend=state)
        dispatcher = joined or SplitDispatcher(broker, state)
        serializer = self._serializer()
        chosen = self.conf.client_data
        data = ClientDataStore(
            self.logger,
            enabled=not chosen.disabled,
            min_size_to_cache=chosen.min_size_to_cache,
            local_cache_size=chosen.local_cache_size,
        )
        kept = self.conf.orchestrator.auto_final_invocation_purge_hours * 3600
        keep = kept + _GRACE_OF_BLOBS if kept else _FOR_EVER
        codec = CallCodec(serializer, data, state.get_blobs, keep, state.serialize_exception, state.deserialize_exception)
        self._values = TaskValues(self.app_id, codec, self.tasks)
        return Engine(
            app_id=self.app_id,
            logger=self.logger,
            clock=self._clock,
            state=state,
            broker=broker,
            dispatcher=dispatcher,
            codec=codec,
            tasks=self.tasks,
            hooks=PluginHooks(self.plugins),
            runner_settings=self.conf.runner,
            orchestrator_settings=self.conf.orchestrator,
        )

    def _serializer(self) -> BaseSerializer:
        """Return the serializer that is configured, made with its own section of the settings where its spec names one."""
        spec = self.plugins.catalog.serializer(self.conf.app.serializer_cls)
        if not spec.settings:
            return self.plugins.catalog.make(spec, BaseSerializer)
        section: Any = self.section(cast("type[Any]", import_target(spec.settings)))
        return self.plugins.catalog.make(spec, BaseSerializer, **attrs.asdict(section, recurse=False))
