"""Distributed tasks whose core knows no backend and no runner.

from pynenc_core import Pynenc

app = Pynenc()

@app.task
def add(x: int, y: int) -> int:
    return x + y

add(1, 2).result
"""

from __future__ import annotations

__version__ = "0.1.0"

# Imported when they are first used, so that a plugin's module, or a command that has to mind signals from its first moment
# on, does not wait for all of them. Type checkers read `__init__.pyi`, which a test keeps equal.
_HOMES = {
    "HardTimeoutError": "pynenc_core.errors.invocations",
    "Invocation": "pynenc_core.invocation",
    "InvocationGroup": "pynenc_core.group",
    "Pynenc": "pynenc_core.app",
    "PynencBuilder": "pynenc_core.builder",
    "PynencError": "pynenc_core.errors.base",
    "RetryError": "pynenc_core.errors.invocations",
    "ReusedInvocation": "pynenc_core.invocation",
    "SoftTimeoutError": "pynenc_core.errors.invocations",
    "Status": "pynenc_core.status",
    "Task": "pynenc_core.task",
    "TaskCancelled": "pynenc_core.errors.runners",
}

__all__: list[str] = list(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll] # pyright reads the stub, where it is a literal


def __getattr__(name: str) -> object:
    """Import what is asked for. Raises AttributeError for anything else."""
    if name not in _HOMES:
        problem = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(problem)
    from importlib import import_module  # imported late, as what it imports

    found: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
