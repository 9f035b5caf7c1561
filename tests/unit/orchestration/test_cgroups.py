"""Limits, usage and out-of-memory kills, read from files as the kernel shows them; and deaths explained by them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pynenc_core.model import CgroupMemory
from pynenc_core.orchestration.reporting.cgroups import OomWatch, oom_kills, read_memory

MIB = 1024**2
NO_LIMIT = "9223372036854771712"  # as version 1 shows it


def write(root: Path, files: dict[str, object]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")


def version_2(root: Path) -> None:
    """Lay out an own group without a limit, in one that has one, in one that has another."""
    fs = "sys/fs/cgroup"
    write(
        root,
        {
            "proc/self/cgroup": "0::/pod/app/worker",
            f"{fs}/cgroup.controllers": "cpu memory",
            f"{fs}/pod/memory.max": 4096 * MIB,
            f"{fs}/pod/memory.current": 1000 * MIB,
            f"{fs}/pod/app/memory.max": 512 * MIB,
            f"{fs}/pod/app/memory.current": 200 * MIB,
            f"{fs}/pod/app/memory.events": "oom 9\noom_kill 9",
            f"{fs}/pod/app/worker/memory.max": "max",
            f"{fs}/pod/app/worker/memory.current": 100 * MIB,
            f"{fs}/pod/app/worker/memory.events": "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0",
        },
    )


def version_1(root: Path, path: str = "/docker/abc") -> None:
    """Lay out an own group below one with a limit, beside a version 2 hierarchy without a memory controller."""
    fs = "sys/fs/cgroup/memory"
    write(
        root,
        {
            "proc/self/cgroup": f"12:cpu,cpuacct:/x\n4:memory:{path}\n1:name=systemd:/y\n0::/z",
            f"{fs}/memory.limit_in_bytes": NO_LIMIT,
            f"{fs}/memory.usage_in_bytes": 900 * MIB,
            f"{fs}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 8",
            f"{fs}/docker/memory.limit_in_bytes": 256 * MIB,
            f"{fs}/docker/memory.usage_in_bytes": 64 * MIB,
            f"{fs}/docker/abc/memory.limit_in_bytes": NO_LIMIT,
            f"{fs}/docker/abc/memory.usage_in_bytes": 32 * MIB,
            f"{fs}/docker/abc/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5",
        },
    )


def test_version_2_has_the_limit_of_the_nearest_group_above_and_the_kills_of_our_own(tmp_path: Path) -> None:
    version_2(tmp_path)
    assert read_memory(tmp_path) == CgroupMemory(
        version=2, path="/pod/app/worker", limit_path="/pod/app", limit_bytes=512 * MIB, usage_bytes=200 * MIB, oom_kills=2
    )


def test_version_1_likewise(tmp_path: Path) -> None:
    version_1(tmp_path)
    assert read_memory(tmp_path) == CgroupMemory(
        version=1, path="/docker/abc", limit_path="/docker", limit_bytes=256 * MIB, usage_bytes=64 * MIB, oom_kills=5
    )


def test_in_a_container_that_sees_the_path_of_its_host_the_mount_is_the_group(tmp_path: Path) -> None:
    version_1(tmp_path, "/somewhere/on/the/host")
    assert read_memory(tmp_path) == CgroupMemory(version=1, path="/", usage_bytes=900 * MIB, oom_kills=8)


def test_the_root_of_a_namespace_is_a_group_like_others(tmp_path: Path) -> None:
    fs = "sys/fs/cgroup"
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            f"{fs}/cgroup.controllers": "memory",
            f"{fs}/memory.max": 128 * MIB,
            f"{fs}/memory.current": MIB,
            f"{fs}/memory.events": "oom_kill 1",
        },
    )
    assert read_memory(tmp_path) == CgroupMemory(version=2, path="/", limit_path="/", limit_bytes=128 * MIB, usage_bytes=MIB, oom_kills=1)


def test_where_nothing_is_to_be_seen_nothing_is_told(tmp_path: Path) -> None:
    assert (read_memory(tmp_path), oom_kills(tmp_path)) == (None, None)
    write(tmp_path, {"proc/self/cgroup": "0::/a"})
    assert (read_memory(tmp_path), oom_kills(tmp_path)) == (None, None)
    write(tmp_path, {"sys/fs/cgroup/cgroup.controllers": "cpu"})
    assert read_memory(tmp_path) == CgroupMemory(version=2, path="/")
    assert oom_kills(tmp_path) is None


def test_the_machine_that_runs_this_can_be_read() -> None:
    found = read_memory()
    assert found is None or found.version in {1, 2}


class Counter:
    def __init__(self, value: int | None) -> None:
        self.value = value

    def __call__(self) -> int | None:
        return self.value


def test_a_rise_explains_as_many_deaths_by_sigkill_as_were_counted() -> None:
    count = Counter(3)
    watch = OomWatch(count)
    count.value = 5
    first, segfault, second, third = (watch.exited(name, 1, code) for name, code in (("a", -9), ("b", -11), ("c", -9), ("d", -9)))
    assert [each.kind for each in (first, segfault, second, third)] == ["oom_killed", "unknown_signal", "oom_killed", "unknown_signal"]
    assert first.reason == "killed by SIGKILL: out of memory (cgroup oom_kill rose from 3 to 5)"
    assert second.reason == "killed by SIGKILL: out of memory (cgroup oom_kill rose from 4 to 5)"


def test_asked_again_about_one_death_it_says_the_same() -> None:
    count = Counter(0)
    watch = OomWatch(count)
    count.value = 1
    assert watch.exited("a", 1, -9) == watch.exited("a", 1, -9)
    assert watch.exited("b", 2, -9).kind == "unknown_signal"


def test_a_rise_that_explained_nobody_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    count, now = Counter(0), [100.0]
    monkeypatch.setattr("pynenc_core.orchestration.reporting.cgroups.time.monotonic", lambda: now[0])
    watch = OomWatch(count)
    count.value = 1  # a process that a task had started
    assert watch.exited("a", 1, 1).kind == "exit_code"
    now[0] += 60
    assert watch.exited("b", 2, -9).kind == "unknown_signal"
    count.value = 2
    assert watch.exited("c", 3, -9).kind == "oom_killed"


def test_without_a_counter_a_kill_is_a_kill() -> None:
    assert OomWatch(Counter(None)).exited("a", 1, -9).reason == "killed by SIGKILL"
