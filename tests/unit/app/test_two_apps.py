"""Two apps in one process: neither takes the other's invocations for its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pynenc_core.errors.invocations import InvocationNotFoundError
from unit.app.running import app_of_its_own, runner_of, statuses


def test_a_task_of_one_waits_for_a_task_of_the_other() -> None:
    shop, bank = app_of_its_own(threads=1), app_of_its_own(threads=1)

    @bank.task
    def pay(amount: int) -> str:
        return f"paid {amount}"

    @shop.task
    def buy(amount: int) -> list[str]:
        single = pay(amount)
        done, left = bank.wait(pay.parallelize([(1,), (2,)]))
        assert left == []
        return [single.get_result(10), *sorted(str(each.result) for each in done), single.invocation_id]

    with runner_of(bank), runner_of(shop):
        made = buy(7)
        *paid, payment_id = made.get_result(10)
    assert paid == ["paid 7", "paid 1", "paid 2"]
    assert statuses(made)[-1] == "SUCCESS"
    payment = bank.get_invocation(payment_id)
    assert payment.record.invocation.parent_id == ""
    assert payment.workflow.workflow_id == payment_id
    with pytest.raises(InvocationNotFoundError):
        shop.get_invocation(payment_id)


def test_they_share_a_file_and_see_and_purge_their_own_only(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    one, other = app_of_its_own(url), app_of_its_own(url)

    def job(n: int) -> int:
        return n

    mine, theirs = one.task(job)(1), other.task(job)(2)
    assert one.orchestrator.count_invocations() == other.orchestrator.count_invocations() == 1
    with runner_of(one):
        assert mine.get_result(5) == 1
    assert theirs.status == "REGISTERED"
    one.purge()
    assert one.orchestrator.count_invocations() == 0
    with runner_of(other):
        assert theirs.get_result(5) == 2
    with pytest.raises(InvocationNotFoundError):
        one.get_invocation(mine.invocation_id)
    one.close()
    other.close()


def test_an_app_goes_on_after_it_was_closed(tmp_path: Path) -> None:
    app = app_of_its_own(f"sqlite:///{tmp_path}/jobs.db")

    @app.task
    def one() -> int:
        return 1

    made = one()
    app.close()
    app.close()
    with runner_of(app):
        assert app.get_invocation(made.invocation_id).get_result(5) == 1
    app.close()
