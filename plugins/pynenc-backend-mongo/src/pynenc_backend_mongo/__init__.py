"""Queue and records in a MongoDB database: `mongodb://localhost/jobs`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from pynenc_core.plugins import BackendSpec, BrokerSpec, BuilderMethodSpec, StateBackendSpec, hookimpl

_SETTINGS = "pynenc_backend_mongo.settings:MongoSettings"


@hookimpl
def pynenc_brokers() -> list[BrokerSpec]:
    """Offer the broker."""
    return [
        BrokerSpec(
            name="mongo",
            summary="queues in a MongoDB database",
            target="pynenc_backend_mongo.broker:MongoBroker",
            settings=_SETTINGS,
        ),
    ]


@hookimpl
def pynenc_state_backends() -> list[StateBackendSpec]:
    """Offer the state backend."""
    return [
        StateBackendSpec(
            name="mongo",
            summary="records in a MongoDB database",
            target="pynenc_backend_mongo.state_backend:MongoStateBackend",
            settings=_SETTINGS,
        ),
    ]


@hookimpl
def pynenc_backends() -> list[BackendSpec]:
    """Offer both under one URL."""
    return [
        BackendSpec(
            name="mongo",
            summary="everything in a MongoDB database",
            schemes=("mongodb", "mongodb+srv"),
            broker="mongo",
            state_backend="mongo",
            default_rank=-1,
            settings=_SETTINGS,
        ),
    ]


@hookimpl
def pynenc_builder_methods() -> list[BuilderMethodSpec]:
    """Offer `PynencBuilder().mongo("mongodb://localhost/jobs")`."""
    return [
        BuilderMethodSpec(
            name="mongo",
            summary="keep everything in a MongoDB database",
            kind="backend",
            target="pynenc_backend_mongo.building:mongo",
        ),
    ]


@hookimpl
def pynenc_dispatcher(broker: object, state_backend: object) -> object | None:
    """Join our broker and our state backend."""
    if "pynenc_backend_mongo.state_backend" not in sys.modules:  # nobody made one of ours, and importing it costs
        return None
    from pynenc_backend_mongo.broker import MongoBroker
    from pynenc_backend_mongo.dispatcher import MongoDispatcher
    from pynenc_backend_mongo.state_backend import MongoStateBackend

    if isinstance(broker, MongoBroker) and isinstance(state_backend, MongoStateBackend) and broker.shares(state_backend.database):
        return MongoDispatcher(state_backend)
    return None


@hookimpl
def pynenc_healthcheck(app: object) -> Iterable[object] | None:
    """Say what this app's server risks, and how waiting works there."""
    if "pynenc_backend_mongo.database" not in sys.modules:  # as above: nobody uses it
        return None
    from pynenc_backend_mongo.health import report

    return report(str(getattr(app, "app_id", "")))
