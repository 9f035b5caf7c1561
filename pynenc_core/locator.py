"""Where an app object is, so that another process can find it: `module:attribute`."""

from __future__ import annotations

import importlib
import sys
from types import FrameType, ModuleType
from typing import Any

from pynenc_core.errors.runners import AppLocatorError

_OWN = "pynenc_core"


def calling_module() -> str:
    """Return the name of the module outside this package whose code is being run, innermost first."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the one way to learn where an object is made
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] != _OWN:
            return name
        frame = frame.f_back
    return ""


def locate(app: object, module_name: str) -> str:
    """Return the locator of an app object that was made in this module.

    Raises AppLocatorError when it is in the started script, or under no name of the module.
    """
    if module_name == "__main__":
        problem = "it is made in the started script, `__main__`; move it to a module and import it from there"
        raise AppLocatorError("__main__", problem)
    module = sys.modules.get(module_name)
    for name, value in vars(module).items() if module else ():
        if value is app:
            return f"{module_name}:{name}"
    raise AppLocatorError(module_name, "no name at the top of that module is bound to it; assign it to one")


def load(locator: str) -> Any:
    """Import the module of `module:attribute` (or `module.attribute`) and return the object.

    Raises AppLocatorError when the name is missing; what the module itself raises goes through.
    """
    module_name, colon, path = locator.partition(":")
    if not colon:
        module_name, _, path = locator.rpartition(".")
    if not module_name or not path:
        raise AppLocatorError(locator, "write it as module:attribute")
    try:
        found: ModuleType | Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise  # the module is there, and something that it imports is not
        missing = f"there is no module {error.name!r} on the import path"
        raise AppLocatorError(locator, missing) from error
    for name in path.split("."):
        if not hasattr(found, name):
            missing = f"module {module_name!r} has no {path!r}"
            raise AppLocatorError(locator, missing)
        found = getattr(found, name)
    return found
