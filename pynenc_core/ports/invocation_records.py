"""Invocations under their public names, over the storage verbs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import Any

import attrs

from pynenc_core.identifiers import first_id_at, new_id
from pynenc_core.model import Batch, CallDTO, InvocationDTO, InvocationRecord, NewInvocation, Query
from pynenc_core.ports.lookups import batches, each, record_of, seconds_of
from pynenc_core.ports.runtime import StoreView
from pynenc_core.ports.storage import RecordStorage
from pynenc_core.status import Status

_MOST_IN_A_BATCH = 500


class StoredInvocation:
    """An invocation as it was when it was looked up; its arguments are decoded when somebody looks at them."""

    def __init__(self, record: InvocationRecord, decode: Callable[[CallDTO], Mapping[str, Any]]) -> None:
        self.record = record
        self._decode = decode

    @property
    def invocation_id(self) -> str:
        """The id of the invocation."""
        return self.record.invocation_id

    @property
    def invocation(self) -> InvocationDTO:
        """What was fixed when it was registered."""
        return self.record.invocation

    @property
    def call(self) -> CallDTO:
        """Its task with the encoded arguments."""
        return self.record.call

    @property
    def status(self) -> Status:
        """Where it was in its life."""
        return self.record.state.status

    @cached_property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments by parameter, as the task's annotations decode them.

        Raises UnknownTaskError where this process does not know the task, PayloadDecodingError, BlobMissingError.
        """
        return self._decode(self.record.call)

    def __repr__(self) -> str:
        return f"<StoredInvocation {self.invocation_id} {self.status}>"


class InvocationRecords(RecordStorage):
    """Looks invocations up, and stores such as were registered elsewhere."""

    app: StoreView

    def upsert_invocations(self, invocations: Iterable[tuple[InvocationDTO, CallDTO]]) -> tuple[str, ...]:
        """Store invocations with their calls, those that are not stored yet, as REGISTERED; return the ids that stand for them.

        What a record says of its invocation never changes, so one that is stored already stays as it is. Each batch of
        500 is all or nothing. An id differs from the one given where an invocation with the same `unique_key` is under
        way. Calls are routed by the orchestrator, which also queues them; what is stored here a sweep will queue.
        """
        pending = iter(invocations)
        ids: list[str] = []
        while pairs := tuple(islice(pending, _MOST_IN_A_BATCH)):
            ids += self._upsert_invocations(pairs)
        return tuple(ids)

    def _upsert_invocations(self, pairs: Sequence[tuple[InvocationDTO, CallDTO]]) -> tuple[str, ...]:
        """Do as `upsert_invocations` in one batch, of at most 500."""
        batch_id = new_id()
        new = tuple(NewInvocation(invocation=attrs.evolve(dto, batch_id=batch_id), call=call) for dto, call in pairs)
        return self.add_batch(Batch(batch_id=batch_id, invocations=new)).ids

    def get_invocation(self, invocation_id: str) -> StoredInvocation:
        """Return an invocation as it is stored now. Raises InvocationNotFoundError."""
        return self._stored(record_of(self, invocation_id, self.app.app_id))

    def _get_invocation(self, invocation_id: str) -> tuple[InvocationDTO, CallDTO] | None:
        """Return the pair that `upsert_invocations` takes, or None when nothing is stored under this id."""
        found = self.get([invocation_id]).get(invocation_id)
        return None if found is None else (found.invocation, found.call)

    def get_child_invocations(self, invocation_id: str) -> Iterator[StoredInvocation]:
        """Yield the invocations that were registered inside this one, by id."""
        return (self._stored(record) for record in each(self, Query(parent_id=invocation_id)))

    def iter_invocations_in_timerange(
        self, start: datetime | float, end: datetime | float, batch_size: int = 100
    ) -> Iterator[tuple[StoredInvocation, ...]]:
        """Yield the invocations created with `start <= time < end`, in order, in batches of at most `batch_size`.

        Times are datetimes (naive ones in UTC) or seconds since 1970. The time is the one in the id: to the millisecond,
        by the clock of the process that called the task.
        """
        # The id without its last character sorts just below the id, and above all ids that are smaller.
        after, before = first_id_at(seconds_of(start))[:-1], first_id_at(seconds_of(end))
        for page in batches(self, Query(), after=after, before=before, size=batch_size):
            yield tuple([self._stored(record) for record in page])

    def _stored(self, record: InvocationRecord) -> StoredInvocation:
        return StoredInvocation(record, self._decoded)

    def _decoded(self, call: CallDTO) -> Mapping[str, Any]:
        return self.app.values.decode_arguments(call)
