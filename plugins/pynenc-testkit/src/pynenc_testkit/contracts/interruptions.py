"""A verb that is cut short at any of its driver calls has done all of its work, or none of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs
import pytest

from pynenc_core.model import Ask, Mark, Payload
from pynenc_core.status import Status
from pynenc_testkit.contracts.subject import StorageSubject
from pynenc_testkit.interleaver import choked
from pynenc_testkit.samples import batch, blob, change, claim, limits, new, record, running, submit
from pynenc_testkit.stores import Raw, Store


class CutError(Exception):
    """Raised in place of a driver call, as a broken connection would."""


@attrs.define
class Scissors:
    """Lets the n-th driver call of an operation fail; counts them all."""

    cut_at: int
    calls: int = 0

    def step(self) -> None:
        """Count a driver call, and fail if it is the one."""
        self.calls += 1
        if self.calls == self.cut_at:
            raise CutError


Operation = Callable[[Store, str], object]


def _submit(store: Store, name: str) -> object:
    return store.dispatcher.submit(
        batch(new(f"{name}-x", unique_key=name, queue=name), new(f"{name}-y", queue=name), blobs=(blob(name.encode()),))
    )


def _claim(store: Store, name: str) -> object:
    return store.dispatcher.claim(Ask(runner_id="r2", limit=3, start=1, queues=(f"q-{name}",)))


def _succeed(store: Store, name: str) -> object:
    result = blob(name.encode() * 99)
    done = change(record(store, name), Status.SUCCESS, outcome=Payload(blob=result.key), blobs=(result,), outbox=("x",))
    return store.dispatcher.settle([done], ask=Ask(runner_id="r1", limit=2, start=1, queues=(f"q-{name}",)))


def _pause(store: Store, name: str) -> object:
    return store.dispatcher.settle([change(record(store, name), Status.PAUSED, awaits=(f"{name}-1",), boost=-1.0)])


def _recover(store: Store, name: str) -> object:
    gone = change(record(store, name), Status.RUNNING_RECOVERY, Status.REROUTED, by="sweeper", crashes=1)
    return store.state.swap([gone])


def _mark(store: Store, name: str) -> object:
    return store.state.mark([Mark(invocation_id=name, progress=b"half", boost=-5.0)])


def _put(store: Store, name: str) -> object:
    return store.state.put_value("kind", name, b"1", if_absent=True)


def _lease(store: Store, name: str) -> object:
    return store.state.take_lease(name, "r1", 30.0)


def _acquire(store: Store, name: str) -> object:
    return store.state.acquire([f"{name}-free", f"{name}-2"], Ask(runner_id="r2", limit=3, start=1))


DISPATCHER_OPERATIONS: dict[str, Operation] = {"submit": _submit, "claim": _claim, "settle and claim": _succeed, "pause": _pause}
STATE_OPERATIONS: dict[str, Operation] = {"recover": _recover, "mark": _mark, "put": _put, "take a role": _lease, "acquire": _acquire}


class StateInterruptionRules(StorageSubject):
    """The connection breaks, or an exception strikes, before any one of a storage verb's driver calls."""

    @pytest.mark.parametrize("name", STATE_OPERATIONS)
    def test_a_verb_that_is_cut_short_is_whole_or_absent_and_can_be_repeated(self, store: Store, other: Store, raw: Raw, name: str) -> None:
        cut_everywhere(self, store, other, raw, name, STATE_OPERATIONS[name])


class DispatcherInterruptionRules(StorageSubject):
    """The connection breaks, or an exception strikes, before any one of a dispatcher call's driver calls."""

    @pytest.mark.parametrize("name", DISPATCHER_OPERATIONS)
    def test_a_call_that_is_cut_short_is_whole_or_absent_and_can_be_repeated(self, store: Store, other: Store, raw: Raw, name: str) -> None:
        cut_everywhere(self, store, other, raw, name, DISPATCHER_OPERATIONS[name])


def cut_everywhere(subject: StorageSubject, store: Store, other: Store, raw: Raw, name: str, operation: Operation) -> None:
    """Cut the operation at its first driver call, then in a new situation at its second, and so on to the last.

    Each time it must be whole or absent; where it is absent another process repeats it. (A store whose verbs are several
    steps may leave a part, which another process finishes by `republish` and by repeating it.)
    """
    for cut_at, key in _situations(store):
        before = raw.dump()
        scissors = Scissors(cut_at)
        with choked(subject.chokes, scissors.step):
            run_cut(lambda: operation(store, key))  # noqa: B023 - called at once
        if scissors.calls < cut_at:
            assert cut_at > 1, f"{name} made no call of {subject.chokes}"
            assert raw.dump() != before, "the operation did nothing although nothing stopped it"
            return
        if raw.dump() == before:
            operation(other, key)
            assert raw.dump() != before, "after the cut the operation does nothing any more"
        elif not subject.one_step:
            finish_part(other, name, key, operation)
        assert_whole(other, name, key)
        submit(other, new(f"{key}-after"))
    pytest.fail(f"{name} does not end after 200 driver calls")


def finish_part(store: Store, name: str, key: str, operation: Operation) -> None:
    """Finish what an operation of several steps left when it was cut short: as the sweep does, and by repeating it unless it is whole."""
    store.dispatcher.republish()
    held = store.state.get([key])[key].state
    if not held.final and not (name == "pause" and held.status is Status.PAUSED) and not (name == "recover" and held.crashes):
        operation(store, key)


def _situations(store: Store) -> Iterator[tuple[int, str]]:
    """Yield the number of each driver call to cut, with the name of a situation made for it in an empty store."""
    for cut_at in range(1, 200):
        store.state.purge()
        prepare_situation(store, f"n{cut_at}")
        yield cut_at, f"n{cut_at}"


def prepare_situation(store: Store, key: str) -> None:
    """Let an invocation run under this name and hold a limit for which two wait in the queue `q-<name>`."""
    running(store, key, limits=limits(key), rank=0.0)
    waiting = [new(f"{key}-{number}", queue=f"q-{key}", rank=float(number), limits=limits(key)) for number in (1, 2)]
    submit(store, *waiting, new(f"{key}-free", queue=f"free-{key}"))


def run_cut(operation: Callable[[], object]) -> None:
    """Carry out an operation that may be cut short; what else it raises is raised here. A backend may wrap the cut."""
    try:
        operation()
    except Exception as error:
        if not _is_cut(error):
            raise


def _is_cut(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, CutError):
            return True
        error = error.__cause__ or error.__context__
    return False


def assert_whole(store: Store, name: str, key: str) -> None:
    """Assert that the operation, carried out once, has left all of what it writes."""
    found = store.state.get([key, f"{key}-x", f"{key}-y", f"{key}-1", f"{key}-2", f"{key}-free"])
    held = found[key].state
    if name == "submit":
        assert {f"{key}-x", f"{key}-y"} <= found.keys()
        assert len(claim(store, limit=9, queues=(key,)).claimed) == 2
        assert store.state.get_blobs([blob(key.encode()).key])
    elif name == "claim":
        assert {found[f"{key}-{number}"].state.status for number in (1, 2)} == {Status.CONCURRENCY_CONTROLLED}
    elif name == "settle and claim":
        assert (held.status, held.outbox) == (Status.SUCCESS, ("x",))
        assert store.state.get_blobs([blob(key.encode() * 99).key])
    elif name == "pause":
        assert (held.status, found[f"{key}-1"].side.boost) == (Status.PAUSED, -1.0)
    elif name == "recover":
        assert (held.status, held.crashes, len(store.state.history([key])[key])) == (Status.REROUTED, 1, 5)
    elif name == "mark":
        assert (found[key].side.progress, found[key].side.boost) == (b"half", -5.0)
    elif name == "put":
        assert store.state.get_values("kind", [key]) == {key: b"1"}
    elif name == "take a role":
        assert store.state.take_lease(key, "r2", 1.0) is None
    else:
        assert found[f"{key}-free"].state.status is Status.RUNNING
        assert found[f"{key}-2"].state.status is not Status.REGISTERED
