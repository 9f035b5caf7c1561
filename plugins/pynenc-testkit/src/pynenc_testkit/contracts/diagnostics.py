"""What holds for every plugin that adds sections to the report of a shutdown."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from pynenc_core.model import ShutdownEvent, ShutdownReport, plain
from pynenc_core.plugins import PluginManager
from pynenc_testkit.stores import PATIENCE, Background, eventually

_DESCRIPTORS, _PROCESSES = Path("/dev/fd"), Path("/proc")


def event_of(pid: int) -> ShutdownEvent:
    """Return the event of a runner in the process `pid`."""
    return ShutdownEvent(
        class_name="KitRunner",
        runner_id=f"KitRunner@here-{pid}-kit",
        host="here",
        pid=pid,
        at=time.time(),
        signum=15,
        signal_name="SIGTERM",
        reason="sigterm",
    )


@pytest.mark.pynenc_contract
class DiagnosticsContract:
    """A plugin's sections are plain data, come soon, and cost nothing afterwards. Give the entry point's name, or override `answer`."""

    plugin: ClassVar[str] = ""
    deadline: ClassVar[float] = 2.0
    """Seconds within which it answers; all plugins together have as many, by default."""

    def answer(self, event: ShutdownEvent) -> object:
        """Return what the plugin answers to `pynenc_shutdown_diagnostics`; raises what it raises."""
        manager = PluginManager(environ={})
        for answer in manager.hooks.each("pynenc_shutdown_diagnostics", event=event):
            if answer.plugin == self.plugin:
                if answer.error is not None:
                    raise answer.error.__cause__ or answer.error
                return answer.value
        pytest.fail(f"no installed plugin {self.plugin!r} adds sections")

    def sections(self, pid: int = 0) -> Mapping[str, object]:
        """Return the plugin's sections about a process, this one if none is named."""
        found = self.answer(event_of(pid or os.getpid()))
        assert isinstance(found, Mapping), f"it answers {found!r} instead of a mapping of titles to sections"
        assert found, "it has nothing to say"
        return cast("Mapping[str, object]", found)

    def test_its_sections_are_plain_data_under_titles(self) -> None:
        found: Mapping[Any, object] = self.sections()
        assert all(isinstance(title, str) and title.strip() for title in found), f"these are no titles: {list(found)}"
        assert plain(found) == found, "mappings with str keys, lists and finite scalars are plain data; nothing else is"

    def test_it_answers_within_the_deadline(self) -> None:
        began = time.monotonic()
        assert self.sections()
        took = time.monotonic() - began
        assert took < self.deadline, f"it took {took:.2f} s of {self.deadline:g} s that all plugins have together"

    def test_the_report_with_them_is_readable_and_comes_back_from_json(self) -> None:
        report = ShutdownReport(event=event_of(os.getpid()), sections=dict(self.sections()))
        assert ShutdownReport.from_json(report.to_json()) == report
        text = report.to_text()
        assert [title for title in report.sections if f"\n  {title}:" not in text] == []

    def test_children_that_live_ended_or_wait_to_be_buried_do_not_disturb_it(self) -> None:
        sleeper = [sys.executable, "-S", "-c", "input()"]
        living = subprocess.Popen(sleeper, stdin=subprocess.PIPE)
        ended = subprocess.Popen(sleeper, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # from here on it is a zombie: nobody has asked how it ended
            assert self.sections()
        finally:
            ended.wait()
            living.communicate()
        assert self.sections()

    def test_children_that_come_and_go_do_not_disturb_it(self) -> None:
        with _coming_and_going():
            for _ in range(5):
                assert self.sections()

    def test_a_process_that_is_gone_does_not_disturb_it(self) -> None:
        gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
        gone.wait()
        answer = self.answer(event_of(gone.pid))
        assert answer is None or isinstance(answer, Mapping)
        assert self.sections()

    def test_it_can_be_asked_in_any_thread_and_in_two_at_once(self) -> None:
        asked = [Background(self.sections) for _ in range(2)]
        here = set(self.sections())
        assert [set(cast("Mapping[str, object]", each.result())) for each in asked] == [here, here]

    def test_collecting_leaves_no_thread_no_descriptor_and_no_child_behind(self) -> None:
        assert self.sections()  # what it imports and opens once, for good, is open now
        threads, descriptors, children = set(threading.enumerate()), _open_descriptors(), _children()
        for _ in range(3):
            self.sections()
        eventually(lambda: set(threading.enumerate()) <= threads, "the end of its threads")
        assert _open_descriptors() <= descriptors
        assert _children() <= children


@contextmanager
def _coming_and_going() -> Generator[None]:
    """Start and end children all the time."""
    enough = threading.Event()

    def breed() -> None:
        while not enough.is_set():
            subprocess.Popen([sys.executable, "-I", "-S", "-c", ""]).wait(PATIENCE)

    threads = [threading.Thread(target=breed, name="kit-breeding", daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        enough.set()
        for thread in threads:
            thread.join(PATIENCE)


def _open_descriptors() -> int:
    return len(list(_DESCRIPTORS.iterdir()))


def _children() -> set[int]:
    """Return the processes that this one has started and that are not buried."""
    found: set[int] = set()
    for stat in _PROCESSES.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended just now
            name, _, rest = stat.read_text().rpartition(")")
            if rest.split()[1] == str(os.getpid()):
                found.add(int(name.split()[0]))
    return found
