"""Two operations at once: under every interleaving of their driver calls exactly one wins, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pynenc_core.model import Ask, Change, ClaimReply, InvocationRecord, Mark, NewInvocation, Payload, SettleReply, Submitted, Swapped
from pynenc_core.status import Status
from pynenc_testkit.contracts.subject import StorageSubject
from pynenc_testkit.interleaver import Interleaver, Outcome
from pynenc_testkit.samples import (
    batch,
    change,
    claim,
    finish,
    found,
    history,
    holders,
    ids,
    limits,
    new,
    record,
    running,
    state,
    statuses,
    submit,
)
from pynenc_testkit.stores import PATIENCE, Store

Operations = Sequence[Callable[[], object]]


def race(interleaver: Interleaver, prepare: Callable[[], Operations], judge: Callable[[Outcome], None]) -> None:
    """Try the operations under every interleaving; the judge asserts what must hold after each.

    What an operation raises is raised here; the failure names the order that led to it.
    """
    for outcome in interleaver.outcomes(prepare):
        for number, result in enumerate(outcome.results):
            if isinstance(result, BaseException):
                result.add_note(f"raised by operation {number} under the order {outcome.order}")
                raise result
        try:
            judge(outcome)
        except AssertionError as error:
            error.add_note(f"under the order {outcome.order}, with the results {outcome.results}")
            raise


def refusals(outcome: Outcome) -> list[bool]:
    """Return for each operation, a swap or settle of one change, whether it was refused."""
    found_out: list[bool] = []
    for result in outcome.results:
        answers: Any = result.refused if isinstance(result, (SettleReply, Swapped)) else result
        assert len(answers) == 1
        found_out.append(answers[0] is not None)
    return found_out


class StateRaceRules(StorageSubject):
    """Two storage verbs at once."""

    def test_of_two_swaps_one_wins(self, store: Store, other: Store, interleaver: Interleaver) -> None:
        names: list[str] = []

        def prepare() -> Operations:
            held = running(store)
            names.append(held.invocation_id)
            first = change(held, Status.SUCCESS, outcome=Payload(b"first"))
            second = change(held, Status.FAILED, outcome=Payload(b"second"), by="r2")
            return lambda: store.state.swap([first]), lambda: other.state.swap([second])

        def judge(outcome: Outcome) -> None:
            first_lost, second_lost = refusals(outcome)
            assert first_lost != second_lost, "exactly one of two swaps from one state is written"
            got = state(store, names[-1])
            winner = (Status.FAILED, Payload(b"second")) if first_lost else (Status.SUCCESS, Payload(b"first"))
            assert (got.status, got.outcome) == winner
            assert statuses(history(store, names[-1]))[3:] == [winner[0]]

        race(interleaver, prepare, judge)

    def test_of_settle_and_recovery_one_wins(self, store: Store, other: Store, interleaver: Interleaver) -> None:
        names: list[str] = []

        def prepare() -> Operations:
            held = running(store, limits=limits("k", 1000))
            names.append(held.invocation_id)
            settle = change(held, Status.SUCCESS, outcome=Payload(b"1"))
            recover = change(held, Status.RUNNING_RECOVERY, Status.REROUTED, by="sweeper", crashes=1)
            return lambda: store.dispatcher.settle([settle]), lambda: other.dispatcher.settle([recover])

        def judge(outcome: Outcome) -> None:
            settle_lost, recovery_lost = refusals(outcome)
            assert settle_lost != recovery_lost
            got = state(store, names[-1])
            expected = (Status.REROUTED, None, 1) if settle_lost else (Status.SUCCESS, Payload(b"1"), 0)
            assert (got.status, got.outcome, got.crashes) == expected
            assert holders(store, "k") == 0
            if settle_lost:
                store.state.swap([change(record(store, names[-1]), Status.CANCELLED)])

        race(interleaver, prepare, judge)

    def test_a_mark_and_a_swap_are_both_written(self, store: Store, other: Store, interleaver: Interleaver) -> None:
        names: list[str] = []

        def prepare() -> Operations:
            held = running(store)
            names.append(held.invocation_id)
            marks = [Mark(invocation_id=held.invocation_id, progress=b"half"), Mark(invocation_id=held.invocation_id, boost=1.0)]
            return lambda: store.state.swap([change(held, Status.SUCCESS)]), lambda: other.state.mark(marks)

        def judge(outcome: Outcome) -> None:
            assert isinstance(outcome.results[0], Swapped)
            assert outcome.results[0].refused == (None,)
            got = record(store, names[-1])
            assert (got.state.status, got.side.progress, got.side.boost) == (Status.SUCCESS, b"half", 1.0)

        race(interleaver, prepare, judge)

    def test_two_marks_of_different_values_are_both_written(self, store: Store, other: Store, interleaver: Interleaver) -> None:
        names: list[str] = []

        def prepare() -> Operations:
            names.append(store.state.add_batch(batch(new())).ids[0])
            progress, boost = Mark(invocation_id=names[-1], progress=b"half"), Mark(invocation_id=names[-1], boost=1.0)
            return lambda: store.state.mark([progress]), lambda: other.state.mark([boost])

        def judge(_: Outcome) -> None:
            side = record(store, names[-1]).side
            assert (side.progress, side.boost) == (b"half", 1.0)

        race(interleaver, prepare, judge)

    def test_of_two_that_acquire_one_invocation_one_gets_it(self, store: Store, other: Store, interleaver: Interleaver) -> None:
        names: list[str] = []

        def prepare() -> Operations:
            names.append(store.state.add_batch(batch(new())).ids[0])
            name = names[-1]
            return (
                lambda: store.state.acquire([name], Ask(runner_id="r1", limit=1, start=1)),
                lambda: other.state.acquire([name], Ask(runner_id="r2", limit=1, start=1)),
            )

        def judge(outcome: Outcome) -> None:
            got = claimed_by(outcome)
            assert sorted(map(len, got)) == [0, 1]
            (winner,) = (*got[0], *got[1])
            assert (record(store, names[-1]), winner.state.claim) == (winner, 1)

        race(interleaver, prepare, judge)

    def test_of_two_that_acquire_the_last_place_of_a_limit_one_gets_it(self, store: Store, other: Store, interleaver: Interleaver) -> None:
        keys: list[str] = []

        def prepare() -> Operations:
            keys.append(f"key {len(keys)}")
            running(store, limits=limits(keys[-1], 2))
            first, second = store.state.add_batch(batch(*(new(limits=limits(keys[-1], 2)) for _ in range(2)))).ids
            return (
                lambda: store.state.acquire([first], Ask(runner_id="r1", limit=1)),
                lambda: other.state.acquire([second], Ask(runner_id="r2", limit=1)),
            )

        def judge(outcome: Outcome) -> None:
            assert sorted(map(len, claimed_by(outcome))) == [0, 1]
            assert holders(store, keys[-1]) == 2
            assert len(found(store, limit_key=keys[-1], statuses=frozenset({Status.CONCURRENCY_CONTROLLED}))) == 1

        race(interleaver, prepare, judge)

    def test_of_two_that_take_a_role_one_gets_it(self, store: Store, other: Store, interleaver: Interleaver) -> None:
        roles: list[str] = []

        def prepare() -> Operations:
            role = f"role {len(roles)}"
            roles.append(role)
            return lambda: store.state.take_lease(role, "r1", 30.0), lambda: other.state.take_lease(role, "r2", 30.0)

        race(interleaver, prepare, _one_is_not_none)

    def test_of_two_that_put_an_absent_value_one_does(self, store: Store, other: Store, interleaver: Interleaver) -> None:
        keys: list[str] = []

        def prepare() -> Operations:
            key = f"key {len(keys)}"
            keys.append(key)
            return (
                lambda: store.state.put_value("kind", key, b"0", if_absent=True),
                lambda: other.state.put_value("kind", key, b"1", if_absent=True),
            )

        def judge(outcome: Outcome) -> None:
            assert sorted(map(bool, outcome.results)) == [False, True]
            assert store.state.get_values("kind", [keys[-1]]) == {keys[-1]: b"0" if outcome.results[0] else b"1"}

        race(interleaver, prepare, judge)

    def test_of_two_batches_with_one_unique_key_one_is_stored(self, store: Store, other: Store, interleaver: Interleaver) -> None:
        keys: list[str] = []

        def prepare() -> Operations:
            keys.append(f"key {len(keys)}")
            first, second = batch(new(unique_key=keys[-1])), batch(new(unique_key=keys[-1]))
            return lambda: store.state.add_batch(first), lambda: other.state.add_batch(second)

        race(interleaver, prepare, lambda outcome: _one_stands_for_both(store, keys[-1], outcome))

    def test_a_watch_begun_while_it_ends_is_told(self, store: Store, other: Store, interleaver: Interleaver) -> None:
        names: list[str] = []

        def prepare() -> Operations:
            held = running(store)
            names.append(held.invocation_id)

            def wait() -> frozenset[str]:
                watch = other.state.watch([held.invocation_id])
                try:
                    return watch.wait(PATIENCE)
                finally:
                    watch.close()

            return wait, lambda: store.state.swap([change(held, Status.SUCCESS)])

        def judge(outcome: Outcome) -> None:
            assert outcome.results[0] == frozenset({names[-1]})

        race(interleaver, prepare, judge)


class DispatcherRaceRules(StorageSubject):
    """Two dispatcher calls at once."""

    def test_of_two_claims_one_gets_it(self, store: Store, other: Store, interleaver: Interleaver) -> None:
        queues = Names()

        def prepare() -> Operations:
            ask = queues.submitted(store, lambda queue: new(queue=queue))
            return lambda: store.dispatcher.claim(ask("r1")), lambda: other.dispatcher.claim(ask("r2"))

        def judge(outcome: Outcome) -> None:
            got = claimed_by(outcome)
            assert sorted(map(len, got)) == [0, 1], "one of two claims gets the only one there is"
            (winner,) = (*got[0], *got[1])
            assert record(store, winner.invocation_id) == winner
            assert winner.state.claim == 1
            assert statuses(history(store, winner.invocation_id)) == [Status.REGISTERED, Status.PENDING, Status.RUNNING]

        race(interleaver, prepare, judge)

    def test_two_claims_share_two_without_overlap(self, store: Store, other: Store, interleaver: Interleaver) -> None:
        queues = Names()

        def prepare() -> Operations:
            ask = queues.submitted(store, lambda queue: new(queue=queue), lambda queue: new(queue=queue, rank=1.0))
            return lambda: store.dispatcher.claim(ask("r1")), lambda: other.dispatcher.claim(ask("r2"))

        def judge(outcome: Outcome) -> None:
            first, second = claimed_by(outcome)
            assert [len(first), len(second)] == [1, 1]
            assert first[0].invocation_id != second[0].invocation_id

        race(interleaver, prepare, judge)

    def test_two_claims_keep_a_limit(self, store: Store, other: Store, interleaver: Interleaver) -> None:
        queues = Names()

        def prepare() -> Operations:
            key = limits(queues.next())
            ask = queues.submitted(store, lambda queue: new(queue=queue, limits=key), lambda queue: new(queue=queue, limits=key))
            return lambda: store.dispatcher.claim(ask("r1")), lambda: other.dispatcher.claim(ask("r2"))

        def judge(outcome: Outcome) -> None:
            got = claimed_by(outcome)
            assert sorted(map(len, got)) == [0, 1]
            (winner,) = (*got[0], *got[1])
            assert store.state.holders([winner.invocation.limits[0].key]) == {winner.invocation.limits[0].key: 1}

        race(interleaver, prepare, judge)

    def test_of_claim_and_cancel_one_wins(self, store: Store, other: Store, interleaver: Interleaver) -> None:
        queues = Names()

        def prepare() -> Operations:
            ask = queues.submitted(store, lambda queue: new(queues.name, queue=queue))
            cancel = change(record(store, queues.name), Status.CANCELLED, by="user")
            return lambda: store.dispatcher.claim(ask("r1")), lambda: other.dispatcher.settle([cancel])

        def judge(outcome: Outcome) -> None:
            reply, settled = outcome.results
            assert isinstance(reply, ClaimReply)
            assert isinstance(settled, SettleReply)
            claimed, refused = bool(reply.claimed), settled.refused[0] is not None
            assert claimed == refused, "either it is claimed and the cancelling refused, or the other way round"
            assert state(store, queues.name).status is (Status.RUNNING if claimed else Status.CANCELLED)

        race(interleaver, prepare, judge)

    def test_of_start_and_recovery_one_wins(self, store: Store, other: Store, interleaver: Interleaver) -> None:
        queues = Names()

        def prepare() -> Operations:
            ask = queues.submitted(store, lambda queue: new(queues.name, queue=queue))
            held = store.dispatcher.claim(Ask(runner_id="r1", limit=1, queues=ask("r1").queues)).claimed[0]
            recover = change(held, Status.PENDING_RECOVERY, Status.REROUTED, by="sweeper")
            start = change(held, Status.RUNNING)
            return lambda: store.dispatcher.settle([start]), lambda: other.dispatcher.settle([recover])

        def judge(outcome: Outcome) -> None:
            start_lost, recovery_lost = refusals(outcome)
            assert start_lost != recovery_lost
            assert state(store, queues.name).status is (Status.REROUTED if start_lost else Status.RUNNING)

        race(interleaver, prepare, judge)

    def test_of_two_submits_with_one_unique_key_one_is_stored(self, store: Store, other: Store, interleaver: Interleaver) -> None:
        keys: list[str] = []

        def prepare() -> Operations:
            keys.append(f"key {len(keys)}")
            first, second = batch(new(unique_key=keys[-1])), batch(new(unique_key=keys[-1]))
            return lambda: store.dispatcher.submit(first), lambda: other.dispatcher.submit(second)

        race(interleaver, prepare, lambda outcome: _one_stands_for_both(store, keys[-1], outcome))

    def test_a_release_while_another_begins_to_wait_beside_its_key_is_not_lost(
        self, store: Store, other: Store, interleaver: Interleaver
    ) -> None:
        queues = Names()

        def prepare() -> Operations:
            key = limits(queues.next())
            held = running(store, limits=key)
            ask = queues.submitted(store, lambda queue: new(queues.name, queue=queue, limits=key))
            release: Change = change(held, Status.SUCCESS)
            return lambda: store.dispatcher.settle([release]), lambda: other.dispatcher.claim(ask("r2"))

        def judge(outcome: Outcome) -> None:
            at_once = isinstance(outcome.results[1], ClaimReply) and bool(outcome.results[1].claimed)
            later = ids(claim(store, "r3", queues=(state_queue(store, queues.name),)))
            assert at_once or later == [queues.name], "it waits beside a key that nobody holds"

        race(interleaver, prepare, judge)

    def test_work_that_comes_while_somebody_begins_to_wait_is_not_missed(
        self, store: Store, other: Store, interleaver: Interleaver
    ) -> None:
        queues = Names()

        def prepare() -> Operations:
            queue = queues.next()

            def work() -> list[str]:
                for _ in range(50):
                    if got := ids(claim(other, queues=(queue,))):
                        return got
                    if not other.dispatcher.await_work((queue,), PATIENCE):
                        break
                return []

            return work, lambda: submit(store, new(queues.name, queue=queue))

        def judge(outcome: Outcome) -> None:
            assert outcome.results[0] == [queues.name]

        race(interleaver, prepare, judge)


class Names:
    """Makes a new name for each schedule's queue and invocation."""

    def __init__(self) -> None:
        self._count = 0

    @property
    def name(self) -> str:
        """The present name."""
        return f"name-{self._count}"

    def next(self) -> str:
        """Go on to the next name, and return it."""
        self._count += 1
        return self.name

    def submitted(self, store: Store, *make: Callable[[str], NewInvocation]) -> Callable[[str], Ask]:
        """Submit what `make` returns for a new queue; return how a runner asks for one of them, to be started."""
        queue = self.next()
        submit(store, *(each(queue) for each in make))
        return lambda runner_id: Ask(runner_id=runner_id, limit=1, start=1, queues=(queue,))


def claimed_by(outcome: Outcome) -> tuple[tuple[InvocationRecord, ...], ...]:
    """Return what each operation, a claim, got."""
    return tuple(result.claimed for result in outcome.results if isinstance(result, ClaimReply))


def state_queue(store: Store, invocation_id: str) -> str:
    """Return the queue of an invocation."""
    return record(store, invocation_id).invocation.queue


def _one_is_not_none(outcome: Outcome) -> None:
    assert [result is None for result in outcome.results].count(True) == 1


def _one_stands_for_both(store: Store, key: str, outcome: Outcome) -> None:
    answers = [result for result in outcome.results if isinstance(result, Submitted)]
    (stored,) = found(store, unique_key=key)
    assert [answer.ids for answer in answers] == [(stored,), (stored,)]
    assert sorted(len(answer.reused) for answer in answers) == [0, 1]
    finish_registered(store, stored)


def finish_registered(store: Store, invocation_id: str) -> None:
    """Cancel an invocation that nobody has claimed."""
    finish(store, record(store, invocation_id), Status.CANCELLED, outcome=None)
