"""What a plugin is asked, and answers, when an attempt has failed."""

from __future__ import annotations

import attrs

from pynenc_core.config import TaskSettings


@attrs.frozen
class Failure:
    """What `pynenc_decide_retry` judges: a failed attempt."""

    invocation_id: str
    task_id: str
    exception: BaseException
    attempts: int
    """Attempts that failed before this one."""
    options: TaskSettings


@attrs.frozen
class RetryDecision:
    """Whether to try again, and after how many seconds: what is no time becomes `retry_max_delay_sec`, what is over none."""

    again: bool
    delay: float = 0.0
