"""Workflows under their public names, over the storage verbs."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from pynenc_core.model import Query, WorkflowIdentity
from pynenc_core.ports.lookups import Recently, each, values
from pynenc_core.ports.runtime import StoreView
from pynenc_core.ports.storage import CoordinationStorage, RecordStorage

_DATA, _TYPE, _RUN, _SUB = "workflow_data", "workflow_type", "workflow_run", "workflow_sub_invocation"
_LIFE = 365 * 24 * 3600.0  # seconds since it was last stored: no workflow sleeps for longer


class WorkflowRecords(RecordStorage, CoordinationStorage):
    """Workflows: their data, and which there are. What is stored here is kept for a year after it was last stored.

    Every invocation's record names its workflow, so most listings come from the records; what was stored explicitly is
    listed too, also after the records were purged.
    """

    app: StoreView
    recently: Recently

    def set_workflow_data(self, identity: WorkflowIdentity, key: str, value: object) -> None:
        """Keep a value of one workflow; the last write wins. It must come back equal without an annotation.

        Raises ArgumentEncodingError, PayloadTooLargeError above 1 MiB.
        """
        self.put_value(_DATA, _under(identity, key), self.app.values.encode_value(_name(key), value), ttl=_LIFE)

    def get_workflow_data(self, identity: WorkflowIdentity, key: str, default: object = None) -> Any:
        """Return the value, which may be None, or `default` where none was stored. Raises PayloadDecodingError."""
        place = _under(identity, key)
        found = self.get_values(_DATA, [place]).get(place)
        return default if found is None else self.app.values.decode_value(_name(key), found)

    def store_workflow_type(self, workflow_type: str) -> None:
        """Note that there are workflows of a type; within a minute, the same one is not noted again by this process."""
        if (_TYPE, workflow_type) not in self.recently:
            self.put_value(_TYPE, workflow_type, b"", ttl=_LIFE)
            self.recently.add((_TYPE, workflow_type))

    def store_workflow_run(self, identity: WorkflowIdentity) -> None:
        """Note a workflow and its type."""
        self.store_workflow_type(identity.workflow_type)
        self.put_value(_RUN, f"{identity.workflow_type}/{identity.workflow_id}", msgspec.json.encode(identity), ttl=_LIFE)

    def get_all_workflow_types(self) -> Iterator[str]:
        """Yield the types there are workflows of, which are the ids of their root tasks, in order."""
        return (key for key, _ in values(self, _TYPE))

    def get_all_workflow_runs(self) -> Iterator[WorkflowIdentity]:
        """Yield every workflow, by type and id."""
        return (run for workflow_type in self.get_all_workflow_types() for run in self.get_workflow_runs(workflow_type))

    def get_workflow_runs(self, workflow_type: str) -> Iterator[WorkflowIdentity]:
        """Yield the workflows of a type, by id."""
        roots = Query(task_id=workflow_type, workflow_type=workflow_type)
        found = (one.invocation.workflow for one in each(self, roots) if one.invocation_id == one.invocation.workflow.workflow_id)
        noted = (msgspec.json.decode(value, type=WorkflowIdentity) for _, value in values(self, _RUN, f"{workflow_type}/"))
        ids: set[str] = set()
        for run in heapq.merge(found, noted, key=lambda identity: identity.workflow_id):
            if run.workflow_id not in ids:
                ids = {run.workflow_id}  # equal ones come one after the other
                yield run

    def store_workflow_sub_invocation(self, workflow_id: str, invocation_id: str) -> None:
        """Note that an invocation belongs to a workflow."""
        self.put_value(_SUB, f"{workflow_id}/{invocation_id}", b"", ttl=_LIFE)

    def get_workflow_sub_invocations(self, workflow_id: str) -> Iterator[str]:
        """Yield the ids of a workflow's invocations without its root, in order.

        A child workflow's are its own: they are those of its id.
        """
        found = (one.invocation_id for one in each(self, Query(workflow_id=workflow_id)))
        noted = (key.removeprefix(f"{workflow_id}/") for key, _ in values(self, _SUB, f"{workflow_id}/"))
        return _unique(one for one in heapq.merge(found, noted) if one != workflow_id)

    def get_invocation_ids_by_workflow(self, workflow_id: str | None = None, workflow_type_key: str | None = None) -> Iterator[str]:
        """Yield the ids of all stored invocations of a workflow, of a type of workflow, of both, or of any, in order."""
        query = Query(workflow_id=workflow_id or "", workflow_type=workflow_type_key or "")
        return (one.invocation_id for one in each(self, query))


def _unique(ordered: Iterable[str]) -> Iterator[str]:
    last = ""
    for one in ordered:
        if one != last:
            yield one
        last = one


def _under(identity: WorkflowIdentity, key: str) -> str:
    return f"{identity.workflow_id}/{key}"


def _name(key: str) -> str:
    return f"workflow data {key}"
