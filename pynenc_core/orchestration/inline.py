"""Runs a call where it is made, for development: encoded and decoded all the same, so that what fails in production fails here."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import copy_context
from typing import Any

from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.executing.coroutines import run_apart
from pynenc_core.orchestration.executing.retrying import decide_retry
from pynenc_core.orchestration.forked import SameProcess
from pynenc_core.orchestration.registry import TaskDefinition


def run_inline(engine: Engine, definition: TaskDefinition, arguments: Mapping[str, Any]) -> tuple[Any, BaseException | None]:
    """Return the decoded result, or the exception as a waiter would get it.

    Retries as often as the task allows, without delay. Raises ArgumentEncodingError as a call does; KeyboardInterrupt
    goes through, since it is meant for this very process.
    """
    encoded = engine.codec.encode_call(definition, arguments)
    attempts = 0
    while True:
        try:
            args, kwargs = engine.codec.decode_arguments(definition, encoded.call)
            value = copy_context().run(_call, definition, args, kwargs)
            payload, _ = engine.codec.encode_result(definition, value)
            return engine.codec.decode_result(definition, payload), None
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - it becomes the outcome, as in a worker
            if not decide_retry(engine, definition, error, attempts).again:
                payload, _ = engine.codec.encode_error(error)
                return None, engine.codec.decode_error(payload)
            attempts += 1


def _call(definition: TaskDefinition, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with SameProcess():
        if definition.is_async:
            return run_apart(lambda: definition.function(*args, **kwargs))
        return definition.function(*args, **kwargs)
