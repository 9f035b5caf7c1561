"""What is kept beside the records: blobs, keyed values; and how all of it ends: swept, purged."""

from __future__ import annotations

from pynenc_core.model import Limit, Payload, Query
from pynenc_core.status import Status
from pynenc_testkit.contracts.subject import Opener, StorageSubject
from pynenc_testkit.samples import batch, blob, change, finish, found, history, holders, ids, new, record, running, submit, written
from pynenc_testkit.stores import PATIENCE, Store

FIRST, SECOND = blob(b"first"), blob(bytes(range(256)) * 40, piece=1000)


class PayloadRules(StorageSubject):
    """Blobs are stored once under their content's hash, and live until the last reference's time is over."""

    def test_blobs_come_back_whole(self, store: Store, other: Store) -> None:
        store.state.put_blobs([FIRST, SECOND])
        assert len(SECOND.chunks) == 11
        assert other.state.get_blobs([FIRST.key, SECOND.key, "none"]) == {FIRST.key: b"first", SECOND.key: bytes(range(256)) * 40}

    def test_a_blob_of_several_pieces_of_1_mib_comes_back(self, store: Store) -> None:
        large = blob(b"0123456789abcdef" * 160_000)
        assert len(large.chunks) == 3
        store.state.put_blobs([large])
        assert store.state.get_blobs([large.key])[large.key] == b"".join(large.chunks)

    def test_a_blob_may_be_stored_again(self, store: Store) -> None:
        store.state.put_blobs([FIRST, SECOND])
        store.state.put_blobs([SECOND])
        held = running(store)
        finish(store, held, blobs=(SECOND,), outcome=Payload(blob=SECOND.key))
        assert store.state.get_blobs([SECOND.key])[SECOND.key] == bytes(range(256)) * 40

    def test_an_expired_blob_is_swept(self, store: Store) -> None:
        store.state.put_blobs([blob(b"short", ttl=2), blob(b"long", ttl=3600)])
        assert len(store.state.get_blobs([blob(b"short").key])) == 1
        store.lapse(3)
        assert store.state.sweep(0.0).blobs == 1
        assert store.state.get_blobs([blob(b"short").key, blob(b"long").key]) == {blob(b"long").key: b"long"}

    def test_a_reference_moves_the_expiry_forward_and_never_back(self, store: Store) -> None:
        for name in (b"put", b"batch", b"change"):
            store.state.put_blobs([blob(name, ttl=3)])
        store.state.put_blobs([blob(b"back", ttl=3600)])
        store.state.put_blobs([blob(b"put", ttl=3600), blob(b"back", ttl=0.1)])
        store.state.add_batch(batch(new(), blobs=(blob(b"batch", ttl=3600),)))
        finish(store, running(store), blobs=(blob(b"change", ttl=3600),))
        store.lapse(4)
        store.state.sweep(0.0)
        names = (b"put", b"batch", b"change", b"back")
        assert sorted(store.state.get_blobs([blob(name).key for name in names]).values()) == sorted(names)


class ValueRules(StorageSubject):
    """Small keyed values, by kind."""

    def test_a_value_is_put_replaced_and_dropped(self, store: Store, other: Store) -> None:
        state = store.state
        assert state.put_value("kind", "k", b"\x00one\xff")
        assert other.state.get_values("kind", ["k", "none"]) == {"k": b"\x00one\xff"}
        assert state.put_value("kind", "k", b"two")
        assert state.put_value("kind", "empty", b"")
        assert other.state.get_values("kind", ["k", "empty"]) == {"k": b"two", "empty": b""}
        assert other.state.drop_values("kind", ["k", "none"]) == 1
        assert state.get_values("kind", ["k", "empty"]) == {"empty": b""}

    def test_if_absent_keeps_what_is_there(self, store: Store, other: Store) -> None:
        assert store.state.put_value("kind", "k", b"first", if_absent=True)
        assert not other.state.put_value("kind", "k", b"second", if_absent=True)
        assert store.state.get_values("kind", ["k"]) == {"k": b"first"}
        assert store.state.drop_values("kind", ["k"]) == 1
        assert other.state.put_value("kind", "k", b"third", if_absent=True)

    def test_a_value_is_gone_when_its_time_is_over(self, store: Store) -> None:
        assert store.state.put_value("kind", "short", b"1", ttl=0.2)
        assert store.state.put_value("kind", "long", b"2", ttl=3600)
        assert store.state.put_value("kind", "ever", b"3", ttl=0.1)
        assert store.state.put_value("kind", "ever", b"4")
        store.lapse(0.3)
        assert store.state.get_values("kind", ["short", "long", "ever"]) == {"long": b"2", "ever": b"4"}
        assert [key for key, _ in store.state.list_values("kind")] == ["ever", "long"]
        assert store.state.put_value("kind", "short", b"5", if_absent=True, ttl=0.1)
        store.lapse(0.2)
        assert store.state.drop_values("kind", ["short"]) == 0

    def test_values_are_listed_by_prefix_in_pages(self, store: Store) -> None:
        keys = ["a", "ab", "a%b", "a%c", "a_b", "a*", "a?", "a[b]", "a\\b", "é", "éa", "b", "A"]
        for key in keys:
            store.state.put_value("kind", key, key.encode())
        expected = sorted(keys)
        assert store.state.list_values("kind") == tuple((key, key.encode()) for key in expected)
        for prefix in ("a", "a%", "a_", "a*", "a?", "a[", "a\\", "é", "A", "none"):
            listed = [key for key, _ in store.state.list_values("kind", prefix=prefix)]
            assert listed == [key for key in expected if key.startswith(prefix)], prefix
        seen: list[str] = []
        while page := store.state.list_values("kind", prefix="a", after=seen[-1] if seen else "", limit=2):
            assert len(page) <= 2
            seen += [key for key, _ in page]
        assert seen == [key for key in expected if key.startswith("a")]

    def test_kinds_are_apart(self, store: Store) -> None:
        store.state.put_value("one", "k", b"1")
        store.state.put_value("two", "k", b"2")
        assert store.state.drop_values("one", ["k"]) == 1
        assert store.state.get_values("two", ["k"]) == {"k": b"2"}
        assert store.state.list_values("one") == ()


class UpkeepRules(StorageSubject):
    """Nothing is kept for ever, and nothing goes before its time."""

    def test_a_sweep_removes_what_was_final_before(self, store: Store, other: Store) -> None:
        old = running(store, "old", unique_key="u", limits=(Limit("k", 1),))
        finish(store, old)
        running(store, "held")
        submit(store, new("waits", queue="w"))
        store.lapse(1)
        edge = store.state.now()
        store.lapse(1)
        finish(store, running(store, "fresh"))
        assert store.state.sweep(edge).invocations == 1
        assert found(other) == ["fresh", "held", "waits"]
        assert set(other.state.history(["old", "fresh"])) == {"fresh"}
        assert found(other, unique_key="u") == found(other, limit_key="k") == []
        assert all(entry.invocation_id != "old" for entry in other.state.history_between(0, 4e9))
        assert other.state.sweep(edge).invocations == 0

    def test_a_sweep_takes_no_more_than_asked(self, store: Store) -> None:
        for _ in range(5):
            finish(store, running(store))
        store.lapse(1)
        assert [store.state.sweep(store.state.now(), limit=2).invocations for _ in range(4)] == [2, 2, 1, 0]

    def test_a_sweep_removes_expired_values(self, store: Store) -> None:
        store.state.put_value("kind", "short", b"1", ttl=0.1)
        store.state.put_value("kind", "ever", b"2")
        store.lapse(0.2)
        assert store.state.sweep(0.0).values == 1
        assert store.state.list_values("kind") == (("ever", b"2"),)

    def test_a_purge_removes_everything_of_the_app(self, store: Store, other: Store) -> None:
        held = running(store, "a", unique_key="u", limits=(Limit("k", 1),))
        store.state.put_blobs([FIRST])
        store.state.put_value("kind", "k", b"1")
        store.state.beat(["r1"], 30.0)
        store.state.take_lease("role", "r1", 30.0)
        other.state.purge()
        state = store.state
        assert found(store) == []
        assert state.count(_ANY) == {}
        assert state.history(["a"]) == {}
        assert state.history_between(0, 4e9) == ()
        assert (state.get_blobs([FIRST.key]), state.list_values("kind"), state.beats()) == ({}, (), ())
        assert holders(store, "k") == 0
        assert state.take_lease("role", "r2", 30.0) is not None
        refusal = state.swap([change(held, Status.SUCCESS)]).refused[0]
        assert refusal is not None
        assert refusal.status is None
        assert submit(store, new("b", unique_key="u")).ids == ("b",)

    def test_closing_twice_leaves_the_store_to_others(self, store: Store, other: Store) -> None:
        submit(store, new("a"))
        store.close()
        store.close()
        assert found(other) == ["a"]
        written(other, change(record(other, "a"), Status.CANCELLED))

    def test_a_store_that_was_closed_connects_anew_at_the_next_call(self, store: Store, other: Store) -> None:
        """A process that is stopped while its invocation waits keeps no connection, and goes on later."""
        held = running(store, "a")
        store.state.watch({"a"}).close()
        store.close()
        written(store, change(held, Status.PAUSED, awaits=("b",)))
        store.close()
        watch = store.state.watch({"a"})
        try:
            written(other, change(record(other, "a"), Status.CANCELLED))
            assert watch.wait(PATIENCE) == {"a"}
        finally:
            watch.close()

    def test_preparing_again_changes_nothing(self, store: Store, opened: Opener) -> None:
        finish(store, running(store, "a"))
        store.state.prepare()
        again = opened(store.app.app_id)
        assert found(again, statuses=frozenset({Status.SUCCESS})) == ["a"]
        assert len(history(again, "a")) == 4


class IsolationRules(StorageSubject):
    """Apps that share a store never see each other's data."""

    def test_records_are_apart(self, store: Store, opened: Opener) -> None:
        foreign = opened("another app")
        mine = running(store, "a", queue="q", unique_key="u", limits=(Limit("k", 1),))
        theirs = submit(foreign, new("a", queue="q", unique_key="u", limits=(Limit("k", 1),)), new("b", queue="q"))
        assert (theirs.ids, theirs.reused) == (("a", "b"), frozenset())
        assert (found(store), found(foreign)) == (["a"], ["a", "b"])
        assert (record(store, "a"), record(foreign, "a").state.status) == (mine, Status.REGISTERED)
        assert sum(foreign.state.count(_ANY).values()) == 2
        assert (len(history(store, "a")), len(history(foreign, "a"))) == (3, 1)
        assert len(foreign.state.history_between(0, 4e9)) == 2
        finish(store, mine)
        assert record(foreign, "a").state.status is Status.REGISTERED

    def test_values_and_agreements_are_apart(self, store: Store, opened: Opener) -> None:
        foreign = opened("another app")
        for each, content in ((store, b"1"), (foreign, b"2")):
            assert each.state.put_value("kind", "k", content, if_absent=True)
            each.state.beat([f"runner {content!r}"], 30.0)
            assert each.state.take_lease("role", f"holder {content!r}", 30.0) is not None
            running(each, limits=(Limit("slot", 1),))
        for each, content in ((store, b"1"), (foreign, b"2")):
            assert each.state.list_values("kind") == (("k", content),)
            assert [beat.runner_id for beat in each.state.beats()] == [f"runner {content!r}"]
            assert holders(each, "slot") == 1

    def test_a_purge_leaves_other_apps_alone(self, store: Store, opened: Opener) -> None:
        foreign = opened("another app")
        for each in (store, foreign):
            submit(each, new("a"), new("b"), blobs=(FIRST,))
            each.state.put_value("kind", "k", b"1")
            each.state.beat(["r1"], 30.0)
        store.state.purge()
        assert found(store) == []
        assert ids(foreign.state.get(["a", "b"]).values()) == ["a", "b"]
        assert set(foreign.state.history(["a", "b"])) == {"a", "b"}
        assert foreign.state.get_blobs([FIRST.key]) == {FIRST.key: b"first"}
        assert foreign.state.list_values("kind") == (("k", b"1"),)
        assert len(foreign.state.beats()) == 1

    def test_a_sweep_leaves_other_apps_alone(self, store: Store, opened: Opener) -> None:
        foreign = opened("another app")
        for each in (store, foreign):
            finish(each, running(each, "a"))
        store.lapse(1)
        assert store.state.sweep(store.state.now()).invocations == 1
        assert found(foreign) == ["a"]


_ANY = Query()
