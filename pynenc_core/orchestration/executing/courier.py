"""Carries outcomes to the store and brings work back, one call at a time.

What becomes ready while a call is in flight travels together in the next one (group commit): nothing waits for it, and
with one slot there is nothing to wait for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import attrs

from pynenc_core.errors.backends import BackendUnavailableError
from pynenc_core.model import Ask, Change, ClaimReply, InvocationRecord, Refusal, SettleReply
from pynenc_core.orchestration.engine import Engine
from pynenc_core.ports.absence import Absence
from pynenc_core.ports.transitions import was_written_before

_BACKOFF_START, _BACKOFF_MOST = 0.05, 1.0  # seconds between attempts while the store is away


@attrs.define(eq=False)
class _Parcel:
    changes: tuple[Change, ...]
    want: int
    refused: tuple[Refusal | None, ...] = ()
    claimed: tuple[InvocationRecord, ...] = ()
    error: BaseException | None = None
    done: bool = False


@attrs.frozen
class Delivery:
    """What came of one exchange."""

    refused: tuple[Refusal | None, ...]
    claimed: tuple[InvocationRecord, ...]


class Courier:
    """One connection to the dispatcher for all slots of a process."""

    def __init__(self, engine: Engine, ask: Callable[[int], Ask], news: Callable[[ClaimReply, int], None]) -> None:
        """`ask` says how to claim so many; `news` is told of each reply and of how much was asked, before anyone goes on."""
        self._engine = engine
        self._ask = ask
        self._news = news
        self._turn = threading.Condition()
        self._waiting: list[_Parcel] = []
        self._busy = False
        self._given_up = threading.Event()
        store = f"the store of app {engine.app_id}"
        self._absence = Absence(engine.logger, f"results wait for {store}", f"results reach {store} again")
        self.in_doubt = False
        """A call's reply was lost, so something may be owned here that nobody here knows of."""

    def exchange(self, changes: Sequence[Change] = (), *, want: int = 0) -> Delivery:
        """Settle changes and claim up to `want`; return when that is done.

        While the store is away it tries again, until `give_up`; then it raises BackendUnavailableError.
        """
        parcel = _Parcel(tuple(changes), want)
        with self._turn:
            self._waiting.append(parcel)
            while self._busy and not parcel.done:
                self._turn.wait()
            load: list[_Parcel] = []
            if not parcel.done:
                self._busy = True
                load, self._waiting = self._waiting, []
        if load:
            self._carry(load)
        if parcel.error is not None:
            raise parcel.error
        return Delivery(parcel.refused, parcel.claimed)

    @contextmanager
    def nothing_in_flight(self) -> Generator[None, None, None]:
        """Hold every exchange back for a moment: what the store says then is what everybody here knows."""
        with self._turn:
            while self._busy:
                self._turn.wait()
            self._busy = True
        try:
            yield
        finally:
            with self._turn:
                self._busy = False
                self._turn.notify_all()

    @property
    def given_up(self) -> bool:
        """Whether it tries nothing again any more."""
        return self._given_up.is_set()

    def give_up(self) -> None:
        """Stop trying again: the process ends, and others will recover what it owned."""
        self._given_up.set()

    def _carry(self, load: list[_Parcel]) -> None:
        try:
            reply = self._call(load)
            self._news(reply.claim, sum(parcel.want for parcel in load))
            _distribute(load, reply)
        except BaseException as error:  # noqa: BLE001 - each sender gets it, this thread as well
            self.in_doubt = True
            for parcel in load:
                parcel.error = error
        finally:
            with self._turn:
                for parcel in load:
                    parcel.done = True
                self._busy = False
                self._turn.notify_all()

    def _call(self, load: list[_Parcel]) -> SettleReply:
        changes = [change for parcel in load for change in parcel.changes]
        want = sum(parcel.want for parcel in load)
        backoff, tried = _BACKOFF_START, False
        while True:
            try:
                reply = self._engine.dispatcher.settle(changes, ask=self._ask(want))
            except BackendUnavailableError as error:
                self._absence.note(error)
                tried = self.in_doubt = True
                if self._given_up.wait(backoff):
                    raise
                backoff = min(backoff * 2, _BACKOFF_MOST)
                continue
            self._absence.over()
            if tried:
                reply = _forgive(changes, reply)
            written = [change for change, refusal in zip(changes, reply.refused, strict=True) if refusal is None]
            self._engine.hooks.changed(written)
            return reply


def _forgive(changes: Sequence[Change], reply: SettleReply) -> SettleReply:
    kept = tuple(
        None if refusal is not None and was_written_before(change, refusal) else refusal
        for change, refusal in zip(changes, reply.refused, strict=True)
    )
    return attrs.evolve(reply, refused=kept)


def _distribute(load: list[_Parcel], reply: SettleReply) -> None:
    refused, claimed = list(reply.refused), list(reply.claim.claimed)
    for parcel in load:
        parcel.refused = tuple(refused[: len(parcel.changes)])
        del refused[: len(parcel.changes)]
        parcel.claimed = tuple(claimed[: parcel.want])
        del claimed[: parcel.want]
