"""What every contract over storage starts from: a fresh store, opened as often as a test needs processes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, cast

import pytest

from pynenc_testkit.clock import ManualClock
from pynenc_testkit.interleaver import SILENCE, Interleaver
from pynenc_testkit.servers.mongo import mongo_server
from pynenc_testkit.servers.redis import redis_url
from pynenc_testkit.servers.urls import extended
from pynenc_testkit.stores import KitApp, Raw, Store, open_installed

Opener = Callable[..., Store]
_SERVERS: dict[str, Callable[[], str]] = {"{mongo}": mongo_server, "{redis}": redis_url}
"""What stands in a URL for a server that begins at the first need."""


@contextmanager
def fresh_place(url: str) -> Generator[str]:
    """Fill in a URL's `{folder}`, `{name}` and servers; the folder is in memory where the system has such a place, and is removed."""
    memory = Path("/dev/shm")  # noqa: S108 - the directory made in it belongs to this user alone
    within = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="pynenc-kit-", dir=within, ignore_cleanup_errors=True) as folder:
        yield filled(url, folder)


def filled(url: str, folder: str | Path) -> str:
    """Return a URL with its `{folder}`, the `{name}` of that, and servers, which begin at the first need."""
    for server, start in _SERVERS.items():
        before, named, more = url.partition(server)
        if named:
            url = before + extended(start(), more)
    return url.replace("{folder}", str(folder)).replace("{name}", Path(folder).name)


def all_filled(settings: Mapping[str, object], folder: str | Path) -> dict[str, object]:
    """Return settings, nested as in a configuration file, with every text filled in as a URL is."""
    return {name: _filled_value(value, folder) for name, value in settings.items()}


def _filled_value(value: object, folder: str | Path) -> object:
    match value:
        case str():
            return filled(value, folder)
        case Mapping():
            return all_filled(cast("Mapping[str, object]", value), folder)
        case _:
            return value


@pytest.mark.pynenc_contract
class StorageSubject:
    """The storage under test: subclass a contract and say by which URL, or override `open_store`."""

    url: ClassVar[str] = ""
    """Where to store; `{folder}` stands for a new directory, `{name}` for a new name, of each test's own, `{mongo}` for a server."""
    chokes: ClassVar[tuple[str, ...]] = ()
    """The callables through which all of the driver's traffic goes, as `package.module:Class.method`."""
    schedules: ClassVar[int] = 60
    """How many interleavings of two operations are tried at most."""
    one_step: ClassVar[bool] = True
    """Whether each verb is one step. If not, one that is cut short may leave a part, which `republish` and a repetition finish."""
    silence: ClassVar[float] = SILENCE
    """Seconds without a sign of life after which a driver call counts as blocked."""

    def open_store(self, app: KitApp) -> Store:
        """Open the store that `app` names, as a further process would; the default asks the installed plugins by URL."""
        return open_installed(app)

    @pytest.fixture
    def clock(self) -> ManualClock:
        """The clock of every app of the test: it runs, and can be advanced."""
        return ManualClock(ticking=True)

    @pytest.fixture
    def place(self) -> Iterator[str]:
        """The URL of this test's store."""
        with fresh_place(self.url) as place:
            yield place

    @pytest.fixture
    def opened(self, place: str, clock: ManualClock) -> Iterator[Opener]:
        """A function that opens this test's store once more, ready for use; it takes an `app_id`."""
        stores: list[Store] = []

        def open_one(app_id: str = "kit", *, prepare: bool = True) -> Store:
            store = self.open_store(KitApp(app_id, place, clock))
            stores.append(store)
            if prepare:
                store.state.prepare()
            return store

        yield open_one
        for store in reversed(stores):
            store.close()

    @pytest.fixture
    def store(self, opened: Opener) -> Store:
        """The store, as the first process has it open."""
        return opened()

    @pytest.fixture
    def other(self, store: Store, opened: Opener) -> Store:
        """The same store, as a second process of the same app has it open."""
        return opened(store.app.app_id)

    @pytest.fixture
    def raw(self, place: str) -> Raw:
        """A look behind the API of this test's store."""
        pytest.fail(f"{type(self).__name__} needs a fixture `raw` that returns a pynenc_testkit.stores.Raw for {place}")

    @pytest.fixture
    def interleaver(self) -> Interleaver:
        """What tries two operations under every interleaving of their driver calls."""
        return Interleaver(self.chokes, limit=self.schedules, silence=self.silence)
