"""Whoever waits for an invocation is told when it is final, and is never left waiting."""

from __future__ import annotations

from functools import partial

from pynenc_core.ports.storage import Watch
from pynenc_core.status import Status
from pynenc_testkit.contracts.subject import Opener, StorageSubject
from pynenc_testkit.samples import batch, change, finish, new, running, settled, submit, written
from pynenc_testkit.stores import PATIENCE, Background, Store


def gather(watch: Watch, count: int) -> list[str]:
    """Wait until so many ids were reported, or nothing is reported for a while; return them as they came."""
    reported: list[str] = []
    while len(reported) < count and (now := watch.wait(PATIENCE / 2)):
        reported += sorted(now)
    return reported


class WatchRules(StorageSubject):
    """A watch reports each of its invocations once, by notification."""

    def test_what_was_final_before_is_reported_at_once(self, store: Store, other: Store) -> None:
        done, held = running(store, "done"), running(store, "held")
        finish(store, done)
        watch = other.state.watch(["done", "held"])
        assert watch.wait(0) == frozenset({"done"})
        assert watch.wait(0.02) == frozenset()
        finish(store, held)
        assert watch.wait(PATIENCE) == frozenset({"held"})
        watch.close()

    def test_what_becomes_final_between_watch_and_wait_is_reported(self, store: Store, other: Store) -> None:
        held = running(store)
        watch = other.state.watch([held.invocation_id])
        finish(store, held)
        assert watch.wait(PATIENCE) == frozenset({held.invocation_id})
        assert watch.wait(0.02) == frozenset()
        watch.close()

    def test_what_becomes_final_while_somebody_waits_is_reported(self, store: Store, other: Store) -> None:
        held = running(store)
        watch = other.state.watch([held.invocation_id])
        waiting = Background(lambda: watch.wait(PATIENCE))
        finish(store, held, Status.FAILED)
        assert waiting.result() == frozenset({held.invocation_id})
        watch.close()

    def test_every_way_to_a_final_status_is_reported(self, store: Store, other: Store) -> None:
        swapped, settles, together = (running(store) for _ in range(3))
        store.state.add_batch(batch(new("cancelled")))
        names = [swapped.invocation_id, settles.invocation_id, together.invocation_id, "cancelled"]
        watch = other.state.watch(names)
        written(store, change(swapped, Status.SUCCESS))
        settled(store, change(settles, Status.FAILED))
        settled(store, change(together, Status.RUNNING_RECOVERY, Status.QUARANTINED, by="sweeper"))
        written(store, change(store.state.get(["cancelled"])["cancelled"], Status.CANCELLED))
        assert sorted(gather(watch, 4)) == sorted(names)
        watch.close()

    def test_what_is_not_final_is_not_reported(self, store: Store, other: Store) -> None:
        again, held = running(store), running(store)
        watch = other.state.watch([again.invocation_id, held.invocation_id])
        settled(store, change(again, Status.RETRY))
        written(store, change(held, Status.PAUSED))
        assert watch.wait(0.02) == frozenset()
        finish(store, store.state.get([held.invocation_id])[held.invocation_id])
        assert watch.wait(PATIENCE) == frozenset({held.invocation_id})
        watch.close()

    def test_an_unknown_invocation_counts_as_final(self, store: Store) -> None:
        held = running(store)
        watch = store.state.watch(["nobody", held.invocation_id])
        assert watch.wait(PATIENCE) == frozenset({"nobody"})
        finish(store, held)
        assert watch.wait(PATIENCE) == frozenset({held.invocation_id})
        watch.close()

    def test_what_is_purged_counts_as_final(self, store: Store, other: Store) -> None:
        held = running(store)
        watch = other.state.watch([held.invocation_id])
        assert watch.wait(0.02) == frozenset()
        store.state.purge()
        assert watch.wait(PATIENCE) == frozenset({held.invocation_id})
        watch.close()

    def test_every_watcher_is_told(self, store: Store, other: Store) -> None:
        held = running(store)
        watches = [each.state.watch([held.invocation_id]) for each in (store, store, other, other)]
        waits = [Background(partial(watch.wait, PATIENCE)) for watch in watches]
        finish(store, held)
        assert [wait.result() for wait in waits] == [frozenset({held.invocation_id})] * 4
        for watch in watches:
            watch.close()

    def test_each_of_many_is_reported_once(self, store: Store, other: Store) -> None:
        names = [f"i{number:04d}" for number in range(300)]
        submit(store, *(new(name, queue="never claimed") for name in names))
        watch = other.state.watch(names)
        records = store.state.get(names)
        for start in range(0, 300, 50):
            written(store, *(change(records[name], Status.CANCELLED) for name in names[start : start + 50]))
        assert sorted(gather(watch, 300)) == names
        assert watch.wait(0) == frozenset()
        watch.close()

    def test_closing_lets_a_wait_return(self, store: Store, other: Store) -> None:
        held = running(store)
        closed, stays = other.state.watch([held.invocation_id]), other.state.watch([held.invocation_id])
        waiting = Background(lambda: closed.wait(None))
        closed.close()
        closed.close()
        assert waiting.result() == frozenset()
        finish(store, held)
        assert stays.wait(PATIENCE) == frozenset({held.invocation_id})
        stays.close()

    def test_a_watch_sees_its_own_app_only(self, store: Store, opened: Opener) -> None:
        foreign = opened("another app")
        mine, theirs = running(store, "a"), running(foreign, "a")
        watch = store.state.watch(["a"])
        finish(foreign, theirs)
        assert watch.wait(0.02) == frozenset()
        finish(store, mine)
        assert watch.wait(PATIENCE) == frozenset({"a"})
        watch.close()
