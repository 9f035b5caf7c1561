"""Which keys a call is limited and deduplicated by, from its task's options."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pynenc_core.model import CallDTO, Limit
from pynenc_core.orchestration.registry import TaskDefinition


def limits_of(definition: TaskDefinition, call: CallDTO) -> tuple[Limit, ...]:
    """Return the limits that a call's invocation has to find room in before it runs."""
    options = definition.options
    if options.running_concurrency == "disabled" and not options.limits:  # most tasks
        return ()
    key = _key(options.running_concurrency, options.key_arguments, call)
    running = (Limit(f"running:{key}", 1),) if key else ()
    return running + tuple(
        Limit(f"limit:{number}:{_key('keys' if each.key_arguments else 'task', each.key_arguments, call)}", each.concurrency)
        for number, each in enumerate(options.limits)
    )


def unique_key_of(definition: TaskDefinition, call: CallDTO) -> str:
    """Return the key under which at most one invocation may be registered and not final; empty for no such limit."""
    key = _key(definition.options.registration_concurrency, definition.options.key_arguments, call)
    return f"registered:{key}" if key else ""


def _key(level: str, key_arguments: Sequence[str], call: CallDTO) -> str:
    if level == "task":
        return call.task_id
    if level == "arguments":
        return call.call_id
    if level == "keys":
        digest = hashlib.sha256()
        for name, payload in call.arguments:
            if name in key_arguments:
                digest.update(f"{name}={len(payload.data)}:{payload.blob}:".encode() + payload.data)
        return f"{call.task_id}#{digest.hexdigest()[:32]}"
    return ""
