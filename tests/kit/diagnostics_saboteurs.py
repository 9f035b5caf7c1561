"""Plugins that each get one thing wrong about the sections they add, and one that adds nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from kit.inner_run import caught_by
from pynenc_core.model import ShutdownEvent
from pynenc_testkit.stores import eventually

_kept: list[object] = []


class Honest:
    """What a plugin may be: it says how many threads a process has, if there is such a process."""

    caught_by: ClassVar[tuple[str, ...]] = ()

    def answer(self, event: ShutdownEvent) -> object:
        return self.say(event)

    def say(self, event: ShutdownEvent) -> Mapping[str, object] | None:
        tasks = Path(f"/proc/{event.pid}/task")
        return {"threads": {"count": len(list(tasks.iterdir()))}} if tasks.exists() else None


@caught_by("test_its_sections_are_plain_data_under_titles", "test_the_report_with_them_is_readable_and_comes_back_from_json")
class ReturnsObjects(Honest):
    """JSON cannot carry what it returns."""

    def say(self, event: ShutdownEvent) -> Mapping[str, object]:
        return {"place": Path(f"/proc/{event.pid}")}


@caught_by("test_its_sections_are_plain_data_under_titles")
class HasNoTitle(Honest):
    """Nobody could say what its section is about."""

    def say(self, event: ShutdownEvent) -> Mapping[str, object]:
        return {" ": event.pid}


@caught_by("test_it_answers_within_the_deadline")
class TakesItsTime(Honest):
    """It is not done when it should be."""

    def say(self, event: ShutdownEvent) -> Mapping[str, object] | None:
        threading.Event().wait(0.6)
        return super().say(event)


@caught_by("test_a_process_that_is_gone_does_not_disturb_it")
class TrustsTheEvent(Honest):
    """It takes for granted that the process is there."""

    def say(self, event: ShutdownEvent) -> Mapping[str, object]:
        return {"threads": {"count": len(list(Path(f"/proc/{event.pid}/task").iterdir()))}}


@caught_by("test_children_that_live_ended_or_wait_to_be_buried_do_not_disturb_it")
class TrustsTheChildren(Honest):
    """It takes for granted that each child runs a program."""

    def say(self, event: ShutdownEvent) -> Mapping[str, object] | None:
        programs = {str(pid): str(Path(f"/proc/{pid}/exe").readlink()) for pid in _children_of(event.pid)}
        found = super().say(event)
        return None if found is None else {**found, "programs": programs}


@caught_by("test_children_that_come_and_go_do_not_disturb_it")
class TrustsThatTheyStay(Honest):
    """It takes for granted that who was there a moment ago still is."""

    def say(self, event: ShutdownEvent) -> Mapping[str, object] | None:
        listed = _children_of(event.pid)
        with suppress(AssertionError):  # where children neither come nor go the mistake does not show
            eventually(lambda: any(not Path(f"/proc/{pid}").exists() for pid in listed), "one of them to go", 0.2)
        for pid in listed:
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        return super().say(event)


@caught_by("test_collecting_leaves_no_thread_no_descriptor_and_no_child_behind")
class LeavesThreads(Honest):
    """Each call begins something that never ends."""

    def say(self, event: ShutdownEvent) -> Mapping[str, object] | None:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        return super().say(event)


@caught_by("test_collecting_leaves_no_thread_no_descriptor_and_no_child_behind")
class LeavesFilesOpen(Honest):
    """Each call opens something that nobody closes."""

    def say(self, event: ShutdownEvent) -> Mapping[str, object] | None:
        _kept.append(os.open(os.devnull, os.O_RDONLY))
        return super().say(event)


@caught_by("test_collecting_leaves_no_thread_no_descriptor_and_no_child_behind")
class LeavesChildren(Honest):
    """Each call starts a program and does not wait for its end."""

    def say(self, event: ShutdownEvent) -> Mapping[str, object] | None:
        _kept.append(subprocess.Popen([sys.executable, "-S", "-c", ""]))
        return super().say(event)


@caught_by("test_it_can_be_asked_in_any_thread_and_in_two_at_once")
class MainThreadOnly(Honest):
    """It knows only one thread."""

    def say(self, event: ShutdownEvent) -> Mapping[str, object] | None:
        assert threading.current_thread() is threading.main_thread()
        return super().say(event)


def _children_of(parent: int) -> list[int]:
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text(encoding="utf-8").rpartition(")")
        except OSError:
            continue
        if rest.split()[1] == str(parent):
            found.append(int(name.split()[0]))
    return found


class Void(Honest):
    """It has nothing to say."""

    def say(self, event: ShutdownEvent) -> None:
        del event


DIAGNOSTICS_SABOTEURS: tuple[type[Honest], ...] = tuple(each for each in Honest.__subclasses__() if each is not Void)
