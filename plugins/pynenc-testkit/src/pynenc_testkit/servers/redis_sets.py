"""Redis servers in company: a cluster of three, a primary with a replica behind a sentinel, one that speaks TLS."""

from __future__ import annotations

import socket
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from pynenc_testkit.servers.redis import RedisServer, binary, free_port
from pynenc_testkit.stores import PATIENCE, eventually

_SLOTS = 16384


class RedisCluster:
    """Three nodes, each with a third of the slots."""

    def __init__(self) -> None:
        self.nodes = [RedisServer("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", port=_low_port()) for _ in range(3)]
        edges = [number * _SLOTS // 3 for number in range(4)]
        for number, node in enumerate(self.nodes):
            command(node.port, "CLUSTER", "ADDSLOTS", *map(str, range(edges[number], edges[number + 1])))
        for node in self.nodes[1:]:
            command(node.port, "CLUSTER", "MEET", "127.0.0.1", str(self.nodes[0].port))
        for node in self.nodes:
            eventually(partial(self._whole, node), "a whole cluster", 4 * PATIENCE)

    @property
    def url(self) -> str:
        """A URL that names one of the nodes."""
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port}"

    def stop(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            node.stop()

    @staticmethod
    def _whole(node: RedisServer) -> bool:
        info = command(node.port, "CLUSTER", "INFO")
        return "cluster_state:ok" in info and "cluster_known_nodes:3" in info


class RedisSentinel:
    """A primary and its replica, watched by one sentinel under the name `mymaster`."""

    def __init__(self) -> None:
        self.primary = RedisServer("--repl-diskless-sync-delay", "0")
        self.replica = RedisServer("--replicaof", "127.0.0.1", str(self.primary.port))
        self.port = free_port()
        folder = self.primary.folder
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor mymaster 127.0.0.1 {self.primary.port} 1\n"
            "sentinel down-after-milliseconds mymaster 1000\nsentinel failover-timeout mymaster 3000\n"
        )
        self._sentinel = subprocess.Popen([binary(), str(config), "--sentinel"], stdout=subprocess.DEVNULL)
        eventually(lambda: "state=online" in command(self.primary.port, "INFO", "replication"), "a replica", 4 * PATIENCE)
        eventually(self._ready, "a sentinel that knows the replica", 4 * PATIENCE)

    @property
    def url(self) -> str:
        """The URL of the sentinel."""
        return f"redis+sentinel://127.0.0.1:{self.port}/mymaster"

    def stop(self) -> None:
        """End all three."""
        self._sentinel.terminate()
        self._sentinel.wait(PATIENCE)
        self.primary.stop()
        self.replica.stop()

    def _ready(self) -> bool:
        try:
            return "num-slaves\r\n$1\r\n1" in command(self.port, "SENTINEL", "MASTER", "mymaster")
        except OSError:
            return False


class RedisTLS(RedisServer):
    """A server with a certificate of its own, made by `openssl`."""

    def __init__(self) -> None:
        self._keys = tempfile.TemporaryDirectory(prefix="pynenc-tls-", ignore_cleanup_errors=True)
        self.tls_port = free_port()
        key, self.certificate = Path(self._keys.name) / "key.pem", Path(self._keys.name) / "cert.pem"
        subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-days", "2", "-nodes")
        made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", str(key), "-out", str(self.certificate), *subject)
        subprocess.run(made, check=True, capture_output=True)
        files = ("--tls-cert-file", str(self.certificate), "--tls-key-file", str(key), "--tls-ca-cert-file", str(self.certificate))
        super().__init__("--tls-port", str(self.tls_port), "--tls-auth-clients", "no", *files)

    @property
    def url(self) -> str:
        """Its URL, with the certificate to trust."""
        return f"rediss://127.0.0.1:{self.tls_port}/0?ssl_ca_certs={self.certificate}"


def _low_port() -> int:
    """Return a free port that leaves room for the bus of a cluster, 10,000 above it."""
    return next(port for port in iter(free_port, 0) if port < 55_000)


def command(port: int, *words: str) -> str:
    """Send a command without any driver, and return the reply as it came, up to 64 KiB. Raises OSError."""
    packed = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as asked:
        asked.sendall(packed.encode())
        return asked.recv(1 << 16).decode()
