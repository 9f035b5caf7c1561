"""Queue and records on a Redis or Valkey server: `redis://localhost:6379/0`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from pynenc_core.plugins import BackendSpec, BrokerSpec, BuilderMethodSpec, StateBackendSpec, hookimpl

_SETTINGS = "pynenc_backend_redis.settings:RedisSettings"
_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "redis+cluster")


@hookimpl
def pynenc_brokers() -> list[BrokerSpec]:
    """Offer the broker."""
    target = "pynenc_backend_redis.broker:RedisBroker"
    return [BrokerSpec(name="redis", summary="queues on a Redis server", target=target, settings=_SETTINGS)]


@hookimpl
def pynenc_state_backends() -> list[StateBackendSpec]:
    """Offer the state backend."""
    target = "pynenc_backend_redis.state_backend:RedisStateBackend"
    return [StateBackendSpec(name="redis", summary="records on a Redis server", target=target, settings=_SETTINGS)]


@hookimpl
def pynenc_backends() -> list[BackendSpec]:
    """Offer both under one URL."""
    return [
        BackendSpec(
            name="redis",
            summary="everything on a Redis or Valkey server",
            schemes=_SCHEMES,
            broker="redis",
            state_backend="redis",
            settings=_SETTINGS,
        ),
    ]


@hookimpl
def pynenc_builder_methods() -> list[BuilderMethodSpec]:
    """Offer `PynencBuilder().redis("redis://localhost")`."""
    summary, target = "keep everything on a Redis or Valkey server", "pynenc_backend_redis.building:redis"
    return [BuilderMethodSpec(name="redis", summary=summary, kind="backend", target=target)]


@hookimpl
def pynenc_dispatcher(broker: object, state_backend: object) -> object | None:
    """Join our broker and our state backend, where they are on one server."""
    if "pynenc_backend_redis.state_backend" not in sys.modules:  # nobody made one of ours, and importing it costs
        return None
    from pynenc_backend_redis.broker import RedisBroker
    from pynenc_backend_redis.dispatcher import RedisDispatcher
    from pynenc_backend_redis.state_backend import RedisStateBackend

    if isinstance(broker, RedisBroker) and isinstance(state_backend, RedisStateBackend) and broker.shares(state_backend.link):
        return RedisDispatcher(state_backend)
    return None


@hookimpl
def pynenc_healthcheck(app: object) -> Iterable[object] | None:
    """Say what the settings of this app's server put at risk."""
    if "pynenc_backend_redis.health" not in sys.modules:  # as above: nobody uses it
        return None
    from pynenc_backend_redis.health import report

    return report(str(getattr(app, "app_id", "")))
