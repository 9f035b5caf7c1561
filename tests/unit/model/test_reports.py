"""The report of a shutdown: as text, as JSON, and what is made of what plugins add to it."""

from __future__ import annotations

import math
import signal
from collections.abc import Mapping
from typing import Any

import attrs
import msgspec
import pytest

from pynenc_core.model import CgroupMemory, ChildReport, ProcessExit, ShutdownEvent, ShutdownReport, ThreadReport, plain
from pynenc_core.ports.shutdown import classify_signal

EVENT = ShutdownEvent(
    class_name="PoolRunner",
    runner_id="PoolRunner@host-1-a",
    host="host",
    pid=1,
    at=1_000_000_060.5,
    started_at=1_000_000_000.0,
    signum=15,
    signal_name="SIGTERM",
    reason="sigterm",
)
REPORT = ShutdownReport(
    event=EVENT,
    platform="Linux-6.1-x86_64",
    python="3.11.7 (CPython)",
    cpus=2,
    load=(0.5, 0.25, 0.1),
    cgroup=CgroupMemory(version=2, path="/a/b", limit_path="/a", limit_bytes=512 * 1024**2, usage_bytes=100 * 1024**2, oom_kills=3),
    threads=(
        ThreadReport(name="MainThread", daemon=False),
        ThreadReport(name="pynenc-slot", daemon=True),
        ThreadReport(name="pynenc-slot", daemon=True),
    ),
    children=(
        ChildReport(runner_id="Worker@host-2-b", pid=2, alive=True, invocation_ids=("one", "two")),
        ChildReport(runner_id="Worker@host-3-c", pid=3, alive=False, exit_code=-11, exit_reason="killed by SIGSEGV"),
    ),
    running=("one",),
    waiting=("two",),
    sections={"processes": {"total": {"rss_bytes": 1536, "threads": 3}, "each": [{"pid": 1}, {"pid": 2}]}, "note": "text", "empty": []},
)
TEXT = """\
runner PoolRunner@host-1-a stops: sigterm (SIGTERM)
  runner: PoolRunner on host, pid 1, started 2001-09-09 01:46:40.000 UTC, ran 60.5 s
  time: 2001-09-09 01:47:40.500 UTC
  system: Python 3.11.7 (CPython) on Linux-6.1-x86_64
  cpus: 2, load 0.50, 0.25, 0.10
  cgroup: limit 512.0 MiB (of /a), 100.0 MiB used, oom_kill 3, cgroup v2 /a/b
  running: 1: one
  waiting: 1: two
  children: 2, 1 dead
    Worker@host-2-b, pid 2, alive, with 2: one, two
    Worker@host-3-c, pid 3, dead, killed by SIGSEGV
  threads: 3: MainThread, 2 x pynenc-slot (daemon)
  processes:
    total: rss 1.5 KiB, threads 3
    each:
      pid 1
      pid 2
  note: text
  empty: none"""


def test_it_comes_back_from_json_equal() -> None:
    line = REPORT.to_json()
    assert b"\n" not in line
    assert ShutdownReport.from_json(line) == REPORT
    assert ShutdownReport.from_json(msgspec.json.encode({**REPORT.to_data(), "of_a_later_version": 1})) == REPORT
    with pytest.raises(msgspec.ValidationError):
        ShutdownReport.from_json(b'{"sections": {}}')


def test_it_is_one_readable_block() -> None:
    assert REPORT.to_text() == TEXT


def test_what_could_not_be_collected_is_told_as_unknown() -> None:
    text = ShutdownReport(event=attrs.evolve(EVENT, started_at=None), cgroup=CgroupMemory(version=1, path="/")).to_text()
    assert "  cgroup: no memory limit, oom_kill unknown, cgroup v1 /" in text
    assert "no memory controller" in ShutdownReport(event=EVENT).to_text()
    assert "\n  running: 0\n" in text


def test_many_ids_are_counted_and_the_first_are_named() -> None:
    report = attrs.evolve(REPORT, running=tuple(f"i{number}" for number in range(30)))
    assert "running: 30: i0, i1, " in report.to_text()
    assert ", i19, ... 10 more\n" in report.to_text()
    assert len(report.to_data()["running"]) == 30


class Odd:
    def __str__(self) -> str:
        return "odd"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({1: (2, {3})}, {"1": [2, [3]]}),
        ({"a": Odd(), "b": b"x"}, {"a": "odd", "b": "b'x'"}),
        ([math.nan, math.inf, 0.5], ["nan", "inf", 0.5]),
        ({"big": 2**80, "yes": True, "no": None}, {"big": str(2**80), "yes": True, "no": None}),
        ("\udcff", "\\udcff"),
        (signal.SIGTERM, 15),
    ],
    ids=["collections", "objects", "floats", "scalars", "surrogates", "enumerations"],
)
def test_whatever_plugins_return_becomes_data_that_json_gives_back_equal(given: object, made: object) -> None:
    found = plain(given)
    assert found == made
    assert msgspec.json.decode(msgspec.json.encode(found)) == found


def test_data_without_an_end_are_cut() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    assert msgspec.json.encode(plain(endless))
    many: Any = plain({str(number): number for number in range(1000)})
    assert isinstance(many, Mapping)
    assert (len(many), many["..."]) == (501, "500 more")
    long: Any = plain(list(range(1000)))
    assert (len(long), long[-1]) == (501, "... 500 more")
    assert len(str(plain("x" * 100_000))) < 5000


@pytest.mark.parametrize(
    ("signum", "reason"),
    [
        (None, "normal"),
        (15, "sigterm"),
        (2, "sigint"),
        (9, "oom_killed"),
        (1, "unknown_signal"),
        (999, "unknown_signal"),
        (-3, "unknown_signal"),
    ],
)
def test_a_signal_is_classified_and_a_number_that_is_none_does_not_raise(signum: int | None, reason: str) -> None:
    assert classify_signal(signum) == reason


@pytest.mark.parametrize(
    ("code", "before", "now", "kind", "reason"),
    [
        (0, 3, 3, "normal", "exit code 0"),
        (3, 3, 4, "exit_code", "exit code 3"),
        (-9, 3, 4, "oom_killed", "killed by SIGKILL: out of memory (cgroup oom_kill rose from 3 to 4)"),
        (-9, 3, 3, "unknown_signal", "killed by SIGKILL"),
        (-9, None, 4, "unknown_signal", "killed by SIGKILL"),
        (-9, None, None, "unknown_signal", "killed by SIGKILL"),
        (-11, 3, 4, "unknown_signal", "killed by SIGSEGV"),
        (-15, 3, 4, "sigterm", "killed by SIGTERM"),
        (-2, None, None, "sigint", "killed by SIGINT"),
        (-200, None, None, "unknown_signal", "killed by signal 200"),
    ],
)
def test_how_a_process_ended_is_told(code: int, before: int | None, now: int | None, kind: str, reason: str) -> None:
    ended = ProcessExit(runner_id="r", pid=1, exit_code=code, oom_kills_before=before, oom_kills_now=now)
    assert (ended.kind, ended.reason) == (kind, reason)
