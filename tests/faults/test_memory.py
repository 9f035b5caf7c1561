"""A child that the kernel kills for want of memory: its parent lives, says what it was, and the other slots go on."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest

from faults.conftest import MakeScenario
from faults.memory import Group, LikeAGroup, RealGroup, little_memory
from faults.runners import POOLS, runners
from faults.scenario import Scenario
from pynenc_core.orchestration.reporting.endings import recent_ends, report_of

MIB = 220
"""For a runner, two workers of 35 MiB each, and not for a task that takes 400."""
MOST = 1000
"""How gladly the kernel kills a process, at most."""


@pytest.mark.smoke
@runners("persistent-process", of=POOLS)
def test_the_end_of_a_child_without_memory_is_recognised(scenario: MakeScenario, tmp_path: Path, runner: str) -> None:
    with little_memory(MIB, tmp_path / "root") as group, scenario("F06", runner) as it:
        starve(it, group)


def test_where_no_group_can_be_made_one_that_looks_like_it_shows_the_same(scenario: MakeScenario, tmp_path: Path) -> None:
    with scenario("F06-likeness", "persistent-process") as it:
        starve(it, LikeAGroup.below(tmp_path / "root", MIB))


def starve(it: Scenario, group: Group) -> None:
    """Let one task take more than there is, while others run beside it."""
    host = it.fleet.start(it.runner, 2, group.variables, crowd=1)
    (hungry,) = it.accept([it.jobs.hungry(400 if group.real else 1)])
    it.ledger.wait_for(1)
    (victim,) = [line.pid for line in it.ledger.lines()]
    others = it.accept(it.jobs.work.parallelize([(number, 0.02) for number in range(60)]))
    first, then = (int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (victim, host.pid))
    assert first > then or first == MOST, "the kernel should kill a worker rather than the runner"
    group.starve(victim)
    it.wait_until_final()
    assert hungry.get_result().endswith("/2"), "the second execution ends"
    assert [each.get_result() for each in others] == list(range(60))
    assert host.exit_code is None

    assert host.stop() == 0
    ends = recent_ends(it.project.app.state_backend)
    (report,) = filter(None, (report_of(it.project.app.state_backend, name) for name in ends))
    dead = [child.exit_reason for child in report.children if child.exit_code]
    kills = len(dead)
    # the kernel may kill another worker before the memory of the first one is free again
    assert 1 <= kills <= 2
    for reason in dead:
        assert re.fullmatch(r"killed by SIGKILL: out of memory \(cgroup oom_kill rose from [01] to [12]\)", reason)
        assert reason in host.said()
        assert reason in {end.reason for end in ends.values()}
    assert any(reason in entry.status_record.reason for entry in hungry.history for reason in dead)
    assert it.record(hungry).state.crashes == 1
    assert sum(it.record(each).state.crashes for each in others) <= kills - 1
    if group.real:
        assert report.cgroup is not None
        assert (report.cgroup.limit_bytes, report.cgroup.oom_kills) == (MIB << 20, kills)
    it.finish(extra=kills)


def test_the_group_is_gone_after_a_failure(tmp_path: Path) -> None:
    with suppress(LookupError), little_memory(MIB, tmp_path) as group:
        raise LookupError
    assert not (isinstance(group, RealGroup) and group.folder.exists())
