"""What a store does whose way to its server is cut, refused, or stands still without a sign."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import ClassVar, TypeVar
from urllib.parse import urlsplit

import pytest

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.status import Status
from pynenc_testkit.contracts.subject import Opener, StorageSubject, fresh_place
from pynenc_testkit.samples import change, claim, found, history, new, record, running, submit
from pynenc_testkit.servers.proxy import Proxy
from pynenc_testkit.stores import PATIENCE, Background, Store, eventually

R = TypeVar("R")


class RemoteContract(StorageSubject):
    """What a backend does besides whose store is a server; give `url`, which begins with `scheme://host:port` and is filled in as usual.

    To be quick about it, override `open_store` with settings by which a silent connection is given up within a second.
    """

    gives_up_within: ClassVar[float] = 10.0
    """Seconds within which a call fails whose connection has gone silent: by default what users are promised."""

    @pytest.fixture
    def direct(self) -> Iterator[str]:
        """The URL of this test's store, past the proxy."""
        with fresh_place(self.url) as direct:
            yield direct

    @pytest.fixture
    def proxy(self, direct: str) -> Iterator[Proxy]:
        """What stands before the server."""
        server = urlsplit(direct)
        assert server.hostname, f"{direct} names no server"
        assert server.port, f"{direct} names no port"
        with Proxy(server.port, server.hostname) as proxy:
            yield proxy

    @pytest.fixture
    def place(self, direct: str, proxy: Proxy) -> str:
        """The URL of this test's store, by way of the proxy."""
        server = urlsplit(direct)
        return direct.replace(f"{server.hostname}:{server.port}", f"127.0.0.1:{proxy.port}", 1)

    def test_a_silent_connection_is_given_up_and_one_that_works_is_made(self, store: Store, proxy: Proxy) -> None:
        submit(store, new("a"))
        with proxy.stalled():
            silent = Background(lambda: found(store))
            with pytest.raises(BackendUnavailableError):
                silent.result(self.gives_up_within)
        assert eventually(lambda: reached(lambda: found(store)), "an answer") == ["a"]

    def test_what_was_sent_into_silence_comes_late_and_happens_once(self, store: Store, proxy: Proxy) -> None:
        held = running(store, "a")
        done = change(held, Status.SUCCESS)
        with proxy.stalled():
            silent = Background(lambda: store.dispatcher.settle([done]))
            with pytest.raises(BackendUnavailableError):
                silent.result(self.gives_up_within)
        eventually(lambda: reached(lambda: store.dispatcher.settle([done])), "an answer")
        eventually(lambda: record(store, "a").state.status is Status.SUCCESS, "the result")
        steps = [entry.status_record.status for entry in history(store, "a")]
        assert steps.count(Status.SUCCESS) == 1
        assert steps[-1] is Status.SUCCESS

    def test_a_reply_that_comes_late_reaches_nobody_else(self, store: Store, proxy: Proxy) -> None:
        for number in range(4):
            store.state.put_value("kind", f"{number}", b"%d" % number)
        with proxy.stalled():
            silent = Background(lambda: store.state.get_values("kind", ["0"]))
            with pytest.raises(BackendUnavailableError):
                silent.result(self.gives_up_within)
        eventually(lambda: reached(lambda: store.state.get_values("kind", ["1"])), "an answer")
        for _ in range(3):
            for number in range(4):
                assert store.state.get_values("kind", [f"{number}"]) == {f"{number}": b"%d" % number}

    def test_who_waits_is_told_although_its_connections_were_cut(self, store: Store, other: Store, proxy: Proxy) -> None:
        held = running(store, "a")
        watch = other.state.watch(["a"])
        waiting = Background(lambda: watch.wait(2 * PATIENCE))
        proxy.cut()
        done = change(held, Status.SUCCESS)
        eventually(lambda: reached(lambda: store.dispatcher.settle([done])), "an answer")
        assert waiting.result(3 * PATIENCE) == {"a"}
        watch.close()

    def test_a_server_that_refuses_is_said_to_be_unavailable_and_used_as_soon_as_it_does_not(
        self, opened: Opener, store: Store, proxy: Proxy
    ) -> None:
        submit(store, new("a"))
        with proxy.refusing():
            for call in (lambda: submit(store, new("b")), lambda: claim(store), lambda: found(store), opened):
                with pytest.raises(BackendUnavailableError):
                    call()
        held = eventually(lambda: reached(lambda: claim(store, start=1).claimed), "an answer")
        assert [each.invocation_id for each in held or ()] == ["a"]


def reached(call: Callable[[], R]) -> R | None:
    """Return what a call returns; None where the store is still away."""
    with suppress(BackendUnavailableError):
        return call()
    return None
