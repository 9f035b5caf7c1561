"""The runner under the kit's contracts, and what it adds to them."""

from __future__ import annotations

from typing import ClassVar

from pynenc_core import Pynenc
from pynenc_testkit.contracts import PluginContract, RunnerContract

app = Pynenc("memory://", app_id="inline-tests", runner_cls="inline", inline={"stop_when_idle_sec": 0.2})


@app.task
def add_up(number: int) -> int:
    return number + add_up(number - 1).result if number else 0


class TestPlugin(PluginContract):
    plugin: ClassVar[str] = "runner-inline"


class TestRunner(RunnerContract):
    runner: ClassVar[str] = "inline"
    own_processes: ClassVar[bool] = False
    most_slots: ClassVar[int] = 1


def test_it_ends_when_nothing_is_left_to_do() -> None:
    invocations = [add_up(number) for number in range(5)]
    app.make_runner().run()
    assert [str(invocation.status) for invocation in invocations] == ["SUCCESS"] * 5
    assert [invocation.result for invocation in invocations] == [0, 1, 3, 6, 10]
