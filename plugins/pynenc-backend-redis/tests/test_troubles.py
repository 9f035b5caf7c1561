"""Whatever is wrong with a server: the same typed error for whoever asks, with a name and a way out, and without a secret."""

from __future__ import annotations

import gc
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest
from redis import Redis
from redis import exceptions as redis

from pynenc_backend_redis.ear import Ear
from pynenc_backend_redis.state_backend import RedisStateBackend
from pynenc_backend_redis.troubles import translated
from pynenc_core.errors.backends import BackendUnavailableError, StoreCorruptError
from pynenc_core.errors.configuration import InvalidSettingError
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.refusals import SECRET, add_of_the_module, app_of_a_module, command, everybody_is_refused
from pynenc_testkit.samples import new, submit
from pynenc_testkit.servers.redis import RedisServer, free_port
from pynenc_testkit.servers.redis_sets import RedisTLS
from pynenc_testkit.stores import Background, KitApp, Store, open_installed

# redis-py before 6 leaves the socket of a connect that failed to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisServer]:
    """A server with users of every kind."""
    server = RedisServer("--requirepass", SECRET)
    admin: Any = Redis(port=server.port, password=SECRET)
    rights = {
        "mute": "~* resetchannels +@all",
        "scriptless": "~* &* +@all -evalsha",
        "stranger": "resetkeys ~other* &* +@all",
        "writeless": "~* &* +@all -set",
        "advised": "resetkeys resetchannels ~{pynenc:* &{pynenc:* +@all -@admin",
        "cautious": "~* &* +@all -@dangerous",
    }
    for user, rules in rights.items():
        admin.execute_command("ACL", "SETUSER", user, "on", f">{SECRET}", *rules.split())
    admin.execute_command("ACL", "SETUSER", "gone", "off", f">{SECRET}")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def encrypted() -> Iterator[RedisTLS]:
    server = RedisTLS()
    yield server
    server.stop()


@attrs.frozen
class Case:
    """A trouble that a URL alone leads to."""

    url: str
    """With the port of the guarded server, a port where nobody is, and a secret."""
    says: str


REFUSED = {
    "wrong password": Case("redis://:{secret}no@127.0.0.1:{port}", "it refuses this user or password; give user and password in the URL"),
    "no password": Case("redis://127.0.0.1:{port}", "it asks for a password"),
    "user switched off": Case("redis://gone:{secret}@127.0.0.1:{port}", "it refuses this user"),
    "no right to scripts": Case("redis://scriptless:{secret}@127.0.0.1:{port}", "may not do what is needed .*evalsha.*ACL SETUSER"),
    "no right to channels": Case("redis://mute:{secret}@127.0.0.1:{port}", "may not do what is needed .*channels.*ACL SETUSER"),
    "no right to these keys": Case("redis://stranger:{secret}@127.0.0.1:{port}", "may not do what is needed .*keys.*ACL SETUSER"),
    "no right to a command": Case("redis://writeless:{secret}@127.0.0.1:{port}", "may not do what is needed .*'set'"),
    "no such database": Case("redis://:{secret}@127.0.0.1:{port}/999", "no database of that number; name another"),
    "nobody there": Case("redis://:{secret}@127.0.0.1:{nobody}", "Connection refused.*see whether it runs"),
    "no such host": Case("redis://:{secret}@nowhere.invalid", "nowhere.invalid.*look at host"),
    "no such socket": Case("unix:///nowhere/redis.sock?password={secret}", "/nowhere/redis.sock.*see whether it runs"),
    "a socket named like a reply": Case("unix:///nowhere/BUSY%20NOPERM%20SSL.sock?password={secret}", "connection failed.*see whether"),
    "a mute port": Case("redis://:{secret}@127.0.0.1:{mute}?socket_timeout=0.2", "does not answer"),
    "a web server": Case("redis://:{secret}@127.0.0.1:{web}", "does not speak Redis's protocol"),
    "no TLS there": Case("rediss://:{secret}@127.0.0.1:{mute}?socket_timeout=0.2", "does not answer .*is named as redis://"),
    "no sentinel": Case("redis+sentinel://127.0.0.1:{port}/jobs?sentinel_password={secret}", "it is no sentinel; name the port"),
    "no cluster": Case("redis+cluster://:{secret}@127.0.0.1:{port}", "it is no cluster; name it as redis://"),
}


@pytest.fixture
def ports(guarded: RedisServer) -> Iterator[dict[str, object]]:
    """What the URLs of the cases are filled in with."""
    with ExitStack() as stack:
        mute = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        web = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        _serve(web, lambda said: b"HTTP/1.1 400 Bad Request\r\n\r\n" if said else b"")
        yield {
            "port": guarded.port,
            "nobody": free_port(),
            "mute": mute.getsockname()[1],
            "web": web.getsockname()[1],
            "secret": SECRET,
        }


def _serve(listener: socket.socket, answer: Callable[[bytes], bytes]) -> None:
    """Answer whatever comes on each connection, in a thread, until the listener is closed."""

    def talk(client: socket.socket) -> None:
        with client:
            while said := client.recv(1 << 16):
                client.sendall(answer(said))

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


@pytest.fixture
def seen(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """A function that returns all that was logged and printed; in the end nothing of it may hold the secret."""
    caplog.set_level(logging.DEBUG)
    printed: list[str] = []

    def look() -> str:
        printed.extend(capsys.readouterr())
        return "\n".join([*printed, caplog.text])

    yield look
    assert SECRET not in look()
    gc.collect()


@pytest.mark.parametrize("name", REFUSED)
def test_everybody_is_told_the_same_and_no_secret(name: str, ports: dict[str, object], seen: Callable[[], str]) -> None:
    everybody_is_refused(REFUSED[name].url.format(**ports), BackendUnavailableError, REFUSED[name].says, seen)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://:{secret}@127.0.0.1:port", "its port is no number, or its password is not quoted"),
        ("redis://me:{secret}/{secret}@127.0.0.1", "its port is no number, or its password is not quoted"),
        ("redis://me:12/{secret}@127.0.0.1", "its port is no number, or its password is not quoted"),
        ("redis://me:12?{secret}@127.0.0.1", "its port is no number, or its password is not quoted"),
        ("redis://me:12#{secret}@127.0.0.1", "its port is no number, or its password is not quoted"),
        ("redis://:{secret}@127.0.0.1/one", "the database is 'one', which is no number"),
        ("redis://:{secret}@127.0.0.1?tiemout=1", "no option is named 'tiemout'"),
        ("rediss://:{secret}@127.0.0.1?ssl_ca_certs=/nowhere.pem", "ssl_ca_certs names no file: /nowhere.pem"),
    ],
)
def test_a_url_that_cannot_be_meant_is_told_without_its_secret(url: str, says: str, seen: Callable[[], str]) -> None:
    everybody_is_refused(url.format(secret=SECRET), InvalidSettingError, says, seen)


def test_certificates(encrypted: RedisTLS, tmp_path: Path, seen: Callable[[], str]) -> None:
    bare = encrypted.url.partition("?")[0]
    everybody_is_refused(bare, BackendUnavailableError, r"its certificate is not trusted .*\?ssl_ca_certs=", seen)
    elsewhere = encrypted.url.replace("127.0.0.1", "127.1")  # a name for the same address
    everybody_is_refused(elsewhere, BackendUnavailableError, "made out to another name", seen)
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    everybody_is_refused(f"{bare}?ssl_ca_certs={junk}", BackendUnavailableError, "its authority cannot be read", seen)
    everybody_is_refused(f"redis://127.0.0.1:{encrypted.tls_port}", BackendUnavailableError, "look at host, port and TLS in the URL", seen)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (redis.ResponseError("BUSY Redis is busy running a script"), "a script holds it up"),
        (redis.ResponseError("Error running script (call to f_0): @user_script:8: -MISCONF Redis is"), "it cannot save"),
        (
            redis.ResponseError("Error running script: @user_script:8: -OOM command not allowed when used memory > 'maxmemory'."),
            "its memory",
        ),
        (redis.ResponseError("value BUSY is not an integer"), "it refuses a command (value BUSY is not an integer)"),
        (redis.ConnectionError("max number of clients reached"), "it accepts no more clients"),
        (redis.ConnectionError("Error 2 connecting to OOM MOVED NOPERM.sock"), "the connection failed (Error 2"),
        (redis.TimeoutError("Timeout connecting to LOADING.sock"), "it does not answer (Timeout"),
    ],
)
def test_only_what_the_server_says_is_looked_through(error: Exception, says: str) -> None:
    found = translated(error, "Redis server unix:///r.sock")
    assert isinstance(found, BackendUnavailableError)
    assert found.problem.startswith(says)


class PinglessWire:
    """A connection on which nothing comes but that this user may not PING."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._refusals = 0
        self.pings = 0

    def send_packed_command(self, command: object, check_health: bool = True) -> None:  # noqa: ARG002 - named by Wire
        self.pings += 1
        self._refusals += 1

    def can_read(self, timeout: float = 0) -> bool:  # noqa: ARG002 - named by Wire
        if not self._refusals and self.pings == 3:
            self._stop.set()
        return self._refusals > 0

    def read_response(self) -> object:
        self._refusals -= 1
        if self.pings == 2:  # a message was faster than the reply
            self.pings, self._refusals = 3, 1
            return [b"message", b"channel", b"f\0nobody"]
        raise redis.NoPermissionError("this user has no permissions to run the 'ping' command")

    def connect(self) -> None:
        raise AssertionError

    def disconnect(self) -> None:
        raise AssertionError


def test_who_may_not_ping_hears_all_the_same() -> None:
    stop = threading.Event()
    wire = PinglessWire(stop)
    unused: Any = None
    Ear(unused)._hear_all(wire, stop)
    assert wire.pings >= 3


@pytest.mark.parametrize("version", ["6.0.16", "5.0"])
def test_a_server_that_is_too_old(version: str, seen: Callable[[], str]) -> None:
    text = f"# Server\r\nredis_version:{version}\r\n"

    def answer(said: bytes) -> bytes:
        return b"".join(
            f"${len(text)}\r\n{text}\r\n".encode() if name.upper() == b"INFO" else b"+OK\r\n"
            for name in re.findall(rb"\*\d+\r\n\$\d+\r\n(\w+)\r\n", said)
        )

    with socket.create_server(("127.0.0.1", 0)) as old:
        _serve(old, answer)
        everybody_is_refused(
            f"redis://127.0.0.1:{old.getsockname()[1]}", BackendUnavailableError, f"its version is {version}; use Redis 6.2", seen
        )


def test_a_server_that_keeps_to_itself_how_it_is_set(guarded: RedisServer, seen: Callable[[], str]) -> None:
    """Managed servers forbid CONFIG, and some users may not even ask for INFO: then the version comes from HELLO."""
    app = app_of_a_module(f"redis://cautious:{SECRET}@127.0.0.1:{guarded.port}")
    add_of_the_module(1, 2)
    assert app.orchestrator.count_invocations() == 1
    assert "this user may not ask for INFO" in seen()
    app.purge()
    app.close()


def test_the_rights_that_errors_name_are_enough(guarded: RedisServer, seen: Callable[[], str]) -> None:
    """They do without CONFIG."""
    app = app_of_a_module(f"redis://advised:{SECRET}@127.0.0.1:{guarded.port}")
    add_of_the_module(1, 2)
    assert app.orchestrator.count_invocations() == 1
    said = seen()
    assert "appendonly no" in said
    assert "may not" not in said
    assert command("doctor") == 1  # since nobody is there to run what waits
    assert re.search(r"note +Redis server .* appendonly no, maxmemory-policy noeviction: without appendonly a restart loses", seen())
    app.purge()
    app.close()


@attrs.frozen
class Opened:
    """A store, its server, and a way to meet its trouble."""

    server: RedisServer
    admin: Any
    store: Store

    def refuses(self, says: str) -> None:
        with pytest.raises(BackendUnavailableError, match=says):
            submit(self.store, new())


@pytest.fixture
def fine() -> Iterator[Opened]:
    server = RedisServer("--appendonly", "yes", "--appendfsync", "always")
    store = open_installed(KitApp("fine", server.url, ManualClock(ticking=True)))
    store.state.prepare()
    yield Opened(server, Redis(port=server.port), store)
    store.close()
    server.stop()


def test_a_server_that_loads_what_it_kept(fine: Opened) -> None:
    submit(fine.store, *[new() for _ in range(40)])
    fine.admin.save()
    fine.server.stop()
    fine.server._options = ("--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024")
    starting = Background(fine.server.start)  # which takes until it has loaded
    told: set[str] = set()
    while starting.is_alive():
        try:
            submit(fine.store, new())
        except BackendUnavailableError as error:
            told.add(f"{error.problem}; {error.remedy}")
    starting.result()
    assert "it is loading its data; wait" in told
    submit(fine.store, new())


def test_a_replica_whose_primary_is_away(fine: Opened) -> None:
    fine.admin.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
    fine.refuses("it is a read-only replica; name the primary")
    fine.admin.config_set("replica-serve-stale-data", "no")
    fine.refuses("it is a replica without its primary")


def test_a_format_that_is_no_number(fine: Opened) -> None:
    assert isinstance(fine.store.state, RedisStateBackend)
    fine.admin.set("{pynenc:fine}format", "junk")
    with pytest.raises(StoreCorruptError, match="holds no number"):
        fine.store.state.prepare()


def test_a_cluster_that_is_down() -> None:
    low = next(port for port in iter(free_port, 0) if port < 55_000)  # the nodes of a cluster talk on one 10,000 above
    server = RedisServer("--cluster-enabled", "yes", port=low)
    store = open_installed(KitApp("down", f"redis+cluster://127.0.0.1:{server.port}", ManualClock(ticking=True)))
    with pytest.raises(BackendUnavailableError, match="its cluster is not complete; look at CLUSTER INFO"):
        store.state.prepare()
    server.stop()


def test_what_is_said_at_start(fine: Opened, caplog: pytest.LogCaptureFixture) -> None:
    """One line: a warning where something is at risk, else for information; the doctor says it again."""

    def said(**settings: object) -> tuple[int, str]:
        for name, value in settings.items():
            fine.admin.config_set(name.replace("_", "-"), value)
        caplog.clear()
        caplog.set_level(logging.INFO)
        store = open_installed(KitApp("fine", fine.server.url, ManualClock(ticking=True)))
        store.state.prepare()
        store.close()
        (line,) = [record for record in caplog.records if "maxmemory-policy" in record.getMessage()]
        return line.levelno, line.getMessage().partition(" maxmemory-policy ")[2].partition(": ")[2]

    assert said() == (logging.INFO, "it keeps what it has acknowledged")
    level, text = said(appendfsync="everysec")
    assert (level, "may lose what it acknowledged in its last second" in text) == (logging.INFO, True)
    level, text = said(appendfsync="no")
    assert (level, "set appendfsync everysec" in text) == (logging.WARNING, True)
    level, text = said(appendfsync="always", maxmemory_policy="allkeys-lru")
    assert (level, text) == (logging.WARNING, "it removes records once a maxmemory is set; set maxmemory-policy noeviction")
    level, text = said(maxmemory="100mb")
    assert text == "it removes records as soon as memory is full; set maxmemory-policy noeviction"
    fine.admin.setrange("what fills it", 30_000_000, "x")  # beside that, buffers that come and go are nothing
    level, text = said(maxmemory_policy="noeviction", maxmemory=int(fine.admin.info()["used_memory"] * 1.05))
    assert re.fullmatch(r"9\d% of maxmemory are used, and a full server accepts no tasks", text), text
    level, text = said(maxmemory=0, appendonly="no", save="")
    assert (level, text) == (logging.WARNING, "without appendonly a restart loses everything")
    level, text = said(save="900 1")
    assert text == "without appendonly a restart loses what came after the last snapshot, or everything"
