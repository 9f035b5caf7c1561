"""Distributed tasks whose core knows no backend and no runner.

from pynenc_core import Pynenc

app = Pynenc()

@app.task
def add(x: int, y: int) -> int:
    return x + y

add(1, 2).result
"""

from __future__ import annotations

from pynenc_core.app import Pynenc
from pynenc_core.builder import PynencBuilder
from pynenc_core.errors.base import PynencError
from pynenc_core.errors.invocations import RetryError
from pynenc_core.group import InvocationGroup
from pynenc_core.invocation import Invocation, ReusedInvocation
from pynenc_core.status import Status
from pynenc_core.task import Task

__version__ = "0.1.0"

__all__ = ["Invocation", "InvocationGroup", "Pynenc", "PynencBuilder", "PynencError", "RetryError", "ReusedInvocation", "Status", "Task"]
