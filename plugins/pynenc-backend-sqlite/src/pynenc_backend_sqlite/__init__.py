"""Queue and records in one SQLite file: `sqlite:///jobs.db`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from pynenc_core.plugins import BackendSpec, BrokerSpec, BuilderMethodSpec, StateBackendSpec, hookimpl

_SETTINGS = "pynenc_backend_sqlite.settings:SQLiteSettings"


@hookimpl
def pynenc_brokers() -> list[BrokerSpec]:
    """Offer the broker."""
    return [
        BrokerSpec(
            name="sqlite",
            summary="queues in one SQLite file",
            target="pynenc_backend_sqlite.broker:SQLiteBroker",
            settings=_SETTINGS,
        ),
    ]


@hookimpl
def pynenc_state_backends() -> list[StateBackendSpec]:
    """Offer the state backend."""
    return [
        StateBackendSpec(
            name="sqlite",
            summary="records in one SQLite file",
            target="pynenc_backend_sqlite.state_backend:SQLiteStateBackend",
            settings=_SETTINGS,
        ),
    ]


@hookimpl
def pynenc_backends() -> list[BackendSpec]:
    """Offer both under one URL."""
    return [
        BackendSpec(
            name="sqlite",
            summary="everything in one SQLite file",
            schemes=("sqlite",),
            broker="sqlite",
            state_backend="sqlite",
            default_rank=10,
            default_url="sqlite://",
            settings=_SETTINGS,
        ),
    ]


@hookimpl
def pynenc_builder_methods() -> list[BuilderMethodSpec]:
    """Offer `PynencBuilder().sqlite("jobs.db")`."""
    return [
        BuilderMethodSpec(
            name="sqlite",
            summary="keep everything in one SQLite file",
            kind="backend",
            target="pynenc_backend_sqlite.building:sqlite",
        ),
    ]


@hookimpl
def pynenc_dispatcher(broker: object, state_backend: object) -> object | None:
    """Join our broker and our state backend."""
    if "pynenc_backend_sqlite.state_backend" not in sys.modules:  # nobody made one of ours, and importing it costs
        return None
    from pynenc_backend_sqlite.broker import SQLiteBroker
    from pynenc_backend_sqlite.dispatcher import SQLiteDispatcher
    from pynenc_backend_sqlite.state_backend import SQLiteStateBackend

    if isinstance(broker, SQLiteBroker) and isinstance(state_backend, SQLiteStateBackend) and broker.shares(state_backend.database):
        return SQLiteDispatcher(state_backend)
    return None


@hookimpl
def pynenc_healthcheck(app: object) -> Iterable[object] | None:
    """Say how durable this app's file is, and how much space it has."""
    if "pynenc_backend_sqlite.database" not in sys.modules:  # as above: nobody uses it
        return None
    from pynenc_backend_sqlite.health import report

    return report(str(getattr(app, "app_id", "")))
