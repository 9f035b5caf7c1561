"""The smallest runner there can be, and an app that notes what a runner asks of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Generator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from pynenc_core.config import SettingsSection
from pynenc_core.model import RunnerContext
from pynenc_core.orchestration.current import in_runner
from pynenc_core.orchestration.shutdown import stop_signals
from pynenc_core.ports.runner import BaseRunner

S = TypeVar("S", bound=SettingsSection)


class Rules:
    """Stands for the orchestrator."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes
        self.lock = threading.Lock()
        self.waits: list[float | None] = []

    def wake(self) -> None:
        """Take a lock, as the dispatchers of real stores do."""
        with self.lock:
            pass

    def store_runner_context(self, context: RunnerContext) -> None:
        """Note it."""
        self.notes.append(f"store {context.class_name}")

    def register_runner_heartbeats(self, runner_ids: Collection[str]) -> None:
        """Note it."""
        self.notes.append(f"beat {' '.join(runner_ids)}")

    def wait_outside(self, invocation_ids: Collection[str], timeout: float | None) -> frozenset[str]:
        """Note for how long."""
        del invocation_ids
        self.waits.append(timeout)
        return frozenset()

    def kill_and_reroute(self, invocation_id: str, runner_id: str) -> bool:
        """Note it; only what runs can be handed back."""
        self.notes.append(f"reroute {invocation_id} of {runner_id}")
        return invocation_id == "running"


class Duties:
    """Notes what is done with it."""

    may_claim = True

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: self._notes.append(f"duties.{name}")


class View:
    """A `RunnerView` without a store. It travels as a name: the copy of a runner has this very object."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.orchestrator = Rules(self.notes)
        self.logger = logging.getLogger("pynenc.tiny")
        self.caches = 0

    def __reduce__(self) -> tuple[Callable[[], View], tuple[()]]:
        return the_view, ()

    def __getattr__(self, name: str) -> Callable[..., tuple[()]]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments: self._note(name, arguments)

    def _note(self, name: str, arguments: tuple[object, ...]) -> tuple[()]:
        shown = [repr(each) for each in arguments if not isinstance(each, RunnerContext)]
        self.notes.append(" ".join([name, *shown]))
        return ()

    def section(self, settings_class: type[S]) -> S:
        """Return the defaults."""
        return settings_class()

    def open_duties(self, *_: object) -> Duties:
        """Return duties that note."""
        return Duties(self.notes)

    @contextmanager
    def signals(self, stop: Callable[[int], None], wake: Callable[[], None]) -> Generator[None, None, None]:
        """Handle them as an app does."""
        with stop_signals(self.logger, stop, wake):
            yield

    def in_runner(self, runner: object, context: RunnerContext) -> AbstractContextManager[None]:
        """Do as an app does."""
        return in_runner(runner, context)

    def shared_cache(self, runner_id: str) -> MutableMapping[str, object]:
        """Return a mapping that cannot be pickled, and count."""
        self.caches += 1
        return Unpicklable({"of": runner_id})


class Unpicklable(dict[str, object]):
    """As whatever holds a connection."""

    def __reduce__(self) -> Any:
        raise TypeError("a connection cannot be pickled")


_view = View()


def the_view() -> View:
    """Return the view of the test that runs."""
    return _view


def new_view() -> View:
    """Return a new one, which `the_view` returns from now on."""
    global _view  # noqa: PLW0603 - what pickles name has to be found in a module
    _view = View()
    return _view


class TinyRunner(BaseRunner):
    """Does in each iteration what the test gave it to do; stops when nothing is left."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self.steps: list[Callable[[], object]] = []
        self.pauses: list[float] = []

    @staticmethod
    def mem_compatible() -> bool:
        """Return True."""
        return True

    @property
    def max_parallel_slots(self) -> int:
        """One."""
        return 1

    def get_active_child_runner_ids(self) -> Collection[str]:
        """Return nothing."""
        return ()

    def _on_start(self) -> None:
        the_view().notes.append("_on_start")

    def _on_stop(self) -> None:
        the_view().notes.append("_on_stop")

    def _on_stop_runner_loop(self) -> None:
        the_view().notes.append("_on_stop_runner_loop")

    def runner_loop_iteration(self) -> None:
        """Take the next step."""
        if self.steps:
            self.steps.pop(0)()
        else:
            self.stop_runner_loop()

    def pause(self, timeout: float) -> None:
        """Note for how long."""
        self.pauses.append(timeout)

    def _waiting_for_results(
        self,
        running_invocation_id: str,
        result_invocation_ids: Sequence[str],
        runner_args: Mapping[str, object] | None = None,
    ) -> frozenset[str]:
        return frozenset({running_invocation_id, *result_invocation_ids, *(runner_args or {})})


def raising(error: BaseException) -> Callable[[], object]:
    """Return a step that raises."""

    def step() -> object:
        raise error

    return step
