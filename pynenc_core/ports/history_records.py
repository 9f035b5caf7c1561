"""History under its public names, over the storage verbs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Protocol

from pynenc_core.errors.invocations import InvocationNotFoundError
from pynenc_core.model import Change, Expect, InvocationHistory, RunnerContext, StatusRecord
from pynenc_core.ports.context_records import ContextRecords
from pynenc_core.ports.lookups import seconds_of
from pynenc_core.ports.storage import RecordStorage
from pynenc_core.ports.transitions import raise_refusal


class Identified(Protocol):
    """Anything that stands for one invocation: its record, its DTO, its handle."""

    @property
    def invocation_id(self) -> str:
        """The id of the invocation."""
        ...


class HistoryRecords(RecordStorage, ContextRecords):
    """What happened to invocations, and by whom.

    A transition writes its own entry in the step that makes it. What is added here is a note: one more entry in the
    present status, with a reason, which moves nothing.
    """

    def add_history(self, invocation_id: str, status_record: StatusRecord, runner_context: RunnerContext) -> None:
        """Note `status_record.reason` in the history of an invocation, by `runner_context`, which is stored first.

        The status record must be the present one: status, and in an owned status the owner and its claim (`get_history`
        shows it as the last entry's). Raises InvocationStatusOwnershipError where it is not, and nothing is written;
        InvocationNotFoundError.
        """
        self._note([invocation_id], status_record, runner_context)

    def add_histories(self, invocations: Iterable[Identified], status_record: StatusRecord, runner_context: RunnerContext) -> None:
        """Do as `add_history` for several, in one call; raises for the first that is refused, when all others are noted."""
        self._note([one.invocation_id for one in invocations], status_record, runner_context)

    def get_history(self, invocation_id: str) -> tuple[InvocationHistory, ...]:
        """Return the entries of an invocation in the order of time: the first 20 and the last 180. Raises InvocationNotFoundError."""
        found = self.history([invocation_id]).get(invocation_id)
        if found is None:
            raise InvocationNotFoundError(invocation_id, self.app.app_id)
        return found

    def iter_history_in_timerange(
        self, start: datetime | float, end: datetime | float, batch_size: int = 100
    ) -> Iterator[tuple[InvocationHistory, ...]]:
        """Yield the entries with `start <= time < end`, by time and invocation, in batches of at most `batch_size`.

        Times are datetimes (naive ones in UTC) or seconds since 1970, by the store's clock.
        """
        after: tuple[float, str, int] | None = None
        while page := self.history_between(seconds_of(start), seconds_of(end), after=after, limit=batch_size):
            yield page
            after = page[-1].at, page[-1].invocation_id, page[-1].seq

    def _note(self, invocation_ids: list[str], status_record: StatusRecord, context: RunnerContext) -> None:
        self.store_runner_context(context)
        expect = Expect(status_record.status, status_record.runner_id, status_record.claim)
        notes = [
            Change(invocation_id=one, expect=expect, through=(), by=context.runner_id, reason=status_record.reason)
            for one in invocation_ids
        ]
        for note, refused in zip(notes, self.swap(notes).refused, strict=True):
            if refused is not None:
                raise_refusal(self.app.app_id, note, refused)
