"""What all rules work with: the parts of one app, put together once."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol

import attrs

from pynenc_core.config import OrchestratorSettings, RunnerSettings
from pynenc_core.model import Change, InvocationRecord, Refusal
from pynenc_core.orchestration.codec import CallCodec
from pynenc_core.orchestration.registry import TaskRegistry
from pynenc_core.ports.broker import BaseBroker
from pynenc_core.ports.clock import Clock
from pynenc_core.ports.dispatcher import Dispatcher
from pynenc_core.ports.state_backend import BaseStateBackend


class Hooks(Protocol):
    """The plugins, as far as the rules call them; a plugin that fails is dealt with behind it."""

    def scopes(self, record: InvocationRecord) -> Iterable[AbstractContextManager[Any] | AbstractAsyncContextManager[Any]]:
        """Return the context managers to enter around an execution, outermost first."""
        ...

    def decide_retry(self, failure: Any) -> Any:
        """Return the first plugin's decision, or None."""
        ...

    def changed(self, changes: Collection[Change]) -> None:
        """Tell observers of changes that were written."""
        ...


@attrs.frozen(eq=False, kw_only=True)
class Engine:
    """The parts of one app."""

    app_id: str
    logger: logging.Logger
    clock: Clock
    state: BaseStateBackend
    broker: BaseBroker
    dispatcher: Dispatcher
    codec: CallCodec
    tasks: TaskRegistry
    hooks: Hooks
    runner_settings: RunnerSettings
    orchestrator_settings: OrchestratorSettings

    def settle(self, changes: Sequence[Change]) -> tuple[Refusal | None, ...]:
        """Write changes and tell observers of those that were written; return what was refused, in order."""
        refused = self.dispatcher.settle(changes).refused
        self.hooks.changed([change for change, refusal in zip(changes, refused, strict=True) if refusal is None])
        return refused

    def disconnect(self) -> None:
        """Release every connection to the stores, and let who waits for work or results return; the next call connects anew."""
        self.dispatcher.close()
        self.state.close()
        self.broker.close()

    @property
    def lease(self) -> float:
        """Seconds after its last heartbeat for which a runner counts as alive."""
        return self.runner_settings.runner_considered_dead_after_minutes * 60
