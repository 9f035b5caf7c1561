"""The state backend: all verbs over one server."""

from __future__ import annotations

from typing import ClassVar

from pynenc_backend_redis.coordination import RedisCoordination
from pynenc_backend_redis.ear import Ear
from pynenc_backend_redis.link import Link
from pynenc_backend_redis.records import RedisRecords
from pynenc_core.ports.runtime import StoreView
from pynenc_core.ports.state_backend import BaseStateBackend


class RedisStateBackend(RedisRecords, RedisCoordination, BaseStateBackend):
    """Keeps an app's records on one server, which any number of processes, and of apps, may share."""

    name: ClassVar[str] = "redis"

    def __init__(self, app: StoreView) -> None:
        super().__init__(app)
        self.link = Link(app, "state_backend")
        self.ear = Ear(self.link)
