"""The plugins as the rules call them: nothing is made or called for a hook that nobody implements."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from pynenc_core.model import Change, InvocationRecord
from pynenc_core.plugins import PluginManager
from pynenc_core.ports.retries import Failure, RetryDecision


class PluginHooks:
    """Calls the hooks that concern invocations."""

    def __init__(self, plugins: PluginManager) -> None:
        self._caller = plugins.hooks
        self._scoped = self._caller.implemented("pynenc_invocation_scope")
        self._deciding = self._caller.implemented("pynenc_decide_retry")
        self._observed = self._caller.implemented("pynenc_invocation_changed")

    def scopes(self, record: InvocationRecord) -> Iterable[AbstractContextManager[Any] | AbstractAsyncContextManager[Any]]:
        """Return what to enter around an execution, outermost first."""
        return self._caller.scopes(record) if self._scoped else ()

    def decide_retry(self, failure: Failure) -> RetryDecision | None:
        """Return the first plugin's decision, or None; a plugin that raises is logged and passed over."""
        if not self._deciding:
            return None
        return self._caller.first_result("pynenc_decide_retry", RetryDecision, tolerant=True, failure=failure)

    def changed(self, changes: Collection[Change]) -> None:
        """Tell observers of changes that were written."""
        if self._observed:
            for change in changes:
                self._caller.notify("pynenc_invocation_changed", change=change)
