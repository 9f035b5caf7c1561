"""What is told of processes: to operators, in the report of a shutdown and in listings."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class ChildReport:
    """One child process of a runner, as its parent knows it."""

    runner_id: str
    pid: int
    alive: bool
    exit_code: int | None = None
    """As `subprocess` tells it: negative for a signal; None while it lives."""
    exit_reason: str = ""
    invocation_ids: tuple[str, ...] = ()
    """What ran or waited in it, as far as the parent knows."""
