"""The main path over each kind of Redis: a cluster, a primary behind a sentinel, one that speaks TLS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pynenc_testkit.contracts import ComboContract
from pynenc_testkit.servers.redis_sets import RedisCluster, RedisSentinel, RedisTLS

KINDS = {"Cluster": RedisCluster, "Sentinel": RedisSentinel, "TLS": RedisTLS}


class OverRedis(ComboContract):
    """The contract over a server that is started for the class."""

    runner = "persistent-process"
    kind: type[RedisCluster | RedisSentinel | RedisTLS]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def server(cls) -> Iterator[None]:
        """Start the server, and let the contract know where it is."""
        server = cls.kind()
        cls.url = server.url
        yield
        server.stop()


for kind, made in KINDS.items():
    globals()[f"TestOver{kind}"] = type(f"TestOver{kind}", (OverRedis,), {"kind": made, "__module__": __name__})
