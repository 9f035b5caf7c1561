"""A task with its arguments, as a stored call shows them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pynenc_core.errors.runners import UnknownTaskError
from pynenc_core.model import CallDTO
from pynenc_core.orchestration.engine import Engine


class Call:
    """What was called, and with what; the arguments are decoded when somebody looks at them."""

    def __init__(self, engine: Engine, call: CallDTO) -> None:
        self._engine = engine
        self._call = call

    @property
    def call_id(self) -> str:
        """Task and content hash of the arguments: equal for equal calls, whatever the style they were written in."""
        return self._call.call_id

    @property
    def task_id(self) -> str:
        """The id of the task, `module.qualified_name`."""
        return self._call.task_id

    @cached_property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments by parameter, decoded to its annotations.

        Raises UnknownTaskError where this process does not know the task, PayloadDecodingError, BlobMissingError.
        """
        definition = self._engine.tasks.get(self.task_id)
        if definition is None:
            raise UnknownTaskError(self.task_id, self._engine.app_id)
        args, kwargs = self._engine.codec.decode_arguments(definition, self._call)
        return definition.signature.bind(args, kwargs)

    def __repr__(self) -> str:
        return f"<Call {self.call_id}>"
