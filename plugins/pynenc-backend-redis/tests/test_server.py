"""What a server does to its clients: it forgets, stops, restarts, refuses; and what is left on it in the end."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from pynenc_backend_redis import ear, health, wires
from pynenc_backend_redis.link import Link
from pynenc_backend_redis.settings import RedisSettings
from pynenc_backend_redis.state_backend import RedisStateBackend
from pynenc_core import Pynenc
from pynenc_core.errors.backends import BackendUnavailableError, StoreCorruptError
from pynenc_core.model import Ask, Mark, Payload, Query, Queued
from pynenc_core.status import Status
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.contracts.durability import in_child
from pynenc_testkit.samples import batch, blob, change, claim, finish, found, ids, limits, new, record, running, state, submit
from pynenc_testkit.servers.redis import RedisServer, free_port
from pynenc_testkit.stores import PATIENCE, Background, KitApp, Store, eventually, open_installed


@pytest.fixture
def server() -> Iterator[RedisServer]:
    made = RedisServer()
    yield made
    made.stop()


@pytest.fixture
def durable() -> Iterator[RedisServer]:
    made = RedisServer("--appendonly", "yes", "--appendfsync", "always")
    yield made
    made.stop()


def opened(url: str, app_id: str = "kit", *, prepare: bool = True) -> Store:
    store = open_installed(KitApp(app_id, url, ManualClock(ticking=True)))
    if prepare:
        store.state.prepare()
    return store


_clients: list[Any] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close the clients of a test; redis-py does it by itself in newer releases only."""
    yield
    while _clients:
        _clients.pop().close()


def raw(server: RedisServer) -> Any:
    _clients.append(Redis(port=server.port))
    return _clients[-1]


def link(store: Store) -> Link:
    assert isinstance(store.state, RedisStateBackend)
    return store.state.link


class TestForgetting:
    def test_a_server_that_has_forgotten_the_scripts_is_taught_them_again(self, server: RedisServer) -> None:
        store = opened(server.url)
        held = running(store, "a")
        raw(server).script_flush()
        assert store.dispatcher.settle([change(held, Status.SUCCESS)]).refused == (None,)
        assert state(store, "a").status is Status.SUCCESS
        store.close()

    def test_a_task_costs_two_calls(self, server: RedisServer) -> None:
        store, count = opened(server.url), 50
        submit(store, new())
        held = claim(store, start=1).claimed[0]
        raw(server).config_resetstat()
        for _ in range(count):
            submit(store, new())
            done = change(held, Status.SUCCESS, outcome=Payload(b"1"))
            held = store.dispatcher.settle([done], ask=Ask(runner_id="r1", limit=1, start=1)).claim.claimed[0]
        stats = raw(server).info("commandstats")
        mine = {name: stat["calls"] for name, stat in stats.items() if name in {"cmdstat_evalsha", "cmdstat_eval", "cmdstat_script|load"}}
        assert mine == {"cmdstat_evalsha": 2 * count}
        store.close()

    @pytest.mark.parametrize("tasks", [1000, pytest.param(20_000, marks=pytest.mark.full)])
    def test_nothing_is_left_of_finished_tasks(self, server: RedisServer, tasks: int) -> None:
        store, content = opened(server.url), blob(b"x" * 5000, ttl=0.01)
        keys = raw(server).dbsize()
        for _ in range(tasks // 250):
            made = [new(limits=limits("k", 999), unique_key=f"u{number}") for number in range(250)]
            submit(store, *made, blobs=(content,))
            held = claim(store, limit=250, start=250).claimed
            changes = [change(each, Status.SUCCESS, outcome=Payload(b"1"), blobs=(content,), outbox=("x",)) for each in held]
            assert set(store.dispatcher.settle(changes).refused) == {None}
        store.lapse(1)
        assert store.state.sweep(store.state.now(), limit=2 * tasks).invocations == tasks
        left = [key for key in raw(server).scan_iter(count=1000) if b"idl:" not in key]
        assert len(left) == keys, left
        store.close()

    def test_a_purge_removes_one_app_however_much_it_has_and_never_lists_all_keys(self, server: RedisServer) -> None:
        mine, other = opened(server.url, "shop"), opened(server.url, "shop 2")
        for store in (mine, other):
            submit(store, *[new(limits=limits("k"), unique_key=f"u{number}") for number in range(500)], blobs=(blob(b"x" * 3000),))
            store.broker.publish([Queued("waits", "q", 1.0)])
        client = raw(server)
        keys = set(client.scan_iter(count=1000))
        theirs = {key for key in keys if key.startswith(b"{pynenc:shop 2}")}
        assert min(len(theirs), len(keys - theirs)) > 1000
        before = {key: client.dump(key) for key in theirs}
        client.config_resetstat()
        mine.state.purge()
        mine.broker.purge()
        asked = set(client.info("commandstats"))
        assert "cmdstat_scan" in asked
        assert asked.isdisjoint({"cmdstat_keys", "cmdstat_flushdb", "cmdstat_flushall"})
        assert {key: client.dump(key) for key in client.scan_iter(count=1000)} == before
        assert (found(mine), len(found(other))) == ([], 500)
        mine.close()
        other.close()

    @pytest.mark.parametrize("awaited", [False, True])
    def test_who_waits_for_work_is_not_forgotten_by_a_purge(self, server: RedisServer, *, awaited: bool) -> None:
        store, other = opened(server.url), opened(server.url)

        def works() -> bool:
            while not (reply := claim(other, awaited_only=awaited)).claimed:
                if not other.dispatcher.await_work(("default",), 30):
                    return False
            return ids(reply) == ["a"]

        idle = "{pynenc:kit}ida:default" if awaited else "{pynenc:kit}idl:default"
        working = Background(works)
        eventually(lambda: raw(server).exists(idle), "somebody who waits for work")
        store.state.purge()
        submit(store, new("a"))
        if awaited:
            store.state.mark([Mark(invocation_id="a", boost=0.0)])
        assert working.result(10) is True, "within the 30 seconds that it would sleep otherwise"
        store.close()
        other.close()


class TestOutages:
    def test_after_a_restart_calls_and_waits_go_on(self, durable: RedisServer) -> None:
        store, other = opened(durable.url), opened(durable.url)
        held = running(store, "a")
        watch = other.state.watch(["a"])
        waiting = Background(lambda: other.dispatcher.await_work(("default",), 4 * PATIENCE))
        eventually(lambda: raw(durable).zcard("{pynenc:kit}idl:default"), "somebody who waits for work")
        durable.stop(signal.SIGKILL)
        with pytest.raises(BackendUnavailableError, match=str(durable.port)):
            found(store)
        durable.start()
        assert waiting.result(2 * PATIENCE) is True, "what was told meanwhile is not known, so it looks"
        assert state(store, "a").status is Status.RUNNING
        finish(store, held)
        assert watch.wait(PATIENCE) == {"a"}
        store.close()
        other.close()

    def test_what_ended_while_nobody_heard_it_is_found(self, server: RedisServer) -> None:
        store, other = opened(server.url), opened(server.url)
        held = running(store, "a")
        watch = other.state.watch(["a"])
        raw(server).client_kill_filter(_type="pubsub")
        finish(store, held)
        assert watch.wait(PATIENCE) == {"a"}
        store.close()
        other.close()

    def test_a_server_that_does_not_answer_is_given_up_and_its_late_reply_reaches_nobody(
        self, server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(ear, "PING_AFTER", 0.2)
        caplog.set_level(logging.INFO)
        store = opened(f"{server.url}?socket_timeout=0.3")
        held = running(store, "a")
        watch = store.state.watch(["a"])
        process = server._process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(BackendUnavailableError, match="does not answer"):
                store.state.put_value("kind", "key", b"late")
            eventually(lambda: "are lost" in caplog.text, "the loss of the notifications")
        finally:
            process.send_signal(signal.SIGCONT)
        assert record(store, "a") == held
        eventually(lambda: "are back" in caplog.text, "the return of the notifications")
        finish(store, held)
        assert watch.wait(PATIENCE) == {"a"}
        store.close()

    def test_a_connection_whose_call_was_cut_is_not_used_again(self, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        store = opened(server.url)
        store.state.put_value("kind", "one", b"1")
        send = wires.send

        def cut(wire: wires.Wire, arguments: tuple[wires.Argument, ...]) -> None:
            send(wire, arguments)
            raise KeyboardInterrupt

        monkeypatch.setattr("pynenc_backend_redis.link.send", cut)
        with pytest.raises(KeyboardInterrupt):
            store.state.get_values("kind", ["one"])
        monkeypatch.undo()
        assert store.state.now() > 0
        assert store.state.beats() == ()
        assert store.state.get_values("kind", ["one"]) == {"one": b"1"}
        store.close()

    def test_who_cancels_an_async_wait_takes_nobody_elses_result(self, server: RedisServer) -> None:
        app = Pynenc(server.url, app_id="cancels")
        orchestrator = app.orchestrator
        store = Store(
            KitApp("cancels", server.url, ManualClock()), orchestrator.engine.broker, app.state_backend, orchestrator.engine.dispatcher
        )
        names = [f"i{number}" for number in range(20)]
        submit(store, *[new(name) for name in names])

        async def ask(name: str) -> str:
            return (await asyncio.to_thread(store.state.get, [name]))[name].invocation_id

        async def main() -> None:
            for round_ in range(20):
                asking = {name: asyncio.create_task(ask(name)) for name in names}
                await asyncio.sleep(0)
                for name in names[round_ % 3 :: 3]:
                    asking[name].cancel()
                await asyncio.wait(asking.values())
                assert all(each.cancelled() or each.result() == name for name, each in asking.items())
                assert sum(each.cancelled() for each in asking.values()) >= 6

        asyncio.run(main())
        app.close()

    def test_many_threads_get_their_own_replies(self, server: RedisServer) -> None:
        store = opened(server.url)
        for number in range(20):
            store.state.put_value("kind", f"{number}", b"%d" % number)

        def ask(number: int) -> bool:
            return all(store.state.get_values("kind", [f"{number}"]) == {f"{number}": b"%d" % number} for _ in range(100))

        asking = [Background(lambda number=number: ask(number)) for number in range(20)]  # type: ignore[misc]  # bound at once
        assert [each.result() for each in asking] == [True] * 20
        store.close()

    def test_a_fork_leaves_the_parents_connections_alone(self, server: RedisServer) -> None:
        store = opened(server.url)
        held = running(store, "a")
        watch = store.state.watch(["a"])

        def child() -> None:
            assert ids(store.state.get(["a"]).values()) == ["a"]
            mine = running(store, "b")
            seen = store.state.watch(["b"])
            finish(store, mine)
            assert seen.wait(PATIENCE) == {"b"}
            store.close()

        assert in_child(child) == 0
        assert state(store, "b").status is Status.SUCCESS
        finish(store, held)
        assert watch.wait(PATIENCE) == {"a"}
        store.close()

    def test_closing_leaves_no_thread_and_no_connection(self, server: RedisServer) -> None:
        before = set(threading.enumerate())
        store = opened(server.url)
        store.state.watch([running(store).invocation_id]).close()
        store.close()
        assert not [each for each in threading.enumerate() if each not in before and each.name == "pynenc-redis-ear"]
        eventually(lambda: len(raw(server).client_list()) == 1, "an end of all connections but the one that asks")


def refusal(url: str) -> str:
    with pytest.raises(BackendUnavailableError) as refused:
        submit(opened(url), new("a"))
    assert "topsecret" not in str(refused.value)
    assert "topsecret" not in repr(refused.value)
    return str(refused.value)


class TestRefusals:
    def test_a_wrong_password_and_none(self) -> None:
        server = RedisServer("--requirepass", "topsecretpass")
        assert "asks for a password" in refusal(server.url)
        assert "refuses this user or password" in refusal(f"redis://:topsecret@127.0.0.1:{server.port}")
        opened(f"redis://:topsecretpass@127.0.0.1:{server.port}").close()
        server.stop()

    def test_a_wrong_port_and_something_else_on_it(self) -> None:
        assert "connection failed" in refusal(f"redis://127.0.0.1:{free_port()}")
        with socket.create_server(("127.0.0.1", 0)) as other:

            def answer() -> None:
                with other.accept()[0] as asked:
                    asked.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

            threading.Thread(target=answer, daemon=True).start()
            assert "does not speak Redis's protocol" in refusal(f"redis://127.0.0.1:{other.getsockname()[1]}")

    def test_a_replica(self, server: RedisServer) -> None:
        raw(server).config_set("repl-diskless-sync-delay", 0)
        replica = RedisServer("--replicaof", "127.0.0.1", str(server.port))
        eventually(lambda: raw(replica).info("replication")["master_link_status"] == "up", "a replica")
        assert "read-only replica" in refusal(replica.url)
        replica.stop()

    def test_full_memory_refuses_whole_steps_and_loses_nothing(self, server: RedisServer) -> None:
        store = opened(server.url)
        submit(store, new("a", queue="q", limits=limits("k")), new("b", limits=limits("k"), queue="q"))
        held = claim(store, start=1, queues=("q",)).claimed[0]
        raw(server).config_set("maxmemory", "1mb")
        with pytest.raises(BackendUnavailableError, match="memory is full"):
            submit(store, new("c"), new("d"))
        assert found(store) == ["a", "b"]
        try:
            store.dispatcher.settle([change(held, Status.SUCCESS)])
        except BackendUnavailableError:
            assert record(store, "a") == held
        else:
            assert state(store, "a").status is Status.SUCCESS
        raw(server).config_set("maxmemory", "0")
        submit(store, new("c"))
        assert found(store) == ["a", "b", "c"]
        store.close()

    def test_a_key_of_another_type(self, server: RedisServer) -> None:
        store = opened(server.url)
        raw(server).set("{pynenc:kit}q:default", "mine")
        with pytest.raises(StoreCorruptError, match="another type"):
            submit(store, new("a"))
        store.close()

    def test_a_batch_that_meets_a_key_of_another_type_is_not_there_and_whole_when_repeated(self, server: RedisServer) -> None:
        store, client = opened(server.url), raw(server)
        given = batch(new("a"), new("b"), blobs=(blob(b"x" * 3000),))
        for wrong in ("q:default", "lab", "his", "s:REGISTERED"):
            client.set(f"{{pynenc:kit}}{wrong}", "x")
            with pytest.raises(StoreCorruptError, match="another type"):
                store.dispatcher.submit(given)
            client.delete(f"{{pynenc:kit}}{wrong}")
            assert store.state.get(["a", "b"]) == {}, wrong
            assert (found(store), sum(store.state.count(Query()).values())) == ([], 0), wrong
            assert (ids(claim(store, limit=9)), store.dispatcher.depth("default")) == ([], 0), "nobody gets half an invocation"
        store.dispatcher.submit(given)
        store.dispatcher.submit(given)
        assert found(store) == ["a", "b"]
        assert ids(claim(store, limit=9)) == ["a", "b"]
        assert [len(each) for each in store.state.history(["a", "b"]).values()] == [2, 2]
        store.close()

    def test_a_purge_removes_keys_of_another_type_as_well(self, server: RedisServer) -> None:
        store, client = opened(server.url), raw(server)
        for name in ("i:a", "idl:default", "his"):
            client.set(f"{{pynenc:kit}}{name}", "x")
        store.state.purge()
        assert client.dbsize() == 0
        store.close()

    def test_a_server_that_is_too_old(self, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(health, "OLDEST", (99, 0))
        assert "use Redis 6.2 or newer" in refusal(server.url)

    def test_what_its_settings_put_at_risk_is_said_at_start(self, server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
        raw(server).config_set("maxmemory-policy", "allkeys-lru")
        opened(server.url, "risky").close()
        (line,) = [each.message for each in caplog.records if each.name == "pynenc.risky"]
        assert "version 7" in line or "version 6.2" in line
        assert "appendonly no" in line
        assert "a restart loses everything" in line
        assert "maxmemory-policy allkeys-lru: " in line
        assert "it removes records once a maxmemory is set" in line
        store = opened(server.url, "risky")
        assert [each["ok"] for each in health.report("risky")] == [None]
        store.close()


def test_by_default_a_connection_that_has_gone_silent_is_noticed_within_ten_seconds() -> None:
    """What a call, a connect and the notifications wait for at most; that they are given up then is shown with shorter times."""
    settings = RedisSettings()
    assert max(settings.reply_timeout_sec, settings.connect_timeout_sec, 2 * ear.PING_AFTER) < 10


def test_the_clock_is_the_servers_and_never_ahead_of_it(server: RedisServer) -> None:
    store = opened(server.url)
    for _ in range(50):
        whole, micros = raw(server).time()
        assert abs(store.state.now() - whole - micros / 1e6) < 1
        estimate = store.state.now()
        whole, micros = raw(server).time()
        assert estimate <= whole + micros / 1e6 + 1e-4
    link(store)._offset += 3600  # as if the server's clock had been put back since
    link(store)._sampled = float("-inf")
    assert store.state.now() < raw(server).time()[0] + 2
    store.close()
