"""All that is known of one invocation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import attrs

from pynenc_core.app import Pynenc
from pynenc_core.cli.output import columns, fields, when
from pynenc_core.errors.base import PynencError
from pynenc_core.errors.serialization import RemoteError
from pynenc_core.model import InvocationHistory, InvocationRecord, RunnerContext
from pynenc_core.orchestration.registry import TaskDefinition
from pynenc_core.signatures import shown
from pynenc_core.status import Status

_RESULT = "result"


def details(app: Pynenc, invocation_id: str) -> dict[str, Any]:
    """Return everything about one invocation as plain data. Raises InvocationNotFoundError."""
    record = app.orchestrator.record(invocation_id)
    state, fixed = record.state, record.invocation
    definition = app.tasks.get(fixed.task_id)
    signal = record.side.signal
    return {
        "invocation_id": invocation_id,
        "task_id": fixed.task_id,
        "call_id": fixed.call_id,
        "status": str(state.status),
        "since": when(state.since),
        "reason": state.reason or None,
        "runner_id": state.runner_id or None,
        "queue": fixed.queue,
        "due": when(state.due),
        "expires": when(fixed.expires),
        "counters": {name: getattr(state, name) for name in ("attempts", "crashes", "interruptions", "claim")},
        "suspect": state.suspect,
        "workflow": {**attrs.asdict(fixed.workflow), "parent_id": fixed.parent_id or None, "replay_of": fixed.replay_of or None},
        "limits": [attrs.asdict(limit) for limit in fixed.limits],
        "awaits": list(state.awaits),
        "request": {"kind": str(signal.kind), "by": signal.by, "reason": signal.reason} if signal else None,
        "arguments": _arguments(app, definition, record),
        "result": _result(app, definition, record),
        "error": _error(app, record),
        "history": _history(app, invocation_id),
    }


def describe(found: Mapping[str, Any]) -> str:
    """Return what `details` found, as text."""
    workflow, counters = found["workflow"], found["counters"]
    head = fields(
        [
            *(
                (name.replace("_", " "), found[name])
                for name in ("invocation_id", "task_id", "status", "since", "reason", "runner_id", "queue")
            ),
            *((name, found[name]) for name in ("due", "expires") if found[name]),
            ("counters", ", ".join(f"{name} {value}" for name, value in counters.items()) + (", suspect" if found["suspect"] else "")),
            ("workflow", f"{workflow['workflow_id']} of {workflow['workflow_type']}"),
            *((name.replace("_", " "), workflow[name]) for name in ("parent_id", "parent_workflow_id", "replay_of") if workflow[name]),
            *(("limit", f"{limit['key']}, at most {limit['most']}") for limit in found["limits"]),
            *(("waits for", each) for each in found["awaits"]),
        ]
    )
    request = found["request"]
    if request:
        head += f"\nrequested  {request['kind']} by {request['by'] or 'somebody'}{': ' + request['reason'] if request['reason'] else ''}"
    parts = [head, _block("arguments", found["arguments"])]
    if found["result"] is not None:
        parts.append(f"result: {found['result']}")
    if found["error"]:
        error = found["error"]
        parts.append(f"error: {error['type']}: {error['message']}" + (f"\n{error['traceback'].rstrip()}" if error["traceback"] else ""))
    rows = [(each["seq"], each["at"], each["status"], each["by"], each["reason"]) for each in found["history"]]
    parts.append("history:\n" + columns(("#", "time", "status", "by", "reason"), rows))
    return "\n\n".join(parts)


def _block(title: str, found: object) -> str:
    if not isinstance(found, Mapping):
        return f"{title}: {found}"
    pairs = cast("Mapping[str, str]", found)
    return f"{title}:" + "".join(f"\n  {name} = {value}" for name, value in pairs.items()) if pairs else f"{title}: none"


def _arguments(app: Pynenc, definition: TaskDefinition | None, record: InvocationRecord) -> dict[str, str] | str:
    """Return the arguments as they may be shown, or why they cannot be."""
    if definition is None:
        names = ", ".join(f"{name} ({payload.size} bytes)" for name, payload in record.call.arguments)
        return f"this process does not know the task, so they stay encoded: {names or 'none'}"
    try:
        args, kwargs = app.orchestrator.engine.codec.decode_arguments(definition, record.call)
        bound = definition.signature.bind(args, kwargs)
    except PynencError as error:
        return f"they cannot be decoded: {error}"
    return shown(bound, app.conf.app.logging_arguments, secret=definition.signature.secret)


def _result(app: Pynenc, definition: TaskDefinition | None, record: InvocationRecord) -> str | None:
    if record.state.status is not Status.SUCCESS or record.state.outcome is None:
        return None
    if definition is None:
        return f"this process does not know the task, so it stays encoded ({record.state.outcome.size} bytes)"
    try:
        value = app.orchestrator.engine.codec.decode_result(definition, record.state.outcome)
    except PynencError as error:
        return f"it cannot be decoded: {error}"
    return shown({_RESULT: value}, app.conf.app.logging_arguments)[_RESULT]


def _error(app: Pynenc, record: InvocationRecord) -> dict[str, str] | None:
    if record.state.status is not Status.FAILED or record.state.outcome is None:
        return None
    try:
        error = app.orchestrator.engine.codec.decode_error(record.state.outcome)
    except PynencError as problem:
        return {"type": "unknown", "message": f"it cannot be decoded: {problem}", "traceback": ""}
    text = str(getattr(error, "remote_traceback", ""))
    if isinstance(error, RemoteError):  # of a class that is not loaded here
        return {"type": error.type_name, "message": error.message, "traceback": text}
    return {"type": type(error).__qualname__, "message": str(error), "traceback": text}


def _history(app: Pynenc, invocation_id: str) -> list[dict[str, object]]:
    engine = app.orchestrator.engine
    entries = engine.state.history([invocation_id]).get(invocation_id, ())
    contexts = engine.state.get_runner_contexts({entry.runner_context_id for entry in entries if entry.runner_context_id})
    return [_entry(entry, contexts.get(entry.runner_context_id)) for entry in entries]


def _entry(entry: InvocationHistory, context: RunnerContext | None) -> dict[str, object]:
    inside = f", inside {entry.registered_by}" if entry.registered_by else ""
    return {
        "seq": entry.seq,
        "at": when(entry.at),
        "status": str(entry.status_record.status),
        "by": (_who(context) if context else entry.runner_context_id) + inside,
        "runner_id": entry.runner_context_id or None,
        "reason": entry.status_record.reason or None,
        "claim": entry.status_record.claim,
    }


def _who(context: RunnerContext) -> str:
    return f"{context.class_name} on {context.host}, pid {context.pid}"
