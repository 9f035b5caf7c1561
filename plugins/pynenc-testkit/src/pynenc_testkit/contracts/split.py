"""The contract of a broker and a state backend that know nothing of each other, joined by the core's split dispatcher."""

from __future__ import annotations

from pynenc_core.orchestration.split import SplitDispatcher
from pynenc_core.status import Status
from pynenc_testkit.contracts.awaiting import AwaitRules
from pynenc_testkit.contracts.races import DispatcherRaceRules
from pynenc_testkit.contracts.settling import LimitRules, SettleRules
from pynenc_testkit.contracts.submitting import ClaimRules, SubmitRules
from pynenc_testkit.samples import change, claim, ids, new, running, submit
from pynenc_testkit.stores import PATIENCE, Store


def apart(store: Store) -> Store:
    """Return a store whose queue and records are used as if each were in a place of its own."""
    return Store(store.app, store.broker, store.state, SplitDispatcher(store.broker, store.state))


class SplitContract(SubmitRules, ClaimRules, SettleRules, LimitRules, AwaitRules, DispatcherRaceRules):
    """All of the dispatcher's contract but being whole when it is cut short: there `republish` has to help.

    Give `chokes`, a fixture `raw`, and an `open_store` whose result has a `SplitDispatcher`, by `apart` for instance.
    """

    def test_a_pause_wakes_who_takes_awaited_work_only(self, store: Store, other: Store) -> None:
        submit(store, new("a", rank=1.0), new("b", rank=2.0))
        parent = running(store)
        assert ids(claim(store, limit=2, awaited_only=True)) == []
        other.dispatcher.settle([change(parent, Status.PAUSED, awaits=("b",), boost=0.5)])
        assert store.dispatcher.await_work(("default",), PATIENCE)
        assert ids(claim(store, limit=2, awaited_only=True)) == ["b"]
