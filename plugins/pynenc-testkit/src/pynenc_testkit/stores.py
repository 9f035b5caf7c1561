"""How the kit opens the storage of an app: the view it gives to a backend, and what it gets back."""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import Any, Protocol, TypeVar, cast

import attrs

from pynenc_core.plugins import PluginManager
from pynenc_core.ports.broker import BaseBroker
from pynenc_core.ports.dispatcher import Dispatcher
from pynenc_core.ports.state_backend import BaseStateBackend
from pynenc_core.status import Owner
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.values import PlainValues

S = TypeVar("S")
R = TypeVar("R")

_STEPLESS = frozenset({"now", "close", "prepare"})
PATIENCE = float(os.environ.get("PYNENC_TEST_PATIENCE", "10"))
"""Seconds after which the kit gives up waiting for something that must happen."""


@attrs.frozen
class KitApp:
    """The `StoreView` through which a backend under test sees its app: default settings, a clock that tests can advance."""

    app_id: str
    url: str
    clock: ManualClock
    settings: Mapping[type, object] = attrs.field(factory=dict[type, object])
    """Settings to hand out instead of a class's defaults."""
    values: PlainValues = attrs.field(factory=PlainValues)
    """What turns values into what is stored, and back; it knows no tasks."""
    acting: dict[str, Owner] = attrs.field(factory=dict[str, Owner])
    """By invocation: under which claim the test's thread executes it."""

    @property
    def logger(self) -> logging.Logger:
        """The logger `pynenc.<app_id>`."""
        return logging.getLogger(f"pynenc.{self.app_id}")

    def acting_owner(self, invocation_id: str) -> Owner | None:
        """Return what `acting` holds for the invocation."""
        return self.acting.get(invocation_id)

    def store_url(self, part: str) -> str:
        """Return the same URL for every part."""
        del part
        return self.url

    def section(self, settings_class: type[S]) -> S:
        """Return what `settings` holds for the class, else its defaults."""
        found = self.settings.get(settings_class)
        return found if isinstance(found, settings_class) else settings_class()


@attrs.frozen
class Store:
    """The storage of one app, as one process has it open."""

    app: KitApp
    broker: BaseBroker
    state: BaseStateBackend
    dispatcher: Dispatcher

    def close(self) -> None:
        """Close all three."""
        self.dispatcher.close()
        self.broker.close()
        self.state.close()

    def lapse(self, seconds: float) -> None:
        """Let the store's clock pass by so many seconds: the app's clock is advanced; a store with a clock of its own is waited for.

        Raises AssertionError when the store's clock stands still.
        """
        began = self.state.now()
        self.app.clock.advance(seconds)
        eventually(lambda: self.state.now() > began, "a move of the store's clock")
        eventually(lambda: self.state.now() >= began + seconds, "enough time on the store's clock", seconds + PATIENCE)


@functools.cache
def installed() -> PluginManager:
    """Return the manager of the installed plugins, one for the whole test run."""
    return PluginManager()


def open_installed(app: KitApp) -> Store:
    """Open the storage that an app's URL names, by the installed plugins, as an app does.

    Raises UnknownPluginError for a scheme that none owns, AssertionError when there is no dispatcher for it.
    """
    manager = installed()
    catalog = manager.catalog
    broker_spec, state_spec = catalog.components(catalog.backend_for_url(app.url))
    make_state = cast("Callable[[KitApp], BaseStateBackend]", catalog.load_class(state_spec, BaseStateBackend))
    make_broker = cast("Callable[[KitApp], BaseBroker]", catalog.load_class(broker_spec, BaseBroker))
    state, broker = make_state(app), make_broker(app)
    answer = manager.hooks.first_result("pynenc_dispatcher", object, broker=broker, state_backend=state)
    assert isinstance(answer, Dispatcher), f"no plugin offers a dispatcher for {app.url}, but {answer}"
    return Store(app, broker, state, answer)


def verbs_of(*classes: str) -> tuple[str, ...]:
    """Return the port verbs of classes, each named `package.module:Class`, as choke points.

    For a store without a driver, where a verb is the smallest step there is.
    """
    found: list[str] = []
    for name in classes:
        owner: Any = resolve_name(name)
        ports: list[Any] = [port for port in (BaseStateBackend, Dispatcher, BaseBroker) if issubclass(owner, port)]
        found += [f"{name}.{verb}" for port in ports for verb in sorted(port.__abstractmethods__) if verb not in _STEPLESS]
    return tuple(found)


class Raw(Protocol):
    """A look behind the API of one store, past the code under test."""

    def dump(self) -> object:
        """Return everything that is stored, for every app, as a value that compares equal exactly while nothing was written."""
        ...

    def set_format(self, number: int) -> None:
        """Write another format number into the store, as a newer or an older version would have left it."""
        ...


class Background:
    """Runs a blocking call in a thread of its own, and fails rather than waiting for ever for its end."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._result: object = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="kit-background", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:  # noqa: BLE001 - handed to the test's thread
            self._error = error

    def is_alive(self) -> bool:
        """Return whether the call has not ended yet."""
        return self._thread.is_alive()

    def result(self, timeout: float = PATIENCE) -> object:
        """Return what the call returned, or raise what it raised; AssertionError when it has not ended in time."""
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"the call blocks for more than {timeout:g} s"
        if self._error is not None:
            raise self._error
        return self._result


def eventually(condition: Callable[[], R], what: str, timeout: float = PATIENCE) -> R:
    """Return the condition's value once it is true, asking every 5 ms; AssertionError after `timeout` seconds."""
    ends = time.monotonic() + timeout
    pause = threading.Event()
    while not (found := condition()):
        assert time.monotonic() < ends, f"{what} did not happen within {timeout:g} s"
        pause.wait(0.005)
    return found
