"""What may go wrong between the framework and a store."""

from __future__ import annotations

from pynenc_core.errors.base import PynencError


class BackendError(PynencError):
    """Something about one store, named by `store` without secrets."""

    store: str


class BackendUnavailableError(BackendError):
    """The store cannot be reached, read or written at present; nothing that was acknowledged is lost."""

    problem: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.store} cannot be used: {self.problem}{f'; {self.remedy}' if self.remedy else ''}"


class StoreFormatError(BackendError):
    """The store was written in a format that this version does not read."""

    found: int
    supported: int

    def __str__(self) -> str:
        if self.found > self.supported:
            return (
                f"{self.store} has format {self.found}, written by a newer pynenc; this one reads up to {self.supported}: "
                "upgrade pynenc-core and the backend's package, or use another store"
            )
        return f"{self.store} has format {self.found}, this pynenc writes {self.supported}: run `pynenc store migrate` first"


class StoreCorruptError(BackendUnavailableError):
    """The store is not what it should be: another program's file, or damaged. A runner goes on trying: somebody may mend it."""

    def __str__(self) -> str:
        return (
            f"{self.store} is damaged or not a pynenc store: {self.problem}; move it away and restore it from a copy, "
            "or name another one with `url` in [tool.pynenc]"
        )


class UnsupportedError(PynencError):
    """A plugin was asked for something that it declares it cannot do."""

    plugin: str
    feature: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.plugin} does not support {self.feature}{f'; {self.remedy}' if self.remedy else ''}"
