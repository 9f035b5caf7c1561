"""The split dispatcher, which joins any broker with any state backend: what it must keep, and its crash windows."""

from __future__ import annotations

from typing import ClassVar

import attrs
import pytest

from pynenc_backend_memory.broker import MemoryBroker
from pynenc_backend_memory.state_backend import MemoryStateBackend
from pynenc_backend_sqlite.broker import SQLiteBroker
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.model import Ask, ClaimReply
from pynenc_core.orchestration.split import SplitDispatcher
from pynenc_core.status import Status
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.contracts import SplitContract
from pynenc_testkit.contracts.subject import Opener
from pynenc_testkit.samples import batch, change, claim, ids, limits, new, record, running, state, submit
from pynenc_testkit.stores import KitApp, Raw, Store, verbs_of


class _NoRaw:
    """Not asked for anything but whether a refused change has changed something."""

    def __init__(self, place: str) -> None:
        self._state = MemoryStateBackend(KitApp("kit", place, ManualClock()))

    def dump(self) -> object:
        table = self._state.table
        return dict(table.records), {key: len(entries) for key, entries in table.entries.items()}, dict(table.blobs)

    def set_format(self, number: int) -> None:
        del number


class Split(SplitContract):
    """The split dispatcher over stores whose verbs are single steps."""

    schedules: ClassVar[int] = 20
    silence: ClassVar[float] = 0.01
    chokes: ClassVar[tuple[str, ...]] = verbs_of(
        "pynenc_backend_memory.state_backend:MemoryStateBackend", "pynenc_backend_memory.broker:MemoryBroker"
    )

    @pytest.fixture
    def raw(self, place: str) -> Raw:
        return _NoRaw(place)


class TestMemoryQueue(Split):
    """The queue of one process beside the records of one process."""

    url: ClassVar[str] = "memory://{name}"
    _brokers: ClassVar[dict[str, MemoryBroker]] = {}

    def open_store(self, app: KitApp) -> Store:
        broker = self._brokers.setdefault(f"{app.url} {app.app_id}", MemoryBroker(app))  # one process: one broker
        state = MemoryStateBackend(app)
        return Store(app, broker, state, SplitDispatcher(broker, state))


class TestSQLiteQueue(Split):
    """A queue in a file beside the records of one process."""

    url: ClassVar[str] = "sqlite:///{folder}/queue.db"
    schedules: ClassVar[int] = 5

    def open_store(self, app: KitApp) -> Store:
        broker, state = SQLiteBroker(app), MemoryStateBackend(attrs.evolve(app, url=_records(app.url)))
        return Store(app, broker, state, SplitDispatcher(broker, state))

    @pytest.fixture
    def raw(self, place: str) -> Raw:
        return _NoRaw(_records(place))


def _records(url: str) -> str:
    return f"memory://{url}"


class TestCrashWindows:
    """Whoever dies between two calls leaves something to be found, and nothing to be done twice."""

    @pytest.fixture
    def opened(self) -> Opener:
        app = KitApp("kit", "memory://", ManualClock(ticking=True))
        broker, state = MemoryBroker(app), MemoryStateBackend(app)
        return lambda: Store(app, broker, state, SplitDispatcher(broker, state))

    @pytest.fixture
    def store(self, opened: Opener) -> Store:
        return opened()

    def test_what_was_stored_and_never_queued_is_found(self, store: Store) -> None:
        store.state.add_batch(batch(new("a"), new("b", queue="other")))
        assert ids(claim(store, limit=9)) == []
        assert store.dispatcher.republish() == 2
        assert ids(claim(store, limit=9, queues=("default", "other"))) == ["a", "b"]

    def test_what_was_taken_and_never_acquired_is_found(self, store: Store) -> None:
        submit(store, new("a", rank=1.0), new("b", rank=2.0))
        assert store.broker.take(("default",), 1, 0) == ("a",)
        assert store.dispatcher.republish() == 0, "it may be on its way"
        store.lapse(31)
        assert store.dispatcher.republish() == 1
        assert store.dispatcher.republish() == 0
        assert ids(claim(store, limit=9)) == ["a", "b"]

    def test_an_entry_that_is_there_twice_is_claimed_once(self, store: Store, opened: Opener) -> None:
        submit(store, new("a"))
        entry = record(store, "a").queued
        assert ids(claim(store)) == ["a"]
        store.broker.publish([entry])
        assert ids(claim(opened())) == []
        assert state(store, "a").claim == 1
        assert store.broker.size("default") == 0

    def test_an_entry_without_a_record_is_dropped(self, store: Store, caplog: pytest.LogCaptureFixture) -> None:
        submit(store, new("a"), new("b"))
        entry = record(store, "a").queued
        store.broker.publish([attrs.evolve(entry, invocation_id="nobody", rank=-1.0)])
        assert ids(claim(store, limit=9)) == ["a", "b"]
        assert "queue entries without a record were dropped: nobody" in caplog.text

    def test_a_released_slot_whose_waiter_was_never_queued_is_found(self, store: Store) -> None:
        held = running(store, limits=limits("k"))
        submit(store, new("a", limits=limits("k")))
        assert ids(claim(store)) == []
        store.state.swap([change(held, Status.SUCCESS)])
        assert ids(claim(store)) == []
        assert store.dispatcher.republish() == 1
        assert ids(claim(store)) == ["a"]

    def test_what_a_failed_claim_took_is_claimed_by_the_next(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        submit(store, new("a"))

        def fail(_ids: object, _ask: Ask) -> ClaimReply:
            raise BackendUnavailableError("store", "it is away")

        with monkeypatch.context() as away:
            away.setattr(store.state, "acquire", fail)
            with pytest.raises(BackendUnavailableError):
                claim(store)
        assert ids(claim(store)) == ["a"]

    def test_what_a_wait_took_goes_back_at_the_end(self, store: Store, opened: Opener) -> None:
        submit(store, new("a"))
        assert store.dispatcher.await_work(("default",), 0.0)
        other = opened()
        assert ids(claim(other)) == []
        store.dispatcher.close()
        assert ids(claim(other)) == ["a"]
