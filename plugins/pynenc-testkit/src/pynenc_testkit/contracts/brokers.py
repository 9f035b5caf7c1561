"""The contract of a broker: it hands out ids in order, when they are due; it is a hint and never the truth."""

from __future__ import annotations

from pynenc_core.model import Queued
from pynenc_testkit.contracts.subject import Opener, StorageSubject
from pynenc_testkit.stores import PATIENCE, Background, Store


def entries(*placed: tuple[str, float], queue: str = "q", due: float | None = None) -> list[Queued]:
    """Return queue entries from pairs of id and rank."""
    return [Queued(name, queue, rank, due) for name, rank in placed]


class BrokerContract(StorageSubject):
    """What every broker does for one process; give `url`."""

    def test_ids_are_handed_out_once_by_rank(self, store: Store) -> None:
        store.broker.publish(entries(("b", 2.0), ("c", 3.5), ("a", -1.0)))
        assert store.broker.take(["q"], 2, 0) == ("a", "b")
        assert store.broker.take(["q"], 9, 0) == ("c",)
        assert store.broker.take(["q"], 9, 0) == ()

    def test_queues_are_asked_in_the_order_given(self, store: Store) -> None:
        store.broker.publish(
            [*entries(("slow", 0.0), queue="slow"), *entries(("fast", 9.0), queue="fast"), *entries(("none", 0.0), queue="none")]
        )
        assert store.broker.take(["fast", "slow"], 9, 0) == ("fast", "slow")
        assert store.broker.take(["none"], 0, 0) == ()
        assert store.broker.take(["none"], 1, 0) == ("none",)

    def test_publishing_again_moves_an_id(self, store: Store) -> None:
        store.broker.publish(entries(("a", 1.0), ("b", 2.0)))
        store.broker.publish(entries(("a", 3.0)))
        assert store.broker.size("q") == 2
        assert store.broker.take(["q"], 9, 0) == ("b", "a")

    def test_nothing_is_handed_out_before_it_is_due(self, store: Store) -> None:
        now = store.state.now()
        store.broker.publish([*entries(("soon", 0.0), due=now + 50), *entries(("now", 5.0))])
        assert store.broker.take(["q"], 9, 0) == ("now",)
        assert store.broker.size("q") == 1
        store.lapse(51)
        assert store.broker.take(["q"], 9, 0) == ("soon",)

    def test_a_take_that_waits_is_ended_by_a_publish(self, store: Store) -> None:
        waiting = Background(lambda: store.broker.take(["other", "q"], 9, PATIENCE))
        store.broker.publish(entries(("a", 1.0)))
        assert waiting.result(PATIENCE * 2) == ("a",)

    def test_a_take_that_waits_is_ended_by_what_becomes_due(self, store: Store) -> None:
        store.broker.publish(entries(("a", 1.0), due=store.state.now() + 0.05))
        assert store.broker.take(["q"], 1, PATIENCE) == ("a",)

    def test_a_take_that_waits_is_ended_by_wake(self, store: Store) -> None:
        store.broker.publish(entries(("elsewhere", 1.0)))
        waiting = Background(lambda: store.broker.take(["empty"], 1, PATIENCE * 2))
        store.broker.wake()
        assert waiting.result() == ()
        store.broker.wake()  # counts for the next one that would block, once
        assert store.broker.take(["empty"], 1, 0) == ()
        assert Background(lambda: store.broker.take(["empty"], 1, PATIENCE * 2)).result() == ()
        assert store.broker.take(["q"], 1, 0) == ("elsewhere",)

    def test_the_oldest_is_shown_and_stays(self, store: Store) -> None:
        store.broker.publish(entries(("b", 2.0), ("a", 1.5)))
        assert store.broker.oldest("q") == Queued("a", "q", 1.5)
        assert (store.broker.size("q"), store.broker.oldest("empty"), store.broker.size("empty")) == (2, None, 0)
        assert store.broker.take(["q"], 9, 0) == ("a", "b")

    def test_discarded_ids_are_gone(self, store: Store) -> None:
        store.broker.publish([*entries(("a", 1.0), ("b", 2.0)), *entries(("c", 1.0), queue="r")])
        store.broker.discard(["a", "c", "unknown"])
        assert store.broker.take(["q", "r"], 9, 0) == ("b",)

    def test_a_purge_empties_the_queues_of_this_app_only(self, store: Store, opened: Opener) -> None:
        foreign = opened("another app")
        for each in (store, foreign):
            each.broker.publish(entries(("a", 1.0)))
        assert foreign.broker.size("q") == 1
        store.broker.purge()
        assert (store.broker.size("q"), store.broker.take(["q"], 1, 0)) == (0, ())
        assert foreign.broker.take(["q"], 1, 0) == ("a",)

    def test_it_may_be_closed_twice(self, store: Store, opened: Opener) -> None:
        foreign = opened("another app")
        foreign.broker.publish(entries(("a", 1.0)))
        store.broker.close()
        store.broker.close()
        assert foreign.broker.take(["q"], 1, 0) == ("a",)

    def test_one_that_was_closed_connects_anew_at_the_next_call(self, store: Store) -> None:
        store.broker.publish(entries(("a", 1.0)))
        store.broker.close()
        assert store.broker.take(["q"], 1, 0) == ("a",)


class SharedBrokerContract(BrokerContract):
    """What a broker does besides whose spec says that it crosses processes."""

    def test_what_one_process_publishes_another_takes(self, store: Store, other: Store) -> None:
        store.broker.publish(entries(("a", 1.0), ("b", 2.0)))
        assert other.broker.size("q") == 2
        assert other.broker.take(["q"], 1, 0) == ("a",)
        assert store.broker.take(["q"], 9, 0) == ("b",)

    def test_a_publish_elsewhere_ends_a_take_that_waits(self, store: Store, other: Store) -> None:
        waiting = Background(lambda: store.broker.take(["q"], 1, PATIENCE))
        other.broker.publish(entries(("a", 1.0)))
        assert waiting.result(PATIENCE * 2) == ("a",)
