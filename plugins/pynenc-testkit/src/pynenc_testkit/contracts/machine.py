"""Hypothesis drives a real store and a model side by side, and looks for the shortest way in which they differ."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from pynenc_core.model import Change, Expect, Limit, Query
from pynenc_core.status import FINAL, OWNED, Status
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.contracts.interruptions import Scissors, run_cut
from pynenc_testkit.contracts.model import ModelInvocation, ModelStore
from pynenc_testkit.contracts.subject import StorageSubject, fresh_place
from pynenc_testkit.interleaver import choked
from pynenc_testkit.samples import claim, ids, new, statuses, submit
from pynenc_testkit.stores import KitApp, Store

MOST = 2
RUNNERS = st.sampled_from(["r1", "r2"])
QUEUES = st.sampled_from([("a",), ("b",), ("a", "b"), ("b", "a")])
ENDS = {
    Status.PENDING: [(Status.REROUTED,), (Status.PENDING_RECOVERY, Status.REROUTED), (Status.CANCELLED,)],
    Status.RUNNING: [
        (Status.SUCCESS,),
        (Status.FAILED,),
        (Status.RETRY,),
        (Status.SCHEDULED,),
        (Status.KILLED, Status.REROUTED),
        (Status.RUNNING_RECOVERY, Status.REROUTED),
        (Status.RUNNING_RECOVERY, Status.QUARANTINED),
    ],
    Status.PAUSED: [(Status.FAILED,), (Status.RUNNING_RECOVERY, Status.REROUTED)],
}
UNOWNED = (Status.REGISTERED, Status.SCHEDULED, Status.RETRY, Status.REROUTED, Status.CONCURRENCY_CONTROLLED)


class StorageMachine(RuleBasedStateMachine):
    """One store, one model, and every move that an invocation can make."""

    open_store: ClassVar[Callable[[KitApp], Store]]
    url: ClassVar[str]
    chokes: ClassVar[tuple[str, ...]]

    @initialize()
    def begin(self) -> None:
        """Open a fresh store twice, as two processes."""
        self.cleanup = ExitStack()
        app = KitApp("kit", self.cleanup.enter_context(fresh_place(self.url)), ManualClock(ticking=True))
        self.stores = [type(self).open_store(app) for _ in range(2)]
        for store in self.stores:
            store.state.prepare()
        self.model = ModelStore(MOST)
        self.made = self.looks = 0
        self.stale: list[tuple[str, Expect]] = []

    def teardown(self) -> None:
        """Compare everything once more, and close the store."""
        try:
            if getattr(self, "stores", ()):
                for look in (self._counts, self._histories, self._holders):
                    look(self.stores[0])
        finally:
            self._close()

    def _close(self) -> None:
        for store in getattr(self, "stores", ()):
            store.close()
        if hasattr(self, "cleanup"):
            self.cleanup.close()

    def _held(self, data: st.DataObject, *of: Status) -> ModelInvocation:
        return self.model.invocations[data.draw(st.sampled_from(self.model.of(*of)), label="invocation")]

    def _settle(self, held: ModelInvocation, through: tuple[Status, ...], **fields: Any) -> None:
        expect = Expect(held.status, held.owner, held.claim)
        if held.status in OWNED:
            self.stale.append((held.name, expect))
        change = Change(invocation_id=held.name, expect=expect, through=through, by=held.owner or "user", **fields)
        assert self.stores[0].dispatcher.settle([change]).refused == (None,)
        held.attempts += change.attempts
        held.crashes += change.crashes
        held.due = change.due
        self.model.release(held.name, *through)

    @rule(
        queue=st.sampled_from("ab"),
        rank=st.integers(-9, 9),
        key=st.sampled_from(["", "", "k", "l"]),
        unique=st.sampled_from(["", "", "u"]),
        delay=st.sampled_from([None, None, 50.0]),
        which=st.sampled_from([0, 1]),
        cut=st.integers(0, 6),
    )
    def submit(self, queue: str, rank: int, key: str, unique: str, delay: float | None, which: int, cut: int) -> None:
        """Submit one; with a `cut` its driver fails there first, and the submit is repeated."""
        self.made += 1
        name, store = f"i{self.made:03d}", self.stores[which]
        due = None if delay is None else store.state.now() + delay
        # Ranks are made distinct: what follows from equal ones is nobody's promise.
        placed = rank + self.made / 1000
        limits = (Limit(key, MOST),) if key else ()
        given = new(name, queue=queue, rank=placed, limits=limits, unique_key=unique, due=due)
        if cut:
            with choked(self.chokes, Scissors(cut).step):
                run_cut(lambda: submit(store, given))
        submitted = submit(self.stores[1 - which], given)
        stands = self.model.submit(ModelInvocation(name=name, queue=queue, rank=placed, key=key, unique=unique, due=due))
        assert submitted.ids == (stands,)

    @rule(runner=RUNNERS, queues=QUEUES, limit=st.integers(1, 4), start=st.integers(0, 4), which=st.sampled_from([0, 1]))
    def claim(self, runner: str, queues: tuple[str, ...], limit: int, start: int, which: int) -> None:
        """Claim some, starting some of them."""
        store = self.stores[which]
        got = claim(store, runner, limit, start=start, queues=queues)
        assert ids(got) == self.model.claim(runner, queues, limit, start, store.state.now())

    @rule(seconds=st.sampled_from([10.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        """Let things become due."""
        self.stores[0].lapse(seconds)

    @precondition(lambda self: self.model.of(*OWNED))
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """Let an owned one end, be tried again, be handed back or be recovered."""
        held = self._held(data, *OWNED)
        through = data.draw(st.sampled_from(ENDS[held.status]), label="through")
        due = self.stores[0].state.now() + 50.0 if through[-1] is Status.SCHEDULED else None
        crashed = Status.RUNNING_RECOVERY in through
        self._settle(held, through, due=due, attempts=int(through[-1] is Status.RETRY), crashes=int(crashed))

    @precondition(lambda self: self.model.of(Status.PENDING, Status.RUNNING, Status.PAUSED))
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        """Start, pause or resume an owned one."""
        held = self._held(data, *OWNED)
        self._settle(held, ((Status.PAUSED if held.status is Status.RUNNING else Status.RUNNING),))
        self.stale.pop()  # its owner still holds it, and only the status is another

    @precondition(lambda self: self.model.of(*UNOWNED))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Cancel one that nobody holds."""
        self._settle(self._held(data, *UNOWNED), (Status.CANCELLED,))

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), to=st.sampled_from([Status.SUCCESS, Status.FAILED, Status.RETRY]))
    def a_stale_owner_settles(self, data: st.DataObject, to: Status) -> None:
        """Write by who has lost it: refused, whatever became of it."""
        name, expect = data.draw(st.sampled_from(self.stale), label="stale owner")
        change = Change(invocation_id=name, expect=expect, through=(to,), by=expect.runner_id)
        refused = self.stores[1].dispatcher.settle([change]).refused[0]
        known = self.model.invocations.get(name)
        assert refused is not None
        assert (refused.status, refused.claim) == ((known.status, known.claim) if known else (None, 0))

    @precondition(lambda self: self.model.of(*FINAL))
    @rule()
    def sweep(self) -> None:
        """Remove everything that is final."""
        self.stores[0].lapse(1)  # what a process takes for a server's clock may be behind it
        gone = self.model.of(*FINAL)
        assert self.stores[0].state.sweep(self.stores[0].state.now()).invocations == len(gone)
        for name in gone:
            del self.model.invocations[name]

    @precondition(lambda self: self.made > 5)
    @rule()
    def purge(self) -> None:
        """Remove everything."""
        self.stores[1].state.purge()
        self.model.invocations.clear()

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        """Compare every record, and in turn what is counted, told of the past, and held."""
        if not hasattr(self, "stores"):
            return
        self.looks += 1
        store = self.stores[self.looks % 2]
        known = self.model.invocations
        got = {each.invocation_id: each for each in store.state.find(Query(), limit=1000)}
        seen = {
            name: (each.state.status, each.state.runner_id, each.state.claim, each.state.attempts, each.state.crashes)
            for name, each in got.items()
        }
        assert seen == {name: (each.status, each.owner, each.claim, each.attempts, each.crashes) for name, each in known.items()}
        looks = (self._counts, self._histories, self._holders)
        looks[self.looks % 3](store)

    def _counts(self, store: Store) -> None:
        assert store.state.count(Query()) == self.model.counts()

    def _histories(self, store: Store) -> None:
        known = self.model.invocations
        histories = store.state.history(list(known))
        assert {name: statuses(entries) for name, entries in histories.items()} == {name: each.path for name, each in known.items()}

    def _holders(self, store: Store) -> None:
        held = store.state.holders(["k", "l"])
        assert {key: held.get(key, 0) for key in "kl"} == {key: self.model.holders(key) for key in "kl"}


class StateMachineContract(StorageSubject):
    """Any sequence of moves leaves the store as the model says; a failure prints the shortest sequence found."""

    examples: ClassVar[int] = 60
    steps: ClassVar[int] = 30

    def test_it_behaves_as_the_model(self) -> None:
        namespace = {"open_store": staticmethod(self.open_store), "url": self.url, "chokes": self.chokes}
        machine = type("Machine", (StorageMachine,), namespace)
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=self.examples,
                stateful_step_count=self.steps,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
            ),
        )
