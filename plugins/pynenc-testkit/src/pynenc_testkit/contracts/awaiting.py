"""Waiting for work: nobody polls, and no wake-up is lost."""

from __future__ import annotations

from collections.abc import Callable

from pynenc_core.model import Mark
from pynenc_core.status import Status
from pynenc_testkit.contracts.subject import StorageSubject
from pynenc_testkit.samples import change, claim, ids, limits, new, running, submit
from pynenc_testkit.stores import PATIENCE, Background, Store

QUEUES = ("default", "other")


def quiet(store: Store) -> None:
    """Claim all there is and wait until nothing is reported any more; AssertionError if that never comes."""
    for _ in range(20):
        if not claim(store, "idle", limit=99, queues=QUEUES).claimed and not store.dispatcher.await_work(QUEUES, 0.01):
            return
    raise AssertionError("await_work says that there is work, and claim finds none, without end")


def woken(store: Store, cause: Callable[[], object]) -> None:
    """Make sure that a blocking `await_work` is ended by the cause, and so is one that begins after it."""
    quiet(store)
    waiting = Background(lambda: store.dispatcher.await_work(QUEUES, PATIENCE))
    cause()
    assert waiting.result(PATIENCE * 2) is True


class AwaitRules(StorageSubject):
    """Blocking ends when there may be work, wherever it came from."""

    def test_work_submitted_here_or_elsewhere_wakes(self, store: Store, other: Store) -> None:
        woken(store, lambda: submit(store, new("a")))
        assert ids(claim(store)) == ["a"]
        woken(store, lambda: submit(other, new("b", queue="other")))
        assert ids(claim(store, queues=QUEUES)) == ["b"]

    def test_work_submitted_between_claim_and_await_is_not_missed(self, store: Store, other: Store) -> None:
        for submitter in (store, other):
            quiet(store)
            submit(submitter, new())
            assert store.dispatcher.await_work(QUEUES, PATIENCE)
            assert len(claim(store).claimed) == 1

    def test_without_work_the_wait_ends_at_its_timeout(self, store: Store) -> None:
        submit(store, new("a"))
        quiet(store)
        running(store, queue="not asked for")
        quiet(store)
        submit(store, new("b"))
        assert store.dispatcher.await_work(QUEUES, PATIENCE)

    def test_what_is_given_back_wakes(self, store: Store, other: Store) -> None:
        held = running(other, "a", queue="other")
        woken(store, lambda: other.dispatcher.settle([change(held, Status.RETRY)]))
        assert ids(claim(store, queues=QUEUES)) == ["a"]

    def test_a_freed_limit_wakes(self, store: Store, other: Store) -> None:
        held = running(other, limits=limits("k"))
        submit(other, new("a", limits=limits("k")))
        woken(store, lambda: other.dispatcher.settle([change(held, Status.SUCCESS)]))
        assert ids(claim(store)) == ["a"]

    def test_a_boost_wakes_who_takes_awaited_work_only(self, store: Store, other: Store) -> None:
        submit(store, new("a"))
        assert ids(claim(store, awaited_only=True)) == []
        while store.dispatcher.await_work(QUEUES, 0.01):
            assert ids(claim(store, awaited_only=True, queues=QUEUES)) == []
        waiting = Background(lambda: store.dispatcher.await_work(QUEUES, PATIENCE))
        other.state.mark([Mark(invocation_id="a", boost=-1.0)])
        assert waiting.result(PATIENCE * 2) is True
        assert ids(claim(store, awaited_only=True)) == ["a"]

    def test_what_a_claim_left_over_is_not_forgotten(self, store: Store) -> None:
        quiet(store)
        submit(store, new("a", rank=1.0), new("b", rank=2.0))
        assert ids(claim(store, limit=1)) == ["a"]
        assert store.dispatcher.await_work(QUEUES, PATIENCE)
        assert ids(claim(store, limit=1)) == ["b"]

    def test_wake_ends_a_wait(self, store: Store) -> None:
        woken(store, store.dispatcher.wake)
        submit(store, new("a"))
        assert ids(claim(store)) == ["a"]

    def test_a_wake_before_the_wait_counts_for_it_once(self, store: Store) -> None:
        submit(store, new("a"))
        quiet(store)
        store.dispatcher.wake()
        assert store.dispatcher.await_work(QUEUES, PATIENCE)
        quiet(store)

    def test_every_waiting_thread_is_woken(self, store: Store) -> None:
        quiet(store)
        waits = [Background(lambda: store.dispatcher.await_work(QUEUES, PATIENCE)) for _ in range(3)]
        submit(store, *(new() for _ in range(3)))
        assert [wait.result(PATIENCE * 2) for wait in waits] == [True] * 3
        assert len(claim(store, limit=3).claimed) == 3
