"""The state backend: all verbs over one table."""

from __future__ import annotations

from typing import ClassVar
from weakref import WeakValueDictionary

from pynenc_backend_memory.coordination import MemoryCoordination
from pynenc_backend_memory.records import MemoryRecords
from pynenc_backend_memory.table import MemoryTable
from pynenc_core.ports.runtime import StoreView
from pynenc_core.ports.state_backend import BaseStateBackend

_named: WeakValueDictionary[tuple[str, str], MemoryTable] = WeakValueDictionary()


class MemoryStateBackend(MemoryRecords, MemoryCoordination, BaseStateBackend):
    """Keeps an app's records as long as the app lives.

    Under `memory://` each app object has a table of its own; those opened as `memory://<name>` with one app id share one.
    """

    name: ClassVar[str] = "memory"

    def __init__(self, app: StoreView) -> None:
        super().__init__(app)
        place = app.store_url("state_backend").partition("://")[2]
        self.table = _named.setdefault((place, app.app_id), MemoryTable()) if place else MemoryTable()
