"""What a state backend subclasses: the storage verbs to implement, and the public records written once over them."""

from __future__ import annotations

from typing import ClassVar

from pynenc_core.ports.runtime import StoreView
from pynenc_core.ports.storage import CoordinationStorage, RecordStorage


class BaseStateBackend(RecordStorage, CoordinationStorage):
    """Keeps every record of one app: it is the truth. Every method may be called from any thread."""

    name: ClassVar[str]
    """The name of the spec it is offered under."""

    def __init__(self, app: StoreView) -> None:
        self.app = app
