"""Every kind of server: the same store behind each URL form."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from pynenc_backend_redis.settings import RedisSettings
from pynenc_backend_redis.state_backend import RedisStateBackend
from pynenc_backend_redis.urls import locate
from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.errors.configuration import InvalidSettingError
from pynenc_core.model import Query
from pynenc_core.status import Status
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.samples import change, claim, finish, ids, new, record, running, submit
from pynenc_testkit.servers.redis import RedisServer
from pynenc_testkit.servers.redis_sets import RedisCluster, RedisSentinel, RedisTLS
from pynenc_testkit.stores import PATIENCE, Background, KitApp, Store, eventually, open_installed


def app(url: str, app_id: str = "") -> KitApp:
    return KitApp(app_id or f"places {secrets.token_hex(4)}", url, ManualClock(ticking=True))


def opened(url: str, app_id: str = "") -> Store:
    store = open_installed(app(url, app_id))
    store.state.prepare()
    return store


def works(url: str) -> None:
    """Make sure that work goes from one process to the other, and the result back."""
    name = f"places {secrets.token_hex(4)}"
    store, other = opened(url, name), opened(url, name)
    try:
        waiting = Background(lambda: other.dispatcher.await_work(("default",), PATIENCE))
        submit(store, new("a"), new("b", due=store.state.now() + 999))
        assert waiting.result() is True
        held = claim(other, start=1).claimed[0]
        watch = store.state.watch(["a"])
        finish(other, held)
        assert watch.wait(PATIENCE) == {"a"}
        watch.close()
        assert record(store, "a").state.status is Status.SUCCESS
        store.state.purge()
        assert other.state.get(["a", "b"]) == {}
    finally:
        store.close()
        other.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    made = RedisCluster()
    yield made
    made.stop()


def test_a_unix_socket() -> None:
    server = RedisServer("--unixsocket", "redis.sock")
    works(f"unix://{server.folder}/redis.sock?db=3")
    server.stop()


def test_tls_and_its_certificate() -> None:
    server = RedisTLS()
    works(server.url)
    with pytest.raises(BackendUnavailableError, match="certificate"):
        opened(server.url.partition("?")[0])
    server.stop()


def test_a_cluster_keeps_each_app_on_one_node(cluster: RedisCluster) -> None:
    for _ in range(4):
        works(cluster.url)


def test_who_asks_the_wrong_node_is_led_to_the_right_one(cluster: RedisCluster) -> None:
    store = opened(cluster.url)
    assert isinstance(store.state, RedisStateBackend)
    for node in cluster.nodes:
        store.state.link._drop(("127.0.0.1", node.port))
        submit(store, new())
    assert len(store.state.find(Query())) == 3
    store.close()


def test_a_node_of_a_cluster_by_itself_is_refused_with_the_way_out(cluster: RedisCluster) -> None:
    said: list[str] = []
    for number in range(20):
        try:
            opened(f"redis://127.0.0.1:{cluster.nodes[0].port}", f"app {number}").close()
        except BackendUnavailableError as error:
            said.append(str(error))
    assert said
    assert all("redis+cluster://" in each for each in said)


@pytest.fixture
def sentinel() -> Iterator[RedisSentinel]:
    made = RedisSentinel()
    yield made
    made.stop()


def test_a_sentinel_names_the_primary_and_a_failover_is_followed(sentinel: RedisSentinel) -> None:
    servers = sentinel
    works(servers.url)
    store, other = opened(servers.url, "failover"), opened(servers.url, "failover")
    held = running(store, "a")
    watch = store.state.watch(["a"])
    servers.primary.stop()

    def settled() -> bool:
        try:
            store.dispatcher.settle([change(held, Status.SUCCESS)])
        except BackendUnavailableError:
            return False
        return record(store, "a").state.status is Status.SUCCESS

    eventually(settled, "a settle after the failover", 6 * PATIENCE)
    assert watch.wait(PATIENCE) == {"a"}
    assert other.state.watch(["a"]).wait(PATIENCE) == {"a"}, "who slept through it goes to the new primary at once"
    store.close()
    other.close()
    with pytest.raises(BackendUnavailableError, match="no service 'other'"):
        opened(servers.url.replace("mymaster", "other"))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis://localhost?socket_timeuot=3", "did you mean socket_timeout"),
        ("redis://localhost?ssl=true", "no option is named 'ssl'"),
        ("redis://localhost?socket_timeout=soon", "socket_timeout is 'soon', which is no number"),
        ("redis+cluster://localhost?ssl=maybe", "neither true nor false"),
        ("redis+cluster://localhost/2", "database 0 only"),
        ("redis://a:1,b:2", "several servers"),
        ("redis://:secret@localhost/one", "the database is 'one', which is no number"),
        *((f"redis://localhost?socket_timeout={each}", "no number of seconds above 0") for each in ("-1", "0", "nan", "inf")),
        ("redis://localhost?socket_connect_timeout=1e30", "no number of seconds above 0 and below 1,000,000"),
        ("redis://a..b", "its host is no name"),
        ("redis://[::1", "its host is no name"),
        ("redis://localhost:0", "its port is no number"),
        ("redis://localhost/0/extra", "more than a database"),
        ("redis+sentinel://localhost/service/0/extra", "more than a database"),
        ("redis://localhost?db=3&db=4", "db is given twice"),
        ("redis://localhost/0?db=3", "names the database twice"),
        ("rediss://", "it names no host"),
        ("redis+sentinel://", "it names no host"),
        ("redis+cluster://", "it names no host"),
        ("unix://", "it names no path"),
        ("unix://?db=3", "it names no path"),
        ("redis://u:pa?db=secret@127.0.0.1:6379", "its password is not quoted"),
        ("redis://u:12?db=secret@127.0.0.1:6379", "its password is not quoted"),
        ("redis://u:12?db=secret&password=x@127.0.0.1:6379", "its password is not quoted"),
        ("redis://u:secret\u2100@127.0.0.1", "its password is not quoted"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url: str, problem: str) -> None:
    with pytest.raises(InvalidSettingError, match=problem) as refused:
        locate(app(url), "broker")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("unix://r.sock", "r.sock"),
        ("unix://dir/r.sock?db=3", "dir/r.sock"),
        ("unix:///run/r%20s.sock", "/run/r s.sock"),
        ("unix://me:secret@/run/r.sock", "/run/r.sock"),
    ],
)
def test_a_socket_without_the_first_slash_is_relative(url: str, path: str) -> None:
    assert locate(app(url), "broker").path == path


def test_what_a_url_says_is_what_is_connected_to() -> None:
    place = locate(app("redis+sentinel://us%3Aer:p%40ss@a,b:7/cache/2?sentinel_password=x&client_name=me"), "broker")
    assert (place.hosts, place.service, place.arguments["db"]) == ((("a", 26379), ("b", 7)), "cache", 2)
    assert (place.arguments["username"], place.arguments["password"], place.sentinel) == ("us:er", "p@ss", {"password": "x"})
    assert "p%40ss" not in place.shown
    settings: dict[type, object] = {RedisSettings: RedisSettings(url="redis://elsewhere:7000/4", reply_timeout_sec=2.5)}
    default = locate(KitApp("kit", "redis://", ManualClock(), settings), "broker")
    assert (default.hosts, default.arguments["db"], default.arguments["socket_timeout"]) == ((("elsewhere", 7000),), 4, 2.5)
    settings = {RedisSettings: RedisSettings(url="rediss://elsewhere")}
    for url in ("", "redis://", "rediss://"):
        assert locate(KitApp("kit", url, ManualClock(), settings), "broker").tls
    with pytest.raises(InvalidSettingError, match="it names no path"):
        locate(KitApp("kit", "unix://", ManualClock(), settings), "broker")


def test_ids_that_look_like_patterns_or_tags_are_apart() -> None:
    server = RedisServer()
    stores = [opened(server.url, name) for name in ("a", "a*", "ab", "{a}", "a}b", "[ab]")]
    for number, store in enumerate(stores):
        submit(store, new(f"i{number}"))
    stores[1].state.purge()
    stores[5].state.purge()
    assert [ids(claim(store, limit=9)) for store in stores] == [["i0"], [], ["i2"], ["i3"], ["i4"], []]
    for store in stores:
        store.close()
    server.stop()
