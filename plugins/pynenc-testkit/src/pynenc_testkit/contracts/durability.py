"""What is written stays written, whatever becomes of the process that wrote it."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable

import pytest

from pynenc_core.errors.backends import StoreFormatError
from pynenc_core.model import Query
from pynenc_core.status import Status
from pynenc_testkit.clock import ManualClock
from pynenc_testkit.contracts.interruptions import DISPATCHER_OPERATIONS, STATE_OPERATIONS, assert_whole, finish_part, prepare_situation
from pynenc_testkit.contracts.subject import Opener, StorageSubject
from pynenc_testkit.killpoints import KillPoint, kill_points
from pynenc_testkit.samples import batch, blob, claim, finish, history, ids, new, record, running, submit
from pynenc_testkit.stores import KitApp, Raw

OPERATIONS = {**STATE_OPERATIONS, **DISPATCHER_OPERATIONS}
NEWER = 999


def in_child(call: Callable[[], object]) -> int:
    """Carry out a call in a forked child, and return the child's exit code: 0, or 1 when the call raised."""
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # Python warns of threads that the child will lack; the child only uses what it opens itself.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            call()
            code = 0
        except BaseException:  # noqa: BLE001 - nothing may get past here, or the child goes on as a second test run
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class DurableContract(StorageSubject):
    """What a state backend does besides whose spec says that it is durable; give `url`, `chokes` and a fixture `raw`."""

    def test_what_was_written_is_there_for_the_next_process(self, opened: Opener) -> None:
        first = opened()
        done, held = running(first, "done", parent_id="p"), running(first, "held")
        finish(first, done)
        submit(first, new("waits", queue="q"), new("later", due=4e9), blobs=(blob(b"content"),))
        first.state.put_value("kind", "key", b"value")
        first.state.beat(["r1"], 30.0)
        lease = first.state.take_lease("role", "r1", 30.0)
        before = first.state.get(["done", "held", "waits", "later"])
        entries = history(first, "done")
        first.close()
        again = opened()
        assert again.state.get(["done", "held", "waits", "later"]) == before
        assert record(again, "held") == held
        assert history(again, "done") == entries
        assert again.state.get_blobs([blob(b"content").key]) == {blob(b"content").key: b"content"}
        assert again.state.list_values("kind") == (("key", b"value"),)
        assert [beat.runner_id for beat in again.state.beats()] == ["r1"]
        assert lease is not None
        assert again.state.take_lease("role", "r2", 30.0) is None
        assert ids(claim(again, queues=("q",))) == ["waits"]
        assert again.state.count(Query()) == {Status.SUCCESS: 1, Status.RUNNING: 1, Status.PENDING: 1, Status.SCHEDULED: 1}

    def test_a_newer_store_is_refused_and_left_as_it_is(self, opened: Opener, raw: Raw) -> None:
        first = opened()
        submit(first, new("a"))
        first.close()
        raw.set_format(NEWER)
        dumped = raw.dump()
        with pytest.raises(StoreFormatError, match=str(NEWER)) as refused:
            opened().state.add_batch(batch(new("b")))
        assert (refused.value.found, refused.value.supported < NEWER) == (NEWER, True)
        assert raw.dump() == dumped
        raw.set_format(refused.value.supported)
        assert ids(claim(opened())) == ["a"]

    @pytest.mark.parametrize("name", OPERATIONS)
    def test_a_process_killed_at_any_driver_call_leaves_all_or_nothing(
        self, opened: Opener, raw: Raw, clock: ManualClock, place: str, name: str
    ) -> None:
        names: list[str] = []

        def run(point: KillPoint) -> int:
            store, key = opened(), f"n{len(names)}"
            names.append(key)
            prepare_situation(store, key)
            store.close()
            before = raw.dump()
            code = in_child(lambda: work(point, key))
            after = opened()
            if raw.dump() == before:
                OPERATIONS[name](after, key)
            elif not self.one_step:
                finish_part(after, name, key, OPERATIONS[name])
            assert_whole(after, name, key)
            after.state.purge()
            after.close()
            return code

        def work(point: KillPoint, key: str) -> None:
            child = self.open_store(KitApp("kit", place, clock))
            child.state.prepare()
            child.state.get([])
            with point.over(*self.chokes):
                OPERATIONS[name](child, key)

        assert list(kill_points(run, limit=100)), f"{name} made no call of {self.chokes}"
