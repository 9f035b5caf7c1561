"""The kit's servers: their URLs, whatever the environment gives, and what a server that does not start said."""

from __future__ import annotations

import socket

import pytest

from pynenc_testkit.contracts.subject import filled
from pynenc_testkit.servers import mongo
from pynenc_testkit.servers.urls import extended


@pytest.mark.parametrize(
    ("url", "more", "is_"),
    [
        ("mongodb://h:1", "/t", "mongodb://h:1/t"),
        ("mongodb://h:1/", "/t", "mongodb://h:1/t"),
        ("mongodb://h:1/?retryWrites=false&replicaSet=rs0", "/t", "mongodb://h:1/t?retryWrites=false&replicaSet=rs0"),
        ("mongodb://me:pw@h:1,i:2/jobs?w=1&tls=true", "/t?W=2", "mongodb://me:pw@h:1,i:2/t?tls=true&W=2"),
        ("mongodb://h:1/t?tls=true", "?w=0", "mongodb://h:1/t?tls=true&w=0"),
        ("mongodb://h:1/t?tls=true", "", "mongodb://h:1/t?tls=true"),
        ("redis://h:1", "?client_name=n", "redis://h:1?client_name=n"),
        ("redis://h:1/3?socket_timeout=2", "?client_name=n", "redis://h:1/3?socket_timeout=2&client_name=n"),
        ("unix:///run/redis.sock?db=3", "?client_name=n", "unix:///run/redis.sock?db=3&client_name=n"),
    ],
)
def test_a_database_and_options_are_put_where_they_belong(url: str, more: str, is_: str) -> None:
    assert extended(url, more) == is_


def test_a_placeholder_stands_for_a_server_with_options(monkeypatch: pytest.MonkeyPatch) -> None:
    mongo.mongo_server.cache_clear()
    with monkeypatch.context() as patch:
        patch.setenv(mongo.URL_VARIABLE, "mongodb://h:1/?replicaSet=rs0")
        assert filled("{mongo}/{name}?w=1", "folder/a") == "mongodb://h:1/a?replicaSet=rs0&w=1"
    mongo.mongo_server.cache_clear()


def test_a_server_that_does_not_start_is_quoted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.0)
        with pytest.raises(pytest.fail.Exception, match="in use"):
            mongo.MongoServer(other.getsockname()[1])
