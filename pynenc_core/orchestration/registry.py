"""Which tasks this process knows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import attrs

from pynenc_core.config import TaskSettings
from pynenc_core.errors.runners import TaskDefinitionError
from pynenc_core.signatures import CallSignature


@attrs.define(eq=False, kw_only=True)
class TaskDefinition:
    """What the rules need of a task."""

    task_id: str
    function: Callable[..., Any]
    signature: CallSignature
    options: TaskSettings
    """From all layers; read again when the app starts, since settings may be assigned to until then."""
    is_async: bool = False


class TaskRegistry:
    """The tasks of one app that are defined in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskDefinition] = {}
        self._ids: frozenset[str] = frozenset()

    def register(self, definition: TaskDefinition) -> None:
        """Add a task; a module that is loaded again replaces its own.

        Raises TaskDefinitionError when another function of the same module already has that name.
        """
        with self._lock:
            present = self._tasks.get(definition.task_id)
            if present is not None and not _same_place(present.function, definition.function):
                raise TaskDefinitionError(definition.task_id, "another function is registered under this id; rename one of them")
            self._tasks[definition.task_id] = definition
            self._ids = frozenset(self._tasks)

    def get(self, task_id: str) -> TaskDefinition | None:
        """Return the task, or None when this process does not know it."""
        return self._tasks.get(task_id)

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all tasks known here."""
        return self._ids

    def definitions(self) -> tuple[TaskDefinition, ...]:
        """Return all tasks known here."""
        with self._lock:
            return tuple(self._tasks.values())

    def modules(self) -> tuple[str, ...]:
        """Return the modules in which the tasks are, in order."""
        with self._lock:
            return tuple(dict.fromkeys(definition.function.__module__ for definition in self._tasks.values()))


def _same_place(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    here, there = getattr(one, "__code__", None), getattr(other, "__code__", None)
    if here is None or there is None:
        return one is other
    return bool(here.co_filename == there.co_filename)
