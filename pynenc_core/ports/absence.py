"""A store that is away, as the log tells of it: once when it goes, once when it is back, however often it is tried."""

from __future__ import annotations

import logging


class Absence:
    """What one duty says of a store that it cannot use. It belongs to one thread."""

    def __init__(self, logger: logging.Logger, waits: str, goes_on: str) -> None:
        """`waits` and `goes_on` are whole sentences; the first is followed by the error."""
        self._logger = logger
        self._waits = waits
        self._goes_on = goes_on
        self.lasts = False
        """Whether the store was away when it was last tried."""

    def note(self, error: Exception) -> None:
        """Learn that the store could not be used."""
        if not self.lasts:
            self._logger.warning("%s: %s", self._waits, error)
        self.lasts = True

    def over(self) -> None:
        """Learn that it could."""
        if self.lasts:
            self._logger.info("%s", self._goes_on)
        self.lasts = False
