"""How hooks are called: one implementation at a time, so that one that raises, hangs or answers wrongly stops nobody else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from typing import TypeVar, cast

import attrs

from pynenc_core.errors.plugins import PluginError, PluginHookError, PluginResultError
from pynenc_core.plugins.deadline import one_by_one
from pynenc_core.plugins.discovery import describe
from pynenc_core.plugins.registry import Implementation

logger = logging.getLogger("pynenc.plugins")
T = TypeVar("T")
Scope = AbstractContextManager[object] | AbstractAsyncContextManager[object]

_SCOPE_HOOK = "pynenc_invocation_scope"
_SCOPES = "a context manager, an async one or None"


@attrs.frozen(eq=False)
class Answer:
    """What one plugin answered: a value, or the error it raised, never both."""

    plugin: str
    distribution: str
    value: object = None
    error: PluginError | None = None


class HookCaller:
    """Calls hooks by name, with their arguments as keywords. Any thread may use it."""

    def __init__(
        self,
        calling_order: Callable[[str], tuple[Implementation, ...]],
        entering_order: Callable[[str], tuple[Implementation, ...]],
    ) -> None:
        self._calling_order = calling_order
        self._entering_order = entering_order

    def implemented(self, hook: str) -> bool:
        """Tell whether anybody implements a hook, so that its argument need not be made for nobody."""
        return bool(self._calling_order(hook))

    def each(self, hook: str, **arguments: object) -> Iterator[Answer]:
        """Call a hook's implementations as the caller iterates; what one raises is in its answer, as a PluginHookError."""
        for found in self._calling_order(hook):
            yield _answer(found, arguments)

    def notify(self, hook: str, **arguments: object) -> None:
        """Tell the observers of a hook; what one raises is logged with the plugin's name, and the others go on."""
        for found in self._calling_order(hook):
            try:
                found.call(arguments)
            except Exception as error:  # noqa: BLE001 - an observer may not stop what it observes
                _log(_hook_error(found, error))

    def first_result(self, hook: str, expect: type[T], *, tolerant: bool = False, **arguments: object) -> T | None:
        """Return the first answer that is not None, the core's own coming last; None when nobody has one.

        Raises PluginHookError when one raises, PluginResultError when one answers something else than `expect`;
        with `tolerant` both are logged and the next one is asked.
        """
        for found in self._calling_order(hook):
            answer = _answer(found, arguments)
            error = answer.error
            if error is None:
                if answer.value is None:
                    continue
                if isinstance(answer.value, expect):
                    return answer.value
                error = PluginResultError(found.plugin, found.distribution, hook, expect.__name__, _kind(answer.value))
            if not tolerant:
                raise error
            _log(error)
        return None

    def scopes(self, invocation: object) -> list[Scope]:
        """Return what is to be entered around one execution, in the order of entering: first registered, outermost.

        Raises PluginHookError or PluginResultError; either is the invocation's failure.
        """
        scopes: list[Scope] = []
        for found in self._entering_order(_SCOPE_HOOK):
            answer = _answer(found, {"invocation": invocation})
            if answer.error is not None:
                raise answer.error
            scope: object = answer.value
            if isinstance(scope, (AbstractContextManager, AbstractAsyncContextManager)):
                scopes.append(cast("Scope", answer.value))
            elif scope is not None:
                raise PluginResultError(found.plugin, found.distribution, _SCOPE_HOOK, _SCOPES, _kind(answer.value))
        return scopes

    def each_within(self, hook: str, seconds: float, **arguments: object) -> Iterator[Answer]:
        """Like `each`, all together within a deadline: who has not answered by then has an answer with an error that says so.

        They run in a thread of their own, which is left behind when one of them hangs.
        """
        pending = self._calling_order(hook)
        answered = 0
        for answer in one_by_one([partial(_answer_apart, found, arguments) for found in pending], seconds, f"pynenc-{hook}"):
            answered += 1
            yield answer
        for place, found in enumerate(pending[answered:]):
            late = f"not asked: {pending[answered].plugin!r} took all of the {seconds:g} s" if place else f"no answer within {seconds:g} s"
            yield _late(found, late)


def _answer(found: Implementation, arguments: dict[str, object]) -> Answer:
    try:
        return Answer(found.plugin, found.distribution, found.call(arguments))
    except Exception as error:  # noqa: BLE001 - a plugin's code may raise anything, and the caller is told what
        return Answer(found.plugin, found.distribution, None, _hook_error(found, error))


def _answer_apart(found: Implementation, arguments: dict[str, object]) -> Answer:
    """Return the answer in a thread of its own, where KeyboardInterrupt and SystemExit are errors like others: nobody else is meant."""
    try:
        return _answer(found, arguments)
    except BaseException as error:  # noqa: BLE001 - as said
        return Answer(found.plugin, found.distribution, None, _hook_error(found, error))


def _late(found: Implementation, problem: str) -> Answer:
    return Answer(found.plugin, found.distribution, None, PluginHookError(found.plugin, found.distribution, found.hook, problem))


def _hook_error(found: Implementation, cause: BaseException) -> PluginHookError:
    error = PluginHookError(found.plugin, found.distribution, found.hook, describe(cause))
    error.__cause__ = cause
    return error


def _log(error: PluginError) -> None:
    logger.error("%s", error, exc_info=error.__cause__)


def _kind(value: object) -> str:
    return f"a value of type {type(value).__name__}"
