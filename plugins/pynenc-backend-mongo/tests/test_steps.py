"""What several single writes must add up to: batches, histories, large values, windows between two calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from pynenc_core.model import Expect, Mark, Payload, Submitted
from pynenc_core.status import Status
from pynenc_testkit.contracts.interruptions import CutError
from pynenc_testkit.interleaver import Interleaver, choked
from pynenc_testkit.samples import (
    batch,
    blob,
    change,
    claim,
    finish,
    found,
    history,
    ids,
    limits,
    new,
    record,
    running,
    state,
    statuses,
    submit,
    swap,
    written,
)
from pynenc_testkit.stores import Store

CALL = "pynenc_backend_mongo.database:Database.call"
Opener = Callable[..., Store]
Collection = Callable[[str], Any]


@attrs.define
class Dies:
    """Lets the n-th call of the driver fail, and all after it, as for a process that is gone."""

    at: int
    calls: int = 0

    def step(self) -> None:
        self.calls += 1
        if self.calls >= self.at:
            raise CutError


@pytest.fixture
def store(opened: Opener) -> Store:
    return opened()


@pytest.fixture
def other(store: Store, opened: Opener) -> Store:
    assert store.app.app_id == "kit"
    return opened()


def died(at: int, operation: Callable[[], object]) -> bool:
    """Carry out an operation that dies before its n-th call; return whether it came so far."""
    dies = Dies(at)
    with choked((CALL,), dies.step):
        try:
            operation()
        except CutError:
            return True
    return False


class TestBatches:
    """All of a batch or nothing, whoever dies when."""

    def test_a_batch_whose_producer_dies_is_there_whole_or_not_at_all(self, store: Store, other: Store, collection: Collection) -> None:
        seen: set[int] = set()
        for at in range(1, 20):
            names = [f"{at}-{number}" for number in range(3)]
            given = batch(*(new(name, unique_key=name) for name in names))
            if not died(at, lambda: store.state.add_batch(given)):  # noqa: B023 - called at once
                break
            other.app.clock.advance(11)
            other.dispatcher.republish()
            assert collection("invocations").count_documents({"phase": "staged"}) == 0
            assert len(other.state.get(names)) in {0, 3}
            seen.add(len(other.state.get(names)))
            assert other.state.add_batch(given).ids == tuple(names)
            assert sorted(other.state.get(names)) == names
        assert seen == {0, 3}

    def test_nothing_of_a_batch_is_seen_before_it_is_committed(self, store: Store, other: Store, collection: Collection) -> None:
        given = batch(*(new(name) for name in "abc"))
        visible: list[int] = []

        def look() -> None:
            if not looking:
                looking.append(1)
                visible.append(len(found(other)))
                visible.append(len(claim(other, limit=9).claimed))
                looking.clear()

        looking: list[int] = []
        other.state.prepare()
        with choked((CALL,), look):
            store.state.add_batch(given)
        assert set(visible[:-2]) == {0}
        assert collection("decisions").count_documents({"committed": True}) == 1

    def test_a_sweep_gives_up_a_batch_and_its_slow_producer_begins_again(self, store: Store, other: Store) -> None:
        given, done = batch(new("a"), new("b")), list[int]()
        other.state.prepare()

        def sweep_before_the_commit() -> None:
            calls.append(1)
            if len(calls) == 2 and not done:
                done.append(1)
                other.app.clock.advance(11)
                other.dispatcher.republish()

        calls: list[int] = []
        with choked((CALL,), sweep_before_the_commit):
            assert store.state.add_batch(given).ids == ("a", "b")
        assert done
        assert (found(store), sorted(ids(claim(store, limit=9)))) == (["a", "b"], ["a", "b"])

    def test_a_producer_that_was_stopped_for_hours_stores_its_batch_all_the_same(self, store: Store, other: Store) -> None:
        for at in (2, 3):  # before its commit, which somebody gives up; before it publishes, which somebody else does
            names, calls = [f"{at}-a", f"{at}-b"], list[int]()
            given = batch(*map(new, names))

            def long_after() -> None:
                calls.append(1)  # noqa: B023 - called at once
                if len(calls) == at:  # noqa: B023 - called at once
                    for _ in range(2):
                        other.app.clock.advance(4000)
                        other.state.sweep(0.0)

            with choked((CALL,), long_after):
                assert store.state.add_batch(given).ids == tuple(names)
            assert sorted(ids(claim(other, limit=9))) == names

    def test_a_unique_key_in_a_batch_that_was_left_undecided_is_free(self, store: Store, other: Store) -> None:
        left = batch(new("a", unique_key="k"), new("b"))
        assert died(3, lambda: store.state.add_batch(left))
        assert other.state.add_batch(batch(new("c", unique_key="k"))).ids == ("c",)
        assert found(other) == ["c"]
        assert store.state.add_batch(left).ids == ("c", "b")

    def test_a_repetition_answers_the_same_when_what_it_found_has_ended(self, store: Store, other: Store) -> None:
        first = running(store, "a", unique_key="k")
        for again in (batch(new("b", unique_key="k")), batch(new("c", unique_key="k"), new("d"))):
            answer = store.state.add_batch(again)
            assert 0 in answer.reused
            assert other.state.add_batch(again) == answer
            if len(answer.ids) == 2:
                finish(store, first)
                assert other.state.add_batch(again) == answer

    def test_two_batches_that_want_each_others_keys_are_both_answered(self, store: Store, other: Store) -> None:
        rounds: list[str] = []

        def prepare() -> list[Callable[[], object]]:
            store.state.purge()
            rounds.append("")
            first = batch(new("a", unique_key="k"), new("b", unique_key="l"))
            second = batch(new("c", unique_key="l"), new("d", unique_key="k"))
            return [lambda: store.state.add_batch(first), lambda: other.state.add_batch(second)]

        for outcome in Interleaver((CALL,), limit=15, silence=0.15).outcomes(prepare):
            one, two = outcome.results
            assert isinstance(one, Submitted), outcome
            assert isinstance(two, Submitted), outcome
            assert (one.ids[0], one.ids[1]) == (two.ids[1], two.ids[0]), outcome.order
            assert sorted(found(store)) == sorted(one.ids), outcome.order
            assert sorted(ids(claim(other, limit=9))) == sorted(one.ids), outcome.order
        assert len(rounds) > 10


class TestHistory:
    """Entries are kept inside the record, and copied before they go from there."""

    def test_long_histories_are_archived_whole_by_whoever_writes(self, store: Store, other: Store, collection: Collection) -> None:
        held = running(store, "a")
        for number in range(150):
            written((store, other)[number % 2], change(held, reason=f"note {number}"))
        assert [entry.seq for entry in history(store, "a")] == list(range(1, 154))
        assert [entry.status_record.reason for entry in history(other, "a")][3:] == [f"note {number}" for number in range(150)]
        assert collection("history").count_documents({}) > 80
        between = store.state.history_between(0, 4e9, limit=1000)
        assert [entry.seq for entry in between] == list(range(1, 154))

    def test_who_dies_while_archiving_loses_nothing(self, store: Store, other: Store) -> None:
        held = running(store, "a")
        count = 3
        for number in range(200):
            note = change(held, reason=f"note {number}")
            if died(2, lambda: store.state.swap([note])):  # noqa: B023 - called at once
                assert [entry.seq for entry in history(other, "a")] == list(range(1, count + 1))
                written(other, note)
            count += 1
            if count > 190:
                break
        assert [entry.seq for entry in history(other, "a")] == list(range(1, count + 1))


class TestWindows:
    """Between two calls of one verb."""

    def test_a_release_that_dies_before_it_wakes_is_finished_by_the_sweep(self, store: Store, other: Store) -> None:
        for at in range(2, 20):
            key = f"k{at}"
            held = running(store, f"{at}-held", limits=limits(key))
            submit(store, new(f"{at}-waits", queue=key, limits=limits(key)))
            assert ids(claim(store, queues=(key,))) == []
            if not died(at, lambda: store.dispatcher.settle([change(held, Status.SUCCESS)])):  # noqa: B023 - called at once
                break
            assert state(other, f"{at}-held").status is Status.SUCCESS
            other.dispatcher.republish()
            assert ids(claim(other, queues=(key,))) == [f"{at}-waits"]
        else:
            pytest.fail("a release has more calls than expected")

    def test_a_pause_is_never_there_without_its_boost(self, store: Store, other: Store) -> None:
        for at in range(1, 8):
            parent, child = running(store, f"{at}-p", rank=1.0), f"{at}-c"
            submit(store, new(child, rank=9.0))
            pause = change(parent, Status.PAUSED, awaits=(child,), boost=1.0)
            whole = not died(at, lambda: store.dispatcher.settle([pause]))  # noqa: B023 - called at once
            if state(other, f"{at}-p").status is Status.PAUSED:
                assert record(other, child).side.boost == 1.0
            if whole:
                return
        pytest.fail("a pause has more calls than expected")

    def test_what_others_wrote_is_seen_though_this_process_remembers_what_it_owned(self, store: Store, other: Store) -> None:
        held = running(store, "a", queue="q")
        other.dispatcher.settle([change(held, Status.RUNNING_RECOVERY, Status.REROUTED, by="sweeper")])
        again = claim(other, "r2", start=1, queues=("q",)).claimed[0]
        assert swap(store, change(held, Status.SUCCESS))[0] is not None
        assert record(other, "a") == again
        note = change(again, reason="note", expect=Expect(Status.RUNNING, "r2", 2))
        written(store, note)
        finish(other, again)
        assert statuses(history(store, "a"))[-2:] == [Status.RUNNING, Status.SUCCESS]

    def test_a_settle_after_somebody_emptied_the_outbox_keeps_it_empty(self, store: Store, other: Store) -> None:
        held = running(store, "a")
        written(store, change(held, reason="cause", outbox=()))
        written(store, change(held, Status.PAUSED, outbox=("x", "y")))
        other.state.mark([Mark(invocation_id="a", drop_outbox=("x",))])
        written(store, change(record(store, "a"), Status.RUNNING))
        assert state(other, "a").outbox == ("y",)


class TestLargeValues:
    """Pieces below the limit of a document, whole or absent."""

    def test_a_value_larger_than_a_document_comes_back(self, store: Store, other: Store) -> None:
        large = blob(bytes(range(256)) * 70_000)
        assert len(large.chunks) == 18
        finish(store, running(store, "a"), outcome=Payload(blob=large.key), blobs=(large,))
        assert other.state.get_blobs([large.key])[large.key] == b"".join(large.chunks)

    def test_who_dies_while_storing_pieces_leaves_nothing_that_is_found_and_nothing_for_ever(
        self, store: Store, other: Store, collection: Collection
    ) -> None:
        for at in range(1, 9):
            large = blob(f"{at}".encode() * 3000, piece=1000)
            done = not died(at, lambda: store.state.put_blobs([large]))  # noqa: B023 - called at once
            assert list(other.state.get_blobs([large.key]).values()) in ([], [b"".join(large.chunks)])
            if done:
                break
        other.app.clock.advance(3601 + 3600)
        other.state.sweep(0.0)
        assert collection("chunks").count_documents({}) == collection("blobs").count_documents({}) == 0


@pytest.mark.parametrize("options", ["?retryWrites=true", "?retryWrites=false"])
def test_a_repetition_after_a_lost_reply_writes_once(opened: Opener, options: str) -> None:
    store = opened(options)
    given = batch(new("a"), new("b", unique_key="u"))
    with choked((CALL,), lambda: None, Dies(4).step), pytest.raises(CutError):
        store.state.add_batch(given)
    assert store.state.add_batch(given).ids == ("a", "b")
    held = claim(store, limit=1, start=1).claimed[0]
    done = change(held, Status.SUCCESS)
    with choked((CALL,), lambda: None, Dies(1).step), pytest.raises(CutError):
        store.dispatcher.settle([done])
    refusal = store.dispatcher.settle([done]).refused[0]
    assert refusal is not None
    assert (refusal.status, refusal.claim) == (Status.SUCCESS, 1)
    assert statuses(history(store, held.invocation_id)).count(Status.SUCCESS) == 1
