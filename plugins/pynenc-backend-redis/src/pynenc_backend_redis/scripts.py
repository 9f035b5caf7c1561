"""The commands: one Lua file each, behind the fragments that it needs and the tables that they share with the core."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib import resources

import attrs

from pynenc_backend_redis.keys import PREFIXES
from pynenc_core.model import (
    FIRST_KEPT,
    LAST_KEPT,
    MOST_SET_ASIDE,
    InvocationDTO,
    State,
    WorkflowIdentity,
    claimed,
    put_aside,
    woken,
)
from pynenc_core.status import CLAIMABLE, FINAL, OWNED, Status

IDLE_KEPT = 3_600_000
"""Milliseconds for which a process that waits for work is known; it says so again every few seconds."""
FRAGMENTS = {
    "_queues": "settle acquire submit mark await pass_on sweep purge beat publish take discard",
    "_invocations": "settle acquire mark beat",
    "_blobs": "settle submit put_blobs",
    "_claims": "settle acquire",
    "_values": "put_value get_values list_values drop_values",
    "_entries": "publish discard",
}
"""Which commands follow which fragment; all follow `_common`."""


@attrs.frozen
class Script:
    """A command as the server knows it."""

    source: str
    sha: str


@cache
def script(name: str) -> Script:
    """Return a command by the name of its file."""
    parts = ["_common", *[each for each, users in FRAGMENTS.items() if name in users.split()], name]
    code = _WORD.sub(lambda word: _literals().get(word[0], word[0]), "\n".join([_read(each) for each in parts]))
    source = "\n".join([*[f"local {each} = {table}" for each, table in _TABLES.items() if each in code], code])
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def _read(name: str) -> str:
    text = resources.files("pynenc_backend_redis").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if not line.startswith("--"))


@cache
def _literals() -> dict[str, str]:
    """Return prefixes and what the core decides, as Lua: its functions are asked here, once, what every claim would ask them.

    Literals, not local variables: each variable that a function refers to makes it dearer to begin a script.
    """
    nobody = InvocationDTO(invocation_id="", call_id="", task_id="", workflow=WorkflowIdentity("", ""), expires=0.0)
    expired = put_aside(nobody, 1.0, None) or (Status.CANCELLED, "")
    _, entries = claimed("", State(), "", 0.0, start=True)
    texts = {
        "CLAIMED": entries[0].status_record.status,
        "STARTED": entries[1].status_record.status,
        "WOKEN": woken("", State(), "", "", 0.0)[0].status,
        "WAITS_BESIDE": Status.CONCURRENCY_CONTROLLED,
        "EXPIRED": expired[0],
        "EXPIRED_REASON": expired[1],
    }
    numbers = {"MOST_SET_ASIDE": MOST_SET_ASIDE, "KEPT_FIRST": FIRST_KEPT, "KEPT_LAST": LAST_KEPT, "IDLE_KEPT": IDLE_KEPT}
    return {name: repr(str(text)) for name, text in (PREFIXES | texts).items()} | {name: str(number) for name, number in numbers.items()}


_WORD = re.compile(r"\b[A-Z][A-Z_]+\b")
_TABLES = {
    name: f"{{{', '.join(f'{each} = true' for each in sorted(statuses))}}}"
    for name, statuses in {"CLAIMABLE": CLAIMABLE, "OWNED": OWNED, "FINAL": FINAL}.items()
}
