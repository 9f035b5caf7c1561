"""Two storage verbs at once."""

from __future__ import annotations

from pynenc_core.model import Ask, Mark, Payload, Swapped
from pynenc_core.status import Status
from pynenc_testkit.contracts.races import Operations, claimed_by, one_stands_for_both, race, refusals
from pynenc_testkit.contracts.subject import StorageSubject
from pynenc_testkit.interleaver import Interleaver, Outcome
from pynenc_testkit.samples import (
    batch,
    change,
    found,
    history,
    holders,
    limits,
    new,
    record,
    running,
    state,
    statuses,
)
from pynenc_testkit.stores import PATIENCE, Store


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

        race(interleaver, prepare, lambda outcome: one_stands_for_both(store, keys[-1], outcome))

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


def _one_is_not_none(outcome: Outcome) -> None:
    assert [result is None for result in outcome.results].count(True) == 1
