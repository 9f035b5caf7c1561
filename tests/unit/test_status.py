"""The status machine: every status x every target x owner, stale owner, nobody; and the table against itself.

What is expected is written down here by hand, from the specification; nothing is taken from `RULES`.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pynenc_core.errors.invocations import InvocationStatusOwnershipError, InvocationStatusTransitionError
from pynenc_core.status import CLAIMABLE, ENTRY, FINAL, OWNED, RULES, Owner, Status, allowed_next, step

GIVE_UP = "CONCURRENCY_CONTROLLED CONCURRENCY_CONTROLLED_FINAL CANCELLED"
AGAIN = "REROUTED QUARANTINED CANCELLED"
NEXT: Mapping[str, str] = {
    "(none)": "REGISTERED SCHEDULED",
    "REGISTERED": f"PENDING SCHEDULED {GIVE_UP}",
    "SCHEDULED": f"REGISTERED PENDING {GIVE_UP}",
    "PENDING": "RUNNING REROUTED KILLED PENDING_RECOVERY PARKED QUARANTINED CANCELLED",
    "RUNNING": "PAUSED SUCCESS FAILED RETRY SCHEDULED KILLED RUNNING_RECOVERY QUARANTINED CANCELLED",
    "PAUSED": "RUNNING KILLED RUNNING_RECOVERY FAILED CANCELLED",
    "RETRY": f"PENDING SCHEDULED {GIVE_UP}",
    "REROUTED": f"PENDING SCHEDULED {GIVE_UP}",
    "KILLED": AGAIN,
    "PENDING_RECOVERY": AGAIN,
    "RUNNING_RECOVERY": AGAIN,
    "CONCURRENCY_CONTROLLED": "REROUTED PENDING CONCURRENCY_CONTROLLED_FINAL CANCELLED",
    "PARKED": AGAIN,
    "CONCURRENCY_CONTROLLED_FINAL": "",
    "SUCCESS": "",
    "FAILED": "",
    "CANCELLED": "",
    "QUARANTINED": "",
}
FINALS = {"CONCURRENCY_CONTROLLED_FINAL", "SUCCESS", "FAILED", "CANCELLED", "QUARANTINED"}
CLAIMED_FROM = {"REGISTERED", "SCHEDULED", "RETRY", "REROUTED"}
OWNED_ONES = {"PENDING", "RUNNING", "PAUSED"}
FOR_ANYBODY = {"PENDING_RECOVERY", "RUNNING_RECOVERY"}
"""Entered although somebody else owns it: the owner is gone."""

OWNER = Owner("r1", 2)
WHO: Mapping[str, Owner | None] = {
    "owner": OWNER,
    "another runner": Owner("r2", 2),
    "an older claim": Owner("r1", 1),
    "a later claim": Owner("r1", 3),
    "nobody": None,
}
NAMED = {
    "owner": "r1 (claim 2)",
    "another runner": "r2 (claim 2)",
    "an older claim": "r1 (claim 1)",
    "a later claim": "r1 (claim 3)",
    "nobody": "somebody who owns nothing",
}


def expected(status: str, to: str, who: str) -> str:
    """What must come of it: a message, or who owns it then, as `owner: ...`."""
    following = NEXT[status].split()
    if to not in following:
        allowed = ", ".join(sorted(following)) or "nothing, it is final"
        return f"invocation i1 cannot go from {status} to {to}; allowed from {status}: {allowed}"
    leaves_what_is_owned = status in OWNED_ONES
    if (leaves_what_is_owned and who != "owner" and to not in FOR_ANYBODY) or (to in OWNED_ONES and who == "nobody"):
        holder = "r1 (claim 2)" if leaves_what_is_owned else "nobody"
        return (
            f"invocation i1 is {status} and belongs to {holder}; {NAMED[who]} may not move it to {to}; "
            "it was recovered or claimed anew in the meantime, and the new owner's outcome counts"
        )
    return f"owner: {NAMED[who]}" if to in OWNED_ONES else "owner: none"


def actual(status: str, to: str, who: str) -> str:
    before = None if status == "(none)" else Status(status)
    try:
        owner = step("i1", before, OWNER if status in OWNED_ONES else None, Status(to), WHO[who])
    except (InvocationStatusTransitionError, InvocationStatusOwnershipError) as refused:
        return str(refused)
    return f"owner: {owner.runner_id} (claim {owner.claim})" if owner else "owner: none"


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("to", [str(status) for status in Status])
@pytest.mark.parametrize("status", NEXT)
def test_every_transition_by_everybody(status: str, to: str, who: str) -> None:
    assert actual(status, to, who) == expected(status, to, who)


def test_the_table_of_expectations_is_whole() -> None:
    outcomes = [expected(status, to, who) for status in NEXT for to in Status for who in WHO]
    assert len(outcomes) == 18 * 17 * 5
    assert sum("cannot go" in each for each in outcomes) == 5 * (18 * 17 - 59)  # 59 arrows in the table
    assert sum("may not move" in each for each in outcomes) == 4 * 18 + 5  # 18 leave an owned status, 5 claim
    assert sum(each.startswith("owner: r") for each in outcomes) == 4 * 5 + 3  # 5 claim, 3 go from owned to owned


@pytest.mark.parametrize("status", [None, *Status], ids=str)
def test_what_may_follow_is_what_the_specification_says(status: Status | None) -> None:
    assert allowed_next(status) == {Status(each) for each in NEXT[status or "(none)"].split()}


def test_the_sets_are_what_the_specification_says() -> None:
    overriding = frozenset(status for status, rule in RULES.items() if rule.overrides)
    said = [{str(status) for status in each} for each in (FINAL, CLAIMABLE, OWNED, overriding, ENTRY)]
    assert said == [FINALS, CLAIMED_FROM, OWNED_ONES, FOR_ANYBODY, {"REGISTERED", "SCHEDULED"}]


def test_a_refusal_names_its_parts() -> None:
    with pytest.raises(InvocationStatusTransitionError) as wrong:
        step("i1", Status.PAUSED, OWNER, Status.SUCCESS, OWNER)
    assert wrong.value.fields() == {
        "invocation_id": "i1",
        "status": "PAUSED",
        "to": "SUCCESS",
        "allowed": ("CANCELLED", "FAILED", "KILLED", "RUNNING", "RUNNING_RECOVERY"),
    }
    with pytest.raises(InvocationStatusOwnershipError) as stale:
        step("i1", Status.RUNNING, OWNER, Status.SUCCESS, Owner("r1", 1))
    assert stale.value.fields() == {
        "invocation_id": "i1",
        "status": "RUNNING",
        "to": "SUCCESS",
        "owner": "r1",
        "owner_claim": 2,
        "by": "r1",
        "by_claim": 1,
    }


# --- the table against itself -----------------------------------------------------------------------------------------


def test_every_status_has_a_rule_with_a_meaning() -> None:
    assert list(RULES) == list(Status)
    assert all(rule.meaning for rule in RULES.values())


def test_every_status_can_be_reached() -> None:
    reached = set(ENTRY)
    while more := {to for status in reached for to in RULES[status].next} - reached:
        reached |= more
    assert reached == set(Status)


def test_an_end_can_be_reached_from_everywhere() -> None:
    ending = set(FINAL)
    while more := {status for status, rule in RULES.items() if rule.next & ending} - ending:
        ending |= more
    assert ending == set(Status)


def test_nothing_follows_a_final_status() -> None:
    assert FINAL
    assert all(not RULES[status].next and not RULES[status].claimable and not RULES[status].owned for status in FINAL)
    assert all(RULES[status].next for status in set(Status) - FINAL)


def test_no_status_follows_itself() -> None:
    assert all(status not in rule.next for status, rule in RULES.items())


def test_only_what_is_owned_can_be_recovered() -> None:
    for status, rule in RULES.items():
        assert any(RULES[to].overrides for to in rule.next) == rule.owned, status
    assert not any(RULES[Status(status)].owned for status in FOR_ANYBODY)


def test_whoever_waits_can_be_cancelled_and_claimed() -> None:
    assert all(Status.CANCELLED in rule.next for status, rule in RULES.items() if status not in FINAL)
    assert all(Status.PENDING in RULES[status].next for status in CLAIMABLE)


def test_a_claim_is_the_only_way_to_own() -> None:
    first_owned = {to for status, rule in RULES.items() if not rule.owned for to in rule.next if RULES[to].owned}
    assert first_owned == {Status.PENDING}
