"""What a state backend subclasses: the storage verbs to implement, and the public records written once over them."""

from __future__ import annotations

from typing import ClassVar

from pynenc_core.ports.app_records import AppRecords
from pynenc_core.ports.history_records import HistoryRecords
from pynenc_core.ports.invocation_records import InvocationRecords
from pynenc_core.ports.lookups import Recently
from pynenc_core.ports.result_records import ResultRecords
from pynenc_core.ports.runtime import StoreView
from pynenc_core.ports.workflow_records import WorkflowRecords


class BaseStateBackend(ResultRecords, InvocationRecords, WorkflowRecords, HistoryRecords, AppRecords):
    """Keeps every record of one app: it is the truth. Every method may be called from any thread.

    A backend implements the abstract methods, the verbs of `ports.storage`, and none of the others: those are written
    once, over the verbs. (Three of them may be overridden, and say so: the pair that tells an exception as data, and
    `discover_app_infos`.)
    """

    name: ClassVar[str]
    """The name of the spec it is offered under."""

    def __init__(self, app: StoreView) -> None:
        self.app = app
        self.recently = Recently(app.clock)

    def wait_for_all_async_operations(self) -> None:
        """Return at once: every write has reached the store when the call that makes it returns."""

    def wait_for_invocation_async_operations(self, invocation_id: str) -> None:
        """Return at once, as `wait_for_all_async_operations` does."""
        del invocation_id
