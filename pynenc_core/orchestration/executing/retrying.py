"""Decides what follows a failed attempt."""

from __future__ import annotations

import math

import attrs

from pynenc_core.errors.invocations import RetryError
from pynenc_core.orchestration.engine import Engine
from pynenc_core.orchestration.registry import TaskDefinition
from pynenc_core.ports.clock import SYSTEM_RANDOM
from pynenc_core.ports.retries import Failure, RetryDecision


def decide_retry(engine: Engine, definition: TaskDefinition, error: BaseException, attempts: int, invocation_id: str = "") -> RetryDecision:
    """Return what follows a failed attempt: as the first plugin decides, else by the task's options."""
    failure = Failure(invocation_id, definition.task_id, error, attempts, definition.options)
    decision = engine.hooks.decide_retry(failure) or _default_decision(failure)
    if math.isfinite(decision.delay):
        return attrs.evolve(decision, delay=max(0.0, decision.delay))
    return attrs.evolve(decision, delay=definition.options.retry_max_delay_sec)


def _default_decision(failure: Failure) -> RetryDecision:
    options = failure.options
    if failure.attempts >= options.max_retries or not isinstance(failure.exception, (RetryError, *options.retry_for)):
        return RetryDecision(again=False)
    asked = failure.exception.delay if isinstance(failure.exception, RetryError) else None
    if asked is not None:
        return RetryDecision(again=True, delay=asked)
    delay = _backoff(options.retry_delay_sec, options.retry_backoff, failure.attempts, options.retry_max_delay_sec)
    return RetryDecision(again=True, delay=delay * (1 + options.retry_jitter * SYSTEM_RANDOM.uniform(-1, 1)))


def _backoff(first: float, factor: float, attempts: int, longest: float) -> float:
    """Return the delay after so many attempts; `factor ** attempts` may be too large for a float."""
    if first == 0:
        return 0.0
    try:
        return float(min(first * factor**attempts, longest))
    except OverflowError:
        return longest
