"""The psutil diagnostics under the kit's contracts, and what their sections say."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, ClassVar

import psutil
import pytest

from pynenc_diagnostics_psutil.sections import machine, process_tree
from pynenc_testkit.contracts import DiagnosticsContract, PluginContract

MIB = 1024**2


class TestPlugin(PluginContract):
    plugin: ClassVar[str] = "diagnostics-psutil"


class TestDiagnostics(DiagnosticsContract):
    plugin: ClassVar[str] = "diagnostics-psutil"


def each_of(tree: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {seen["pid"]: seen for seen in tree["each"]}


def test_each_process_of_the_tree_is_told_and_summed_up() -> None:
    hungry = "b = bytearray(64 << 20); f = open('/dev/null'); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-S", "-c", hungry], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        tree: dict[str, Any] = process_tree(os.getpid())
        child.communicate()
    seen = each_of(tree)
    assert {os.getpid(), child.pid} <= set(seen)
    assert seen[child.pid]["rss_bytes"] > 64 * MIB
    assert seen[child.pid]["uss_bytes"] > 64 * MIB
    assert seen[child.pid]["descriptors"] >= 4
    assert seen[os.getpid()]["threads"] >= 1
    assert tree["total"]["processes"] == len(seen)
    for name in ("rss_bytes", "threads", "descriptors"):
        assert tree["total"][name] == sum(each[name] for each in seen.values())


def test_the_memory_of_the_machine_is_told() -> None:
    found: dict[str, Any] = machine()
    assert found["memory"]["total_bytes"] >= found["memory"]["available_bytes"] > 0
    assert set(found) <= {"memory", "swap"}


def test_what_may_not_be_looked_at_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: psutil.Process) -> None:
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, "memory_full_info", denied)
    monkeypatch.setattr(psutil.Process, "open_files", denied)
    tree: dict[str, Any] = process_tree(os.getpid())
    own = each_of(tree)[os.getpid()]
    assert "rss_bytes" not in own
    assert "open_files" not in own
    assert own["cpu_user_s"] > 0


def test_one_that_vanishes_while_it_is_looked_at_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def vanished(self: psutil.Process) -> None:
        raise psutil.NoSuchProcess(self.pid)

    monkeypatch.setattr(psutil.Process, "num_fds", vanished)
    tree: dict[str, Any] = process_tree(os.getpid())
    assert tree["each"] == []


def test_of_a_process_that_is_gone_nothing_is_told() -> None:
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    assert process_tree(gone.pid) == {"total": {"processes": 0}, "each": []}
