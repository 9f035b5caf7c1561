"""Changes are judged before they are sent, and a refusal becomes the right error."""

from __future__ import annotations

import attrs
import pytest

from pynenc_core.errors.invocations import InvocationNotFoundError, InvocationStatusOwnershipError, InvocationStatusTransitionError
from pynenc_core.model import CallDTO, Change, Expect, InvocationDTO, InvocationRecord, Refusal, State, WorkflowIdentity
from pynenc_core.ports.transitions import change, owned_change, raise_refusal, reason_of, was_written_before
from pynenc_core.status import Owner, Status

OWNER = Owner("r1", 3)
RECORD = InvocationRecord(
    invocation=InvocationDTO(invocation_id="i1", call_id="c", task_id="t", workflow=WorkflowIdentity("i1", "t")),
    call=CallDTO(call_id="c", task_id="t"),
    state=State(status=Status.RUNNING, runner_id="r1", claim=3, seq=5),
)


def moved(status: Status, runner_id: str = "", claim: int = 3) -> InvocationRecord:
    return attrs.evolve(RECORD, state=attrs.evolve(RECORD.state, status=status, runner_id=runner_id, claim=claim))


class TestChange:
    def test_it_expects_what_was_seen(self) -> None:
        assert change(RECORD, [Status.KILLED, Status.REROUTED], by="ctx", owner=OWNER, interruptions=1) == Change(
            invocation_id="i1",
            expect=Expect(Status.RUNNING, "r1", 3),
            through=(Status.KILLED, Status.REROUTED),
            by="ctx",
            interruptions=1,
        )

    def test_each_step_is_judged(self) -> None:
        with pytest.raises(InvocationStatusTransitionError, match="from KILLED to SUCCESS"):
            change(RECORD, [Status.KILLED, Status.SUCCESS], by="ctx", owner=OWNER)

    def test_a_stranger_may_only_recover(self) -> None:
        with pytest.raises(InvocationStatusOwnershipError):
            change(RECORD, [Status.KILLED], by="sweeper")
        assert change(RECORD, [Status.RUNNING_RECOVERY, Status.REROUTED], by="sweeper").to is Status.REROUTED


class TestOwnedChange:
    def test_the_owner_ends_it(self) -> None:
        asked = owned_change(RECORD, Status.SUCCESS, OWNER, reason="well")
        assert (asked.expect, asked.through, asked.by, asked.reason) == (
            Expect(Status.RUNNING, "r1", 3),
            (Status.SUCCESS,),
            "r1",
            "well",
        )

    @pytest.mark.parametrize(
        "record",
        [
            moved(Status.RUNNING, "r2", 4),
            moved(Status.RUNNING, "r1", 4),
            moved(Status.PENDING, "r2", 4),
            moved(Status.REROUTED),
            moved(Status.SUCCESS, "", 4),
        ],
        ids=lambda record: f"{record.state.status}-{record.state.runner_id}",
    )
    def test_a_stale_owner_is_told_so_whatever_it_asks_for(self, record: InvocationRecord) -> None:
        for to in (Status.SUCCESS, Status.PAUSED, Status.REGISTERED):
            with pytest.raises(InvocationStatusOwnershipError) as stale:
                owned_change(record, to, OWNER)
            state = record.state
            assert stale.value.fields() == {
                "invocation_id": "i1",
                "status": str(state.status),
                "to": str(to),
                "owner": state.runner_id,
                "owner_claim": state.claim,
                "by": "r1",
                "by_claim": 3,
            }

    def test_who_ended_it_is_told_that_it_is_final(self) -> None:
        with pytest.raises(InvocationStatusTransitionError, match="it is final"):
            owned_change(moved(Status.SUCCESS), Status.FAILED, OWNER)

    def test_who_owns_nothing_may_do_what_anybody_may(self) -> None:
        with pytest.raises(InvocationStatusOwnershipError):
            owned_change(RECORD, Status.SUCCESS, None)
        with pytest.raises(InvocationStatusTransitionError):
            owned_change(moved(Status.REGISTERED), Status.SUCCESS, None)
        assert owned_change(moved(Status.REROUTED), Status.CANCELLED, None).by == ""


class TestRefusal:
    asked = change(RECORD, [Status.SUCCESS], by="ctx", owner=OWNER)

    def test_what_is_gone_is_not_found(self) -> None:
        with pytest.raises(InvocationNotFoundError) as gone:
            raise_refusal("shop", self.asked, Refusal("i1", None))
        assert gone.value.fields() == {"invocation_id": "i1", "app_id": "shop"}

    def test_what_moved_on_belongs_to_somebody_else(self) -> None:
        with pytest.raises(InvocationStatusOwnershipError) as moved_on:
            raise_refusal("shop", self.asked, Refusal("i1", Status.RUNNING, "r2", 4))
        assert str(moved_on.value).startswith(
            "invocation i1 is RUNNING and belongs to r2 (claim 4); r1 (claim 3) may not move it to SUCCESS"
        )

    @pytest.mark.parametrize(
        ("refusal", "written"),
        [
            (Refusal("i1", Status.SUCCESS, "", 3), True),
            (Refusal("i1", Status.SUCCESS, "", 4), False),
            (Refusal("i1", Status.FAILED, "", 3), False),
            (Refusal("i1", None), False),
        ],
        ids=["mine", "another's", "otherwise", "gone"],
    )
    def test_a_repetition_is_told_from_a_stale_write(self, refusal: Refusal, *, written: bool) -> None:
        assert was_written_before(self.asked, refusal) is written

    def test_a_note_is_never_taken_for_written(self) -> None:
        note = attrs.evolve(self.asked, through=())
        assert not was_written_before(note, Refusal("i1", Status.RUNNING, "r1", 3))


class TestReason:
    def test_it_names_class_and_message(self) -> None:
        assert reason_of(ValueError("no", 3)) == "ValueError: ('no', 3)"

    def test_it_is_bounded(self) -> None:
        assert len(reason_of(ValueError("x" * 10_000))) == 500

    def test_a_broken_message_does_no_harm(self) -> None:
        class Mute(Exception):  # noqa: N818 - an exception of a user's
            def __str__(self) -> str:
                raise RuntimeError

        assert reason_of(Mute()) == "Mute (its message could not be made: RuntimeError)"
