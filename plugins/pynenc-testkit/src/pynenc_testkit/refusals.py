"""What a user is told of a server that cannot be used: the same by whatever they ask, and never a secret."""

from __future__ import annotations

import itertools
import pickle
import re
import sys
import types
from collections.abc import Callable

import pytest

from pynenc_core import Pynenc
from pynenc_core.cli import EarlyStop
from pynenc_core.cli.program import run
from pynenc_core.errors.base import PynencError

SECRET = "tOpSeCrEt"  # noqa: S105 - that it is a secret is the point
"""To be used as a password: nothing that is logged, printed, raised or pickled may hold it."""
_MODULE = "kit_refused_app"
_numbers = itertools.count(1)


def app_of_a_module(url: str) -> Pynenc:
    """Return a new app, made in a module from which the command line finds it, with a task `add`; the next one replaces it."""
    app = Pynenc(url, app_id=f"refused-{next(_numbers)}")

    def add(x: int, y: int) -> int:
        return x + y

    add.__module__, add.__qualname__ = _MODULE, "add"
    module = types.ModuleType(_MODULE)
    vars(module).update(app=app, add=app.task(add))
    sys.modules[_MODULE] = module
    return app


def add_of_the_module(x: int, y: int) -> object:
    """Call the task of the app that was made last, as a user's code does; return the invocation."""
    return vars(sys.modules[_MODULE])["add"](x, y)


def command(*words: str) -> int:
    """Carry out a command line for the app that was made last; return the exit code."""
    return run(["--app", f"{_MODULE}:app", *words], EarlyStop())


def everybody_is_refused(url: str, error: type[PynencError], says: str, look: Callable[[], str]) -> None:
    """Make sure that who enqueues, who asks for a result, who purges, and the doctor are told the same.

    `says` is a regular expression; `look` returns all that was logged and printed so far.
    """
    app = app_of_a_module(url)
    asks: list[Callable[[], object]] = [
        lambda: add_of_the_module(1, 2),
        lambda: app.get_invocation("01J00000000000000000000000").result,
        app.purge,
    ]
    for ask in asks:
        with pytest.raises(PynencError) as refused:
            ask()
        assert type(refused.value) is error, repr(refused.value)
        assert re.search(says, str(refused.value)), str(refused.value)
        travelling = pickle.dumps(refused.value)
        assert str(pickle.loads(travelling)) == str(refused.value)  # noqa: S301 - it is our own
        assert SECRET not in f"{travelling!r} {refused.value!r} {refused.value} {refused.value.fields()}"
    assert command("doctor") == 1
    assert command("config", "show", "--origin") == 0
    told = look()
    assert re.search(rf"wrong +store +.*{says}", told), told
    assert "Traceback" not in told
    app.close()
