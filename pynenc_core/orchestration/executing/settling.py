"""What follows when a job's own code has ended: its outcome goes to the store, and its slot to the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.model import Change, InvocationRecord
from pynenc_core.orchestration.current import Job
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.executing.batching import Chain
from pynenc_core.orchestration.executing.claiming import Claiming
from pynenc_core.orchestration.executing.courier import Courier, Delivery
from pynenc_core.orchestration.executing.holdings import Holdings
from pynenc_core.orchestration.executing.slots import Slots
from pynenc_core.status import FINAL


@attrs.frozen
class End:
    """A job whose code has ended, and the change that says so; None where it is handed back, or somebody else's by now."""

    job: Job
    outcome: Change | None

    @property
    def written(self) -> Change | None:
        """What is still to be written."""
        return None if self.job.abandoned else self.outcome


@attrs.define(eq=False)
class _Leaving:
    """One end while it is settled."""

    job: Job
    outcome: Change | None
    place: int
    """Where its outcome is among what is written; -1 where there is none."""
    kept: Sequence[Change]
    ahead: Sequence[Job]
    awaited: bool
    """A paused job here goes on when this one is final: its slot is not for new work."""

    @property
    def takes_new(self) -> bool:
        return self.job.has_slot and not self.ahead and not self.awaited


class Settling:
    """The chains of one executor: what each slot has on hand, and what runs on it next."""

    def __init__(self, engine: Engine, slots: Slots, holdings: Holdings, claiming: Claiming, courier: Courier) -> None:
        self._engine = engine
        self._slots = slots
        self._holdings = holdings
        self._claiming = claiming
        self._courier = courier
        self._chains: set[Chain] = set()

    def load(self, jobs: Sequence[Job], chain: Chain | None = None) -> Job:
        """Put jobs that were claimed together on one slot, a new one unless its chain is given; return the first, to be run now."""
        chain = chain or Chain(self._engine.clock)
        self._chains.add(chain)
        first = chain.load(jobs)
        if len(jobs) > 1:
            self._claiming.note_load()
        return first

    def loaded(self) -> bool:
        """Return whether anything waits on a slot."""
        return any(chain.loaded for chain in list(self._chains))

    def after(self, ends: Sequence[End]) -> list[Job]:
        """Write what is not kept for later, all in one call; return what runs next, each on the slot of one that ended."""
        following: list[Job] = []
        leaving: list[End] = []
        for end in ends:
            outcome = end.written
            behind = end.job.chain.keep(outcome) if outcome is not None else None
            if behind is None:
                leaving.append(end)
            else:
                self._holdings.keep(end.job)
                following.append(behind)
        return [*following, *self._settle(leaving)] if leaving else following

    def _settle(self, ends: Sequence[End]) -> list[Job]:
        changes: list[Change] = []
        leaving = [self._leave(end, changes) for end in ends]
        want = sum(self._claiming.want_for_one() for each in leaving if each.takes_new)
        claimed: Sequence[InvocationRecord] = ()
        try:
            delivery = self._courier.exchange(changes, want=want) if changes or want else Delivery((), ())
            claimed = delivery.claimed
            for each in leaving:
                final = each.outcome is not None and each.outcome.to in FINAL
                if each.awaited and final and delivery.refused[each.place] is None:
                    self._slots.promise(each.job.invocation_id)
            late = [refusal.invocation_id for refusal in delivery.refused if refusal is not None]
            if late:
                self._engine.logger.info("outcomes came too late, somebody else owns these by now: %s", ", ".join(late))
        except BackendUnavailableError as error:
            self._engine.logger.warning("the outcomes of these invocations are lost to recovery: %s: %s", _names(ends), error)
        except Exception:
            self._engine.logger.exception("the outcomes of these invocations could not be written; they are handed back: %s", _names(ends))
            self._courier.in_doubt = True
        for each in leaving:
            self._holdings.drop(each.job.invocation_id, each.job.owner.claim)
            self._holdings.settled(each.kept)
        return self._pass_slots(leaving, self._claiming.take_in(claimed))

    def _leave(self, end: End, changes: list[Change]) -> _Leaving:
        """Add to `changes` what is written of this one."""
        kept, ahead = end.job.chain.unload()
        changes += kept
        outcome, place = end.written, -1
        if outcome is not None:
            place = len(changes)
            changes.append(outcome)
        return _Leaving(end.job, outcome, place, kept, ahead, self._slots.awaited_alone(end.job.invocation_id))

    def _pass_slots(self, leaving: Sequence[_Leaving], new: Sequence[Job]) -> list[Job]:
        takers = sum(each.takes_new for each in leaving)
        following: list[Job] = []
        free = turn = 0
        for each in leaving:
            behind = each.ahead
            if each.takes_new:
                behind = new[turn::takers]
                turn += 1
            if behind:
                following.append(self.load(behind, each.job.chain))
                continue
            self._chains.discard(each.job.chain)
            free += each.job.has_slot
        if free:
            self._slots.release(free)
        return following

    def pass_on(self, job: Job, claimed: Sequence[InvocationRecord], ahead: Sequence[Job], run: Callable[[Sequence[Job]], None]) -> None:
        """Let others run on the slot of a job that waits: what stood behind it, or what was claimed as it paused."""
        following = [*ahead, *self._claiming.take_in(claimed)]
        self._chains.discard(job.chain)
        if following:
            run([self.load(following)])
        else:
            self._slots.release()

    def relieve(self) -> bool:
        """Take off the slots what has waited there too long behind a slow invocation; return whether there was any."""
        overdue = [chain for chain in list(self._chains) if chain.overdue]
        changes: list[Change] = []
        for chain in overdue:
            kept, ahead = chain.unload()
            changes += [*kept, *(self._holdings.not_begun(job) for job in ahead)]
        if changes:
            try:
                self._courier.exchange(changes)
            finally:
                self._holdings.settled(changes)
        return bool(changes)

    def unload(self) -> list[Change]:
        """Return the outcomes that were kept for later; what was not begun is a job of `Holdings`."""
        return [change for chain in list(self._chains) for change in chain.unload()[0]]


def _names(ends: Sequence[End]) -> str:
    return ", ".join(end.job.invocation_id for end in ends)
