"""The narrow views of an app through which plugins see it."""

from __future__ import annotations

import logging
from typing import Protocol, TypeVar

from pynenc_core.ports.clock import Clock

S = TypeVar("S")


class StoreView(Protocol):
    """What a broker or a state backend sees of the app it stores for."""

    @property
    def app_id(self) -> str:
        """The app's id: apps that share a store never see each other's data."""
        ...

    @property
    def logger(self) -> logging.Logger:
        """The logger `pynenc.<app_id>`."""
        ...

    @property
    def clock(self) -> Clock:
        """Where waits and intervals take their time from."""
        ...

    def store_url(self, part: str) -> str:
        """Return where to store; `part` is `"broker"` or `"state_backend"`. Empty: the backend's own default place."""
        ...

    def section(self, settings_class: type[S]) -> S:
        """Return the settings of one section, loaded from all layers; the class is the one named by the plugin's spec."""
        ...
